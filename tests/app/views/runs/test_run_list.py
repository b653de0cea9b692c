"""The page Runs: groups of seeds, filters, ticks, and what may be written with and without --allow-actions."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.reading import files, run_table
from app.widgets import job_panel
from tests.app.browser import chromium, needs_chromium, served, settled
from tests.app.browser import opened as opened_page
from workbench import annotations, jobs
from workbench.run import Run
from workbench.store import write_json


def summary(run_id: str, **entries: Any) -> dict[str, Any]:
    return {"id": run_id, "status": "finished", "method": "vae", "data": "digits", "steps": 10} | entries


def lines(summaries: list[dict[str, Any]], grouping: str, *opened: str) -> list[run_table.TableRow]:
    return run_table.table_rows(summaries, grouping, opened, lambda one: one.get("group", ""))


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
    late = summary("late", group="g", status="running", knn_monitor=10.0, step=1, linear=30.0)
    shown = lines([*(one | {"knn_monitor": 50.0} for one in SEEDS), late], "seeds")
    frame = run_table.frame(shown, {}, ())
    assert list(frame["linear"]) == ["71.0 \N{PLUS-MINUS SIGN} 1.0"]
    assert list(frame["monitor"]) == [50.0] and list(frame["status"]) == [["finished", "running"]]


def test_a_tick_on_a_group_chooses_its_runs_and_taking_it_away_leaves_the_rest() -> None:
    everything = [*SEEDS, summary("alone", group="h")]
    shown = lines(everything, "seeds", lines(everything, "seeds")[0].group)
    chosen = run_table.choice_after(shown, ["hidden"], [0])
    assert chosen == ["hidden", "r2", "r0", "r1"]
    assert run_table.ticked(shown, chosen) == [0, 1, 2, 3]
    assert run_table.choice_after(shown, chosen, [0, 1, 3]) == ["hidden", "r2", "r1"]  # one of the seeds
    assert run_table.choice_after(shown, chosen, [1, 2, 3]) == ["hidden"]  # the group


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
    assert (
        run_table.run_title({"id": "20260102-030405-vae-my-data-0a1b"})
        == "20260102-030405 \N{HORIZONTAL ELLIPSIS} 0a1b"
    )
    assert run_table.run_title({"id": "somebody-elses"}) == "somebody-elses"


@pytest.fixture
def folder(runs_folder: tuple[Path, dict[str, str]], tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the invented runs that may be changed."""
    shutil.copytree(runs_folder[0], tmp_path / "runs")
    return tmp_path / "runs", runs_folder[1]


