"""The page Runs: groups of seeds, filters, ticks, and what may be written with and without --allow-actions."""

import json
import shutil
from pathlib import Path

import numpy as np

from app.reading import run_table
from tests.app.browser import chromium, needs_chromium, served, settled
from tests.app.browser import opened as open_page
from tests.app.pages import Folder, Show, text
from workbench.store import Run


@needs_chromium
def test_the_last_column_is_within_1280_pixels_beside_another_owner_s_runs(tmp_path: Path) -> None:
    runs = shutil.copytree(Path(__file__).parents[4] / "examples" / "runs", tmp_path / "runs")
    Run(next(runs.glob("*-vae-*"))).update_summary(owner="alexandra", name="a name of some length", data="digits")
    with served(runs) as address, chromium() as browser:
        page = open_page(browser, f"{address}/runs", 1280)
        settled(page)
        page.locator(".dvn-scroller").wait_for()
        page.wait_for_timeout(1000)
        wide, seen = page.evaluate("(n => [n.scrollWidth, n.clientWidth])(document.querySelector('.dvn-scroller'))")
        assert wide <= seen


def test_runs_can_be_filtered_by_typing(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "run_list")
    everything = app.dataframe[0].value
    assert len(everything) == 9 and set(everything["status"].str[0]) >= {"running", "failed", "stalled", "unreadable"}
    app.text_input(key="filter").set_value("VAE failed").run()
    assert list(app.dataframe[0].value["name"]) == [run_table.run_title({"id": ids["failed"]})]
    app.text_input(key="filter").set_value("no such run").run()
    assert not app.dataframe and "None of the 9 runs" in text(app)
    assert not app.exception


def test_the_run_list_tells_what_went_wrong(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    said = text(show(folder, "run_list"))
    assert "The loss became NaN at step 61" in said
    assert f"workbench resume {ids['stalled']}" in said
    assert "somebody-elses" in said


def test_readings_of_the_monitor_and_of_the_test_stand_apart(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "run_list")
    table = app.dataframe[0].value.set_index("name")
    summary = Run(folder / ids["vae"]).summary()
    row = table.loc[run_table.run_title({"id": ids["vae"]})]
    assert row["monitor"] == summary["knn_monitor"] == row["sparkline"][-1]
    assert (row["knn"], row["linear"]) == (summary["knn"], summary["linear"]) != (row["monitor"], row["monitor"])
    training = table.loc[run_table.run_title({"id": ids["running"]})]
    assert training["monitor"] > 0 and np.isnan(training["knn"]) and np.isnan(training["linear"])
    columns = json.loads(app.dataframe[0].proto.columns)
    labels = {name: columns[name]["label"] for name in ("monitor", "knn", "linear")}
    assert labels == {"monitor": "Val. kNN", "knn": "Test kNN", "linear": "Linear"}
