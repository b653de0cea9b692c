"""Buttons that start commands: on every page, beside runs that were not evaluated and runs without weights."""

import json
import shutil
from pathlib import Path

import pytest

from app.widgets import job_panel
from tests.app.pages import THREE, VIEWS, Copies, Folder, Show, button, button_labels, figures, forget_pair, text
from tests.app.probes_fixture import write_price
from workbench import jobs
from workbench.store import Run, write_json


@pytest.mark.parametrize("view", VIEWS)
def test_pages_offer_to_evaluate_a_run(show: Show, copied: Copies, monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    folder, runs = copied
    for run, method in zip(runs[:2], THREE, strict=False):
        write_price(run, method)
    lost = runs[1 if view == "latent" else 2]  # a VAE: the others have no latent space to walk through
    shutil.rmtree(lost.path / "evaluations")
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    app = show(folder, view, [run.id for run in runs])
    boxes = sum("workbench evaluate" in element.value for element in app.code)
    assert len([button for button in app.button if button.label.startswith("Run ")]) == boxes
    assert boxes or view in ("run_list", "differences", "curves", "stability", "augmentations", "overview", "scatter")


def test_nothing_is_started_where_that_is_not_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started, state = [], {}
    monkeypatch.setenv("WORKBENCH_APP_RUNS", str(tmp_path))
    monkeypatch.setattr(jobs, "start", lambda *words: started.append(words))
    monkeypatch.setattr(job_panel.st, "session_state", state)
    monkeypatch.delenv("WORKBENCH_ALLOW_ACTIONS", raising=False)
    job_panel.launch("workbench evaluate a")
    assert not started and "Not started" in state["told"][0][0]
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    job_panel.launch("workbench evaluate a")
    assert len(started) == 1


@pytest.mark.parametrize("view", ["similarity", "neighbours", "linear_probe", "labels_and_cost", "agreement"])
def test_what_needs_weights_that_were_deleted_is_not_offered(show: Show, copied: Copies, view: str) -> None:
    folder, runs = copied
    for run in runs[:2]:
        shutil.rmtree(run.path / "evaluations")
    shutil.rmtree(runs[0].path / "checkpoints")
    app = show(folder, view, [run.id for run in runs])
    commands = [element.value for element in app.code if "workbench evaluate" in element.value]
    assert not app.exception and commands
    assert all(runs[0].id not in command for command in commands)
    assert any(runs[1].id in command for command in commands)
    assert f"{THREE[0]}: no " in text(app) and "the weights were deleted" in text(app)


def test_pairs_that_cannot_be_compared_any_more_are_no_gap_to_fill(show: Show, copied: Copies) -> None:
    folder, runs = copied
    forget_pair(runs[0], runs[1])
    shutil.rmtree(runs[0].path / "checkpoints")
    app = show(folder, "agreement", [run.id for run in runs])
    assert not app.exception and "Some pairs" not in text(app)
    assert "mocov3: no comparison with some of the other runs, and the weights were deleted" in text(app)


NAME = "![x](http://e/x.png) <b>"


def test_a_name_is_shown_letter_by_letter(show: Show, copied: Copies) -> None:
    folder, runs = copied
    runs[0].update_info(name=NAME)
    runs[0].update_summary(name=NAME)
    shutil.rmtree(runs[0].path / "evaluations")
    app = show(folder, "linear_probe", [runs[0].id])
    written = "!\\[x\\](http\\://e/x.png) \N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}b>"
    assert app.get("popover")[0].proto.popover.label == written
    assert "![x]" not in "\n".join(element.value for element in (*app.markdown, *app.caption))


def test_a_name_of_several_seeds_brings_no_html_into_figures(show: Show, copied: Copies) -> None:
    folder, (one, *_) = copied
    other = Run(shutil.copytree(one.path, folder / "another"))
    for seed, run in enumerate((one, other)):
        run.update_info(name="<i>x", seed=seed)
        run.update_summary(name="<i>x", seed=seed)
    for view in ("factors", "linear_probe"):
        app = show(folder, view, [one.id, other.id])
        drawn = json.dumps(figures(app), ensure_ascii=False)
        assert not app.exception and "<i>x" not in drawn and "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}i>x" in drawn
    assert "(2 seeds)" in json.dumps(figures(show(folder, "factors", [one.id, other.id])))


def test_a_command_on_a_page_can_be_started(writable: Folder, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    started: list[list[str]] = []
    monkeypatch.setattr(jobs, "start", lambda runs, words, at_once: started.append(list(words)))
    runs, ids = writable
    app = show(runs, "linear_probe", [ids["bare"]])
    button(app, "Run command").click().run()
    assert started == [["workbench", "evaluate", ids["bare"], "--runs", str(runs)]] and not app.exception
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "0")
    assert "Run command" not in button_labels(show(runs, "linear_probe", [ids["bare"]]))


def test_the_page_is_drawn_anew_when_evaluations_or_jobs_end(writable: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, ids = writable
    monkeypatch.setenv("WORKBENCH_APP_RUNS", str(runs))
    run = Run(runs / ids["vae"])
    monkeypatch.setattr(job_panel.chosen_runs, "choices", lambda: [type("Choice", (), {"members": [run]})])
    first = job_panel.state(jobs.jobs(runs))
    assert first == job_panel.state(jobs.jobs(runs))
    run.write_evaluation("knn", {"rows": []})
    second = job_panel.state(jobs.jobs(runs))
    assert second != first
    write_json(runs / ".jobs" / "1-aa" / "job.json", {"command": ["workbench", "evaluate"]})
    write_json(runs / ".jobs" / "1-aa" / "state.json", {"status": "done"})
    assert job_panel.state(jobs.jobs(runs)) != second
