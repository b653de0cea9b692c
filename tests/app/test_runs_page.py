"""The page Runs: groups of seeds, filters, ticks, and what may be written with and without --allow-actions."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import actions, jobs, reading, run_table
from workbench import marks
from workbench.run import Run
from workbench.store import write_json


def summary(run_id: str, **entries: Any) -> dict[str, Any]:
    return {"id": run_id, "status": "finished", "method": "vae", "data": "digits", "steps": 10} | entries


def lines(summaries: list[dict[str, Any]], grouping: str, *opened: str) -> list[run_table.Line]:
    return run_table.lines(summaries, grouping, opened, lambda one: one.get("group", ""))


SEEDS = [summary(f"r{seed}", seed=seed, group="g", linear=70.0 + seed, knn=60.0) for seed in (2, 0, 1)]


def test_seeds_are_a_row_that_opens() -> None:
    everything = [*SEEDS, summary("alone", group="h"), summary("old"), summary("longer", group="g", steps=20)]
    shown = lines(everything, "seeds")
    assert [(line.label, line.heads) for line in shown] == [
        ("vae \N{MIDDLE DOT} 3 seeds", True),
        ("alone", False),
        ("old", False),
        ("longer", False),
    ]
    opened = lines(everything, "seeds", shown[0].group)
    assert [line.ids for line in opened[:4]] == [("r2", "r0", "r1"), ("r2",), ("r0",), ("r1",)]
    frame = run_table.frame(opened, {"r0": "#000000"}, {shown[0].group})
    assert list(frame["linear"][:2]) == ["71.0 \N{PLUS-MINUS SIGN} 1.0", "72.0"]
    first = frame.iloc[0].to_dict()
    assert (first["seed"], first["open"]) == ("0, 1, 2", run_table.OPEN)
    assert list(frame["open"].isna()) == [False] + [True] * 6


def test_an_unfinished_seed_does_not_enter_the_mean_of_finished_ones() -> None:
    late = summary("late", group="g", status="running", knn_monitor=10.0, step=1)
    shown = lines([*(one | {"knn_monitor": 50.0} for one in SEEDS), late], "seeds")
    frame = run_table.frame(shown, {}, ())
    assert list(frame["monitor"]) == [50.0] and list(frame["status"]) == [["finished", "running"]]


def test_a_tick_on_a_group_chooses_its_runs_and_taking_it_away_leaves_the_rest() -> None:
    everything = [*SEEDS, summary("alone", group="h")]
    shown = lines(everything, "seeds", lines(everything, "seeds")[0].group)
    chosen = run_table.choose(shown, ["hidden"], [0])
    assert chosen == ["hidden", "r2", "r0", "r1"]
    assert run_table.ticked(shown, chosen) == [0, 1, 2, 3]
    assert run_table.choose(shown, chosen, [0, 1, 3]) == ["hidden", "r2", "r1"]  # one of the seeds
    assert run_table.choose(shown, chosen, [1, 2, 3]) == ["hidden"]  # the group


@pytest.mark.parametrize(
    ("text", "fits"),
    [("", True), ("VAE digits", True), ("paper", True), ("anna", True), ("seed=2", True), ("vae cifar", False)],
)
def test_every_word_that_is_typed_must_fit(text: str, fits: bool) -> None:
    assert run_table.matches(summary("x", tags=["paper"], owner="anna", seed=2), text) == fits


def test_columns_that_say_nothing_are_left_out() -> None:
    plain = run_table.frame(lines(SEEDS, ""), {}, ())
    assert not {"open", "tags", "owner"} & set(plain.columns)
    told = [*SEEDS, summary("x", tags=["good"], owner="anna"), summary("y", owner="bob")]
    assert {"tags", "owner"} <= set(run_table.frame(lines(told, ""), {}, ()).columns)


def test_a_run_without_a_name_is_called_by_what_its_columns_do_not_say() -> None:
    assert run_table.name({"id": "20260102-030405-vae-my-data-0a1b"}) == "20260102-030405 \N{HORIZONTAL ELLIPSIS} 0a1b"
    assert run_table.name({"id": "somebody-elses"}) == "somebody-elses"


@pytest.fixture
def folder(runs_folder: tuple[Path, dict[str, str]], tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the invented runs that may be changed."""
    shutil.copytree(runs_folder[0], tmp_path / "runs")
    return tmp_path / "runs", runs_folder[1]


def state_of(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if one.label == label)


def labels(app: AppTest) -> set[str]:
    return {one.label for one in app.button}


