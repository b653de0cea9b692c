"""Notes, tags, names, the archive and the trash, with and without --allow-actions."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.browser import chromium, needs_chromium, served, settled
from tests.app.browser import opened as open_page
from tests.app.pages import Folder, Show, button, button_labels
from workbench import annotations
from workbench.run import Run
from workbench.store import write_json

Editor = Callable[..., tuple[Run, AppTest]]


def tags(app: AppTest) -> Any:
    return next(one for one in app.multiselect if one.label == "Tags")


def state_of(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.fixture
def editor(writable: Folder, show: Show, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """The first of some chosen runs, and the page on which all of them may be changed: ``editor(*roles)``."""
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    runs, ids = writable
    return lambda *roles: (Run(runs / ids[roles[0]]), show(runs, "run_list", [ids[role] for role in roles]))


def test_without_leave_a_line_says_how_to_write(writable: Folder, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_ALLOW_ACTIONS", raising=False)
    runs, ids = writable
    run = Run(runs / ids["vae"])
    annotations.write_note(run, "A wider bottleneck.")
    annotations.change_tags(run, ["paper"])
    before = state_of(runs)
    app = show(runs, "run_list", [ids["vae"], ids["ddpm"]])
    assert not app.exception and not app.text_area and "Archive" not in button_labels(app)
    assert any("--allow-actions" in one.value for one in app.caption)
    assert [one.value for one in app.text] == ["A wider bottleneck."]
    app.segmented_control(key="groups").set_value("seeds").run()
    assert not app.exception and state_of(runs) == before


def test_notes_tags_and_names_are_saved(editor: Editor) -> None:
    run, app = editor("vae")
    button(app, "Save note").click().run()
    assert not (run.path / "notes.md").exists()  # nothing was written
    app.text_area[0].set_value("first look").run()
    button(app, "Save note").click().run()
    assert not app.exception and annotations.note(run)[0] == "first look"
    next(one for one in app.text_input if one.label == "Name").set_value("wide").run()
    assert run.summary()["name"] == "wide"
    annotations.change_tags(run, ["hers"])  # while the page shows none
    tags(app).set_value(["his"]).run()
    assert annotations.tags(run) == ["hers", "his"]
    assert not app.exception


def test_an_unreadable_note_is_said_and_kept(editor: Editor, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    run, app = editor("vae")
    (run.path / "notes.md").write_bytes(b"gr\xfcn")
    app.run()
    assert not app.exception and not app.text_area and "is not UTF-8 text" in app.warning[0].value
    monkeypatch.delenv("WORKBENCH_ALLOW_ACTIONS")
    app = show(run.path.parent, "run_list", [run.id])
    assert not app.exception and "is not UTF-8 text" in app.text[0].value


def test_two_browsers_on_one_note(editor: Editor) -> None:
    run, app = editor("vae")
    app.text_area[0].set_value("his").run()
    annotations.write_note(run, "hers")
    button(app, "Save note").click().run()
    assert not app.exception and annotations.note(run)[0] == "hers"
    assert "Your version is above" in app.warning[0].value and app.code[0].value == "hers"
    assert app.text_area[0].value == "his"
    button(app, "Merge both").click().run()
    assert app.text_area[0].value == "hers\n\nhis" and annotations.note(run)[0] == "hers" and not app.warning
    button(app, "Save note").click().run()
    assert annotations.note(run)[0] == "hers\n\nhis"


def test_a_draft_outlives_another_run_s_editor_until_it_is_saved(editor: Editor) -> None:
    run, app = editor("vae", "ddpm")
    app.text_area[0].set_value("half a thought").run()
    assert any("Not saved" in one.value for one in app.caption)
    other = next(option for option in app.segmented_control(key="noted").options if option != "vae")
    app.segmented_control(key="noted").set_value(other).run()
    assert app.text_area[0].value == ""
    app.segmented_control(key="noted").set_value("vae").run()
    assert app.text_area[0].value == "half a thought" and annotations.note(run)[0] == ""
    button(app, "Save note").click().run()
    assert annotations.note(run)[0] == "half a thought" and not any("Not saved" in one.value for one in app.caption)
    annotations.write_note(run, "hers")  # nothing unsaved is left to keep it from being shown
    app.run()
    assert not app.exception and app.text_area[0].value == "hers"


def test_a_refused_name_or_tag_leaves_what_is_stored_on_the_screen(editor: Editor) -> None:
    run, app = editor("vae")

    def name() -> Any:
        return next(one for one in app.text_input if one.label == "Name")

    name().set_value("wide").run()
    tags(app).set_value(["paper"]).run()
    refusals: list[tuple[Any, Any]] = [(name(), "x,y"), (tags(app), ["paper", "a,b"])]
    for field, refused in refusals:
        app.session_state["told"] = []
        field.set_value(refused).run()
        assert "without a comma" in app.session_state["told"][0][0]
        assert (name().value, tags(app).value) == ("wide", ["paper"])
    assert (run.summary()["name"], annotations.tags(run)) == ("wide", ["paper"]) and not app.exception


def test_runs_without_weights_are_left_out_of_the_commands(editor: Editor) -> None:
    run, app = editor("vae", "ddpm")
    assert {"Evaluate 2 runs", "Sample from 2 runs"} <= button_labels(app)
    shutil.rmtree(run.path / "checkpoints")
    app.run()
    assert {"Evaluate 1 run", "Sample from 1 run"} <= button_labels(app)
    said: list[Any] = list(app.get("html"))
    assert any("vae: the weights were deleted" in one.value for one in said)
    for checkpoints in run.path.parent.glob("*/checkpoints"):
        shutil.rmtree(checkpoints)
    app.run()
    assert not app.exception and not any(label.startswith(("Evaluate", "Draw")) for label in button_labels(app))


@needs_chromium
def test_a_note_is_saved_by_one_click_and_a_draft_outlives_a_change_of_page(writable: Folder) -> None:
    runs, ids = writable
    run = Run(runs / ids["vae"])
    with served(runs, allow_actions=True) as address, chromium() as browser:
        page = open_page(browser, f"{address}/runs?runs={run.id}:0")
        settled(page)
        text = page.get_by_role("textbox", name="Note")
        text.press_sequentially("first look")
        page.get_by_role("button", name="Save note").click()
        page.get_by_text("Note saved.").wait_for()
        assert annotations.note(run)[0] == "first look"
        text.press_sequentially(", and more")
        page.get_by_role("link", name="Training", exact=True).click(delay=100)
        page.get_by_role("heading", level=1, name="Runs").wait_for(state="detached")
        settled(page)
        page.get_by_role("link", name="Runs", exact=True).click()
        text.wait_for()
        settled(page)
        assert text.input_value() == "first look, and more" and annotations.note(run)[0] == "first look"


def test_archive_trash_and_back(editor: Editor) -> None:
    run, app = editor("vae", "ddpm")
    runs = run.path.parent
    button(app, "Archive").click().run()
    assert run.summary()["archived"] is True and not app.exception
    assert any(one.key == "archived" for one in app.toggle)
    write_json(runs / ".jobs" / "1-aa" / "job.json", {"command": ["workbench", "evaluate", run.id], "created": 4e9})
    write_json(runs / ".jobs" / "1-aa" / "state.json", {"status": "running", "alive": 4e9})
    button(app, "Move to trash").click().run()
    assert run.path.is_dir()  # a background command works on it
    shutil.rmtree(runs / ".jobs")
    button(app, "Move to trash").click().run()
    assert not run.path.exists() and run.id not in app.query_params["runs"][0] and not app.exception
    button(app, "Restore").click().run()
    assert run.path.is_dir() and not app.exception