def state_of(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.fixture
def opened(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> tuple[Run, AppTest]:
    """A chosen run, and the page on which it may be changed."""
    return changeable(folder, show, monkeypatch, "vae")


@pytest.fixture
def two(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> tuple[Run, AppTest]:
    """The first of two chosen runs, and the page on which both may be changed."""
    return changeable(folder, show, monkeypatch, "vae", "ddpm")


def changeable(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch, *roles: str
) -> tuple[Run, AppTest]:
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    runs, ids = folder
    chosen = [ids[role] for role in roles]
    return Run(runs / chosen[0]), show(runs, "run_list", chosen)


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
    annotations.write_note(run, "A wider bottleneck.")
    annotations.change_tags(run, ["paper"])
    before = state_of(runs)
    app = show(runs, "run_list", [ids["vae"], ids["ddpm"]])
    assert not app.exception and not app.text_area and "Archive" not in labels(app)
    assert any("--allow-actions" in one.value for one in app.caption)
    assert [one.value for one in app.text] == ["A wider bottleneck."]
    app.segmented_control(key="groups").set_value("seeds").run()
    assert not app.exception and state_of(runs) == before


def test_notes_tags_and_names_are_saved(opened: tuple[Run, AppTest]) -> None:
    run, app = opened
    button(app, "Save the note").click().run()
    assert not (run.path / "notes.md").exists()  # nothing was written
    app.text_area[0].set_value("first look").run()
    button(app, "Save the note").click().run()
    assert not app.exception and annotations.note(run)[0] == "first look"
    next(one for one in app.text_input if one.label == "Name").set_value("wide").run()
    assert run.summary()["name"] == "wide"
    annotations.change_tags(run, ["hers"])  # while the page shows none
    app.multiselect[0].set_value(["his"]).run()
    assert annotations.tags(run) == ["hers", "his"]
    assert not app.exception


def test_a_note_that_cannot_be_read_is_said_and_kept(
    opened: tuple[Run, AppTest], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, app = opened
    (run.path / "notes.md").write_bytes(b"gr\xfcn")
    app.run()
    assert not app.exception and not app.text_area and "is not UTF-8 text" in app.warning[0].value
    monkeypatch.delenv("WORKBENCH_ALLOW_ACTIONS")
    app = show(run.path.parent, "run_list", [run.id])
    assert not app.exception and "is not UTF-8 text" in app.text[0].value


def test_two_browsers_on_one_note(opened: tuple[Run, AppTest]) -> None:
    run, app = opened
    app.text_area[0].set_value("his").run()
    annotations.write_note(run, "hers")
    button(app, "Save the note").click().run()
    assert not app.exception and annotations.note(run)[0] == "hers"
    assert "Nothing is lost" in app.warning[0].value and app.code[0].value == "hers"
    assert app.text_area[0].value == "his"
    button(app, "Put both together").click().run()
    assert app.text_area[0].value == "hers\n\nhis" and annotations.note(run)[0] == "hers" and not app.warning
    button(app, "Save the note").click().run()
    assert annotations.note(run)[0] == "hers\n\nhis"


def test_a_draft_outlives_another_run_s_editor_until_it_is_saved(two: tuple[Run, AppTest]) -> None:
    run, app = two
    app.text_area[0].set_value("half a thought").run()
    assert any("Not saved" in one.value for one in app.caption)
    other = next(option for option in app.segmented_control(key="noted").options if option != "vae")
    app.segmented_control(key="noted").set_value(other).run()
    assert app.text_area[0].value == ""
    app.segmented_control(key="noted").set_value("vae").run()
    assert app.text_area[0].value == "half a thought" and annotations.note(run)[0] == ""
    button(app, "Save the note").click().run()
    assert annotations.note(run)[0] == "half a thought" and not any("Not saved" in one.value for one in app.caption)
    annotations.write_note(run, "hers")  # nothing unsaved is left to keep it from being shown
    app.run()
    assert not app.exception and app.text_area[0].value == "hers"


def test_a_refused_name_or_tag_leaves_what_is_stored_on_the_screen(opened: tuple[Run, AppTest]) -> None:
    run, app = opened

    def name() -> Any:
        return next(one for one in app.text_input if one.label == "Name")

    name().set_value("wide").run()
    app.multiselect[0].set_value(["paper"]).run()
    refusals: list[tuple[Any, Any]] = [(name(), "x,y"), (app.multiselect[0], ["paper", "a,b"])]
    for field, refused in refusals:
        app.session_state["told"] = []
        field.set_value(refused).run()
        assert "without a comma" in app.session_state["told"][0][0]
        assert (name().value, app.multiselect[0].value) == ("wide", ["paper"])
    assert (run.summary()["name"], annotations.tags(run)) == ("wide", ["paper"]) and not app.exception


def test_runs_without_weights_are_left_out_of_the_commands(two: tuple[Run, AppTest]) -> None:
    run, app = two
    assert {"Evaluate 2 runs", "Draw samples of 2 runs"} <= labels(app)
    shutil.rmtree(run.path / "checkpoints")
    app.run()
    assert {"Evaluate 1 run", "Draw samples of 1 run"} <= labels(app)
    said: list[Any] = list(app.get("html"))
    assert any("vae: the weights are not there" in one.value for one in said)
    for checkpoints in run.path.parent.glob("*/checkpoints"):
        shutil.rmtree(checkpoints)
    app.run()
    assert not app.exception and not any(label.startswith(("Evaluate", "Draw")) for label in labels(app))


@needs_chromium
def test_a_note_is_saved_by_one_click_and_a_draft_outlives_a_change_of_page(
    folder: tuple[Path, dict[str, str]],
) -> None:
    runs, ids = folder
    run = Run(runs / ids["vae"])
    with served(runs, allow_actions=True) as address, chromium() as browser:
        page = opened_page(browser, f"{address}/?runs={run.id}:0")
        settled(page)
        text = page.get_by_role("textbox", name="Note")
        text.press_sequentially("first look")
        page.get_by_role("button", name="Save the note").click()
        page.get_by_text("The note is saved.").wait_for()
        assert annotations.note(run)[0] == "first look"
        text.press_sequentially(", and more")
        page.get_by_role("link", name="Training", exact=True).click(delay=100)
        page.get_by_role("heading", level=1, name="What has been trained?").wait_for(state="detached")
        settled(page)
        page.get_by_role("link", name="Runs", exact=True).click()
        text.wait_for()
        settled(page)
        assert text.input_value() == "first look, and more" and annotations.note(run)[0] == "first look"


@needs_chromium
def test_the_last_column_is_within_1280_pixels_beside_another_owner_s_runs(tmp_path: Path) -> None:
    runs = shutil.copytree(Path(__file__).parents[4] / "examples" / "runs", tmp_path / "runs")
    Run(next(runs.glob("*-vae-*"))).update_summary(owner="alexandra", name="a name of some length", data="digits")
    with served(runs) as address, chromium() as browser:
        page = opened_page(browser, address, 1280)
        settled(page)
        page.locator(".dvn-scroller").wait_for()
        page.wait_for_timeout(1000)
        wide, seen = page.evaluate("(n => [n.scrollWidth, n.clientWidth])(document.querySelector('.dvn-scroller'))")
        assert wide <= seen


def test_archive_trash_and_back(
    folder: tuple[Path, dict[str, str]], show: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    runs, ids = folder
    run = Run(runs / ids["vae"])
    app = show(runs, "run_list", [run.id, ids["ddpm"]])
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
    app = show(runs, "linear_probe", [ids["bare"]])
    button(app, "Run it").click().run()
    assert started == [["workbench", "evaluate", ids["bare"], "--runs", str(runs)]] and not app.exception
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "0")
    assert "Run it" not in labels(show(runs, "linear_probe", [ids["bare"]]))


def test_the_page_is_drawn_anew_when_a_run_is_evaluated_or_a_job_ends(
    folder: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, ids = folder
    monkeypatch.setenv("WORKBENCH_RUNS", str(runs))
    run = Run(runs / ids["vae"])
    monkeypatch.setattr(job_panel.chosen_runs, "choices", lambda: [type("Choice", (), {"run": run})])
    first = job_panel.state(jobs.jobs(runs))
    assert first == job_panel.state(jobs.jobs(runs))
    run.write_evaluation("knn", {"rows": []})
    second = job_panel.state(jobs.jobs(runs))
    assert second != first
    write_json(runs / ".jobs" / "1-aa" / "job.json", {"command": ["workbench", "evaluate"]})
    write_json(runs / ".jobs" / "1-aa" / "state.json", {"status": "done"})
    assert job_panel.state(jobs.jobs(runs)) != second


def test_a_damaged_line_costs_that_line_alone(folder: tuple[Path, dict[str, str]]) -> None:
    runs, ids = folder
    run = Run(runs / ids["vae"])
    whole = files.metrics(run)
    text = (run.path / "metrics.jsonl").read_text()
    (run.path / "metrics.jsonl").write_text(text + '{"step": 999, "lo')
    torn = files.metrics(run)
    (run.path / "metrics.jsonl").write_text('{"step": 1, "lo\n' + text + '[2]\n{"loss": 3}\n')
    damaged = files.metrics(run)
    for found in (torn, damaged):
        assert found.keys() == whole.keys() and all(len(found[key]) == len(whole[key]) for key in whole)
        assert (found["loss"][~(found["loss"] != found["loss"])] == whole["loss"][whole["loss"] == whole["loss"]]).all()
    (run.path / "metrics.jsonl").write_text("")
    assert files.metrics(run) == {}