def test_without_leave_nothing_is_written_and_a_line_says_how(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORKBENCH_ALLOW_ACTIONS", raising=False)
    runs, ids = folder
    run = Run(runs / ids["vae"])
    marks.write_note(run, "A wider bottleneck.")
    marks.set_tags(run, ["paper"])
    before = state_of(runs)
    app = show(runs, "runs", [ids["vae"], ids["ddpm"]])
    assert not app.exception and not app.text_area and "Archive" not in labels(app)
    assert any("--allow-actions" in one.value for one in app.caption)
    assert [one.value for one in app.text] == ["A wider bottleneck."]
    app.segmented_control(key="groups").set_value("seeds").run()
    assert not app.exception and state_of(runs) == before


def test_notes_tags_and_names_are_saved(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    runs, ids = folder
    run = Run(runs / ids["vae"])
    app = show(runs, "runs", [run.id])
    assert button(app, "Save the note").disabled
    app.text_area[0].set_value("first look").run()
    button(app, "Save the note").click().run()
    assert not app.exception and marks.note(run)[0] == "first look"
    next(one for one in app.text_input if one.label == "Name").set_value("wide").run()
    assert run.summary()["name"] == "wide"
    assert not app.exception


def test_two_browsers_on_one_note(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    runs, ids = folder
    run = Run(runs / ids["vae"])
    app = show(runs, "runs", [run.id])
    app.text_area[0].set_value("his").run()
    marks.write_note(run, "hers")
    button(app, "Save the note").click().run()
    assert not app.exception and marks.note(run)[0] == "hers"
    assert "Nothing is lost" in app.warning[0].value and app.code[0].value == "hers"
    assert app.text_area[0].value == "his"
    button(app, "Put both together").click().run()
    assert app.text_area[0].value == "hers\n\nhis" and marks.note(run)[0] == "hers" and not app.warning
    button(app, "Save the note").click().run()
    assert marks.note(run)[0] == "hers\n\nhis"


def test_archive_trash_and_back(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    runs, ids = folder
    run = Run(runs / ids["vae"])
    app = show(runs, "runs", [run.id, ids["ddpm"]])
    button(app, "Archive").click().run()
    assert run.summary()["archived"] is True and not app.exception
    assert any(one.key == "archived" for one in app.toggle)
    write_json(runs / ".jobs" / "1-aa" / "job.json", {"command": ["workbench", "evaluate", run.id], "created": 4e9})
    write_json(runs / ".jobs" / "1-aa" / "state.json", {"status": "running", "alive": 4e9})
    button(app, "Move to the trash").click().run()
    assert run.path.is_dir()  # a background command works on it
    shutil.rmtree(runs / ".jobs")
    button(app, "Move to the trash").click().run()
    assert not run.path.exists() and run.id not in app.query_params["runs"][0] and not app.exception
    button(app, "Restore").click().run()
    assert run.path.is_dir() and not app.exception


def test_a_command_that_a_page_shows_can_be_started(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    started: list[list[str]] = []
    monkeypatch.setattr(jobs, "start", lambda runs, words, at_once: started.append(list(words)))
    runs, ids = folder
    app = show(runs, "linear", [ids["bare"]])
    button(app, "Run it").click().run()
    assert started == [["workbench", "evaluate", ids["bare"], "--runs", str(runs)]] and not app.exception
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "0")
    assert "Run it" not in labels(show(runs, "linear", [ids["bare"]]))


def test_the_page_is_drawn_anew_when_a_run_is_evaluated_or_a_job_ends(
    folder: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, ids = folder
    monkeypatch.setenv("WORKBENCH_RUNS", str(runs))
    run = Run(runs / ids["vae"])
    monkeypatch.setattr(actions.selection, "choices", lambda: [type("Choice", (), {"run": run})])
    first = actions.state(jobs.jobs(runs))
    assert first == actions.state(jobs.jobs(runs))
    run.write_evaluation("knn", {"rows": []})
    second = actions.state(jobs.jobs(runs))
    assert second != first
    write_json(runs / ".jobs" / "1-aa" / "job.json", {"command": ["workbench", "evaluate"]})
    write_json(runs / ".jobs" / "1-aa" / "state.json", {"status": "done"})
    assert actions.state(jobs.jobs(runs)) != second


def test_a_damaged_line_costs_that_line_alone(folder: tuple[Path, dict[str, str]]) -> None:
    runs, ids = folder
    run = Run(runs / ids["vae"])
    whole = reading.metrics(run)
    text = (run.path / "metrics.jsonl").read_text()
    (run.path / "metrics.jsonl").write_text(text + '{"step": 999, "lo')
    torn = reading.metrics(run)
    (run.path / "metrics.jsonl").write_text('{"step": 1, "lo\n' + text + '[2]\n{"loss": 3}\n')
    damaged = reading.metrics(run)
    for found in (torn, damaged):
        assert found.keys() == whole.keys() and all(len(found[key]) == len(whole[key]) for key in whole)
        assert (found["loss"][~(found["loss"] != found["loss"])] == whole["loss"][whole["loss"] == whole["loss"]]).all()
    (run.path / "metrics.jsonl").write_text("")
    assert reading.metrics(run) == {}
