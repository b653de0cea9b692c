"""The tab Run: everything that is stored of one run, opened by the URL or from the table of runs."""

from typing import Any

import pytest

from app.reading import run_folder_content, run_table
from app.views.runs import run_list
from tests.app.browser import needs_chromium, opened, settled
from tests.app.pages import Copies, Folder, Show, button_labels, parameter, text
from workbench.files import write_json


def test_the_url_names_the_run_and_the_page_how_to_repeat_it(page: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = page("one_run", "vae", run=ids["ddpm"])
    said = text(app)
    assert app.selectbox(key="run").value == ids["ddpm"] and ids["ddpm"].endswith(parameter(app, "run"))
    assert f"workbench train ddpm --config {folder / ids['ddpm'] / 'config.yaml'}" in said
    assert ":green[● finished] · step 400 of 400" in said and "seed 0" in said
    assert "python" in said and "3.11" in said and "device" in said and "cpu" in said


def test_without_a_run_in_the_url_the_first_chosen_one_is_shown(page: Show, runs_folder: Folder) -> None:
    ids = runs_folder[1]
    assert page("one_run", "vae", "ddpm").selectbox(key="run").value == ids["vae"]
    app = page("one_run", "vae", run="no-such-run")
    assert "There is no run no" in text(app) and app.selectbox(key="run").value == ids["vae"]


def test_settings_are_searched(page: Show) -> None:
    app = page("one_run", "mocov3")
    assert "optim.lr" in text(app) and "batch_size" in text(app)
    app.text_input(key="settings").set_value("LR 0.001").run()
    assert "optim.lr" in text(app) and "batch_size" not in text(app) and "1 of 7 settings" in text(app)
    app.text_input(key="settings").set_value("nothing like it").run()
    assert "None of the 7 settings contains" in text(app) and not app.exception


def test_evaluations_have_dates_and_what_is_missing_a_command(show: Show, copied: Copies) -> None:
    folder, (run, *_) = copied
    (run.path / "evaluations" / "factors.json").unlink()
    app = show(folder, "one_run", [run.id])
    table = app.dataframe[0].value.set_index("evaluation")
    assert table.loc["linear probe", "checkpoint"] == "last, step 400" and table.loc["linear probe", "date"]
    said = text(app)
    assert "factor probes" in said and f"workbench evaluate {run.id} --only layers --only factors" in said
    assert f"workbench evaluate {run.id} --only linear_sgd" in said
    assert "learns features only and cannot generate" in said or "it has no decoder" in said


def test_the_log_checkpoints_and_files(show: Show, copied: Copies) -> None:
    folder, (run, *_) = copied
    app = show(folder, "one_run", [run.id])
    assert "No log.txt" in text(app)
    (run.path / "log.txt").write_text("".join(f"epoch {epoch}/60\n" for epoch in range(1, 61)))
    (run.path / "checkpoints" / "step-00000200").mkdir()
    (run.path / "checkpoints" / "step-00000200" / "model.safetensors").write_bytes(b"0" * 1500)
    write_json(run.path / "checkpoints" / "best.json", {"step": 200})
    app = show(folder, "one_run", [run.id])
    assert "epoch 60/60" in text(app) and "epoch 41/60" in text(app) and "epoch 40/60" not in text(app)
    checkpoints, files = (frame.value for frame in app.dataframe[1:])
    assert checkpoints.to_dict("list") == {"step": [400, 200], "size": ["0 B", "1.5 kB"], "best": ["", "best by kNN"]}
    assert {"arrays/", "evaluations/", "log.txt", "run.json"} <= set(files["name"])
    assert run_folder_content.log_tail(run, 2) == ["epoch 59/60", "epoch 60/60"]


@pytest.mark.parametrize(
    ("role", "words"),
    [("failed", "The loss became NaN"), ("stalled", "workbench resume"), ("running", "step 180 of 400")],
)
def test_runs_that_did_not_finish_say_why(page: Show, role: str, words: str) -> None:
    assert words in text(page("one_run", role))


def test_a_foreign_or_torn_run_is_survived(show: Show, copied: Copies, page: Show) -> None:
    assert "config.yaml" in text(page("one_run", run="somebody-elses"))
    folder, (run, *_) = copied
    for file in sorted(path for path in run.path.rglob("*") if path.is_file()):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert not show(folder, "one_run", [run.id]).exception


def test_notes_are_written_where_that_is_allowed(show: Show, copied: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, (run, *_) = copied
    assert "Save note" not in button_labels(show(folder, "one_run", [run.id]))
    monkeypatch.setenv("WORKBENCH_ALLOW_ACTIONS", "1")
    assert "Save note" in button_labels(show(folder, "one_run", [run.id]))


def test_only_rows_of_single_runs_have_a_button() -> None:
    summaries = [{"id": f"run-{seed}", "method": "vae", "status": "finished"} for seed in range(2)]
    rows = run_table.table_rows(summaries, "method", ["method:vae"], str)
    assert run_table.frame(rows, {}, ["method:vae"])["details"].notna().tolist() == [False, True, True]
    assert "details" in run_list.columns(rows)


@pytest.mark.parametrize(("size", "printed"), [(950, "950 B"), (12_345, "12.3 kB"), (4_560_000, "4.56 MB")])
def test_sizes_in_print(size: int, printed: str) -> None:
    assert run_folder_content.size_text(size) == printed


@needs_chromium
def test_a_click_in_the_table_opens_the_run(browser: Any, runs_address: str, runs_folder: Folder) -> None:
    page = opened(browser, f"{runs_address}/runs?runs={runs_folder[1]['vae']}:0", 1500)
    settled(page)
    page.locator(".dvn-scroller").wait_for()
    box = page.get_by_test_id("stDataFrame").bounding_box()
    page.wait_for_timeout(1000)
    page.mouse.click(box["x"] + 104, box["y"] + 39 + 36 + 18)  # the first row is the foreign one
    page.get_by_role("heading", level=1, name="Run", exact=True).wait_for()
    settled(page)
    newest = sorted(path.name for path in runs_folder[0].glob("2*-shapes-*"))[-1]
    page.wait_for_function("id => decodeURIComponent(location.search).includes(`run=${id}`)", arg=newest[-4:])


def test_a_short_id_names_a_run_in_the_address(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "one_run", [ids["mocov3"]], run=ids["vae"][-4:])
    assert app.selectbox(key="run").value == ids["vae"] and not app.warning
    app = show(folder, "one_run", [ids["mocov3"]], run="beef")
    assert app.selectbox(key="run").value == ids["mocov3"]
    assert "There is no run beef" in app.warning[0].value
    assert parameter(app, "run") == ids["mocov3"][-4:]
