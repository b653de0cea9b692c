"""The page Overview: verdicts, the numbers of `workbench compare`, and where the app begins."""

import re
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import main
from app.figures.dot_strip import dot_strip
from tests.app.app_fixture import copy_as_seed
from tests.app.pages import Copies, Folder, Show, copy_runs
from workbench.comparison.differences import differences
from workbench.comparison.table import comparison_table, interval_text
from workbench.report.sentences import Score, with_unit
from workbench.store import Run, write_json

HEADS = re.compile(r"<b>([^<]+)</b><span>([^<]+)</span>")


def cards(app: AppTest) -> dict[str, str]:
    """The sentence of each card, by its heading."""
    sentences = [each.value.replace("\\", "") for each in app.markdown if not each.value.startswith("**")]
    return dict(zip([each.value for each in app.subheader], sentences, strict=False))


def pictures(app: AppTest) -> list[dict[str, str]]:
    """The numbers beside the dots of each card, by model."""
    texts = [str(element.proto) for element in app.get("html")]
    return [dict(HEADS.findall(part)) for part in texts if "wb-dots" in part and HEADS.search(part)]


def test_numbers_are_those_of_compare(page: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = page("overview", "mocov3", "vae", "ddpm")
    rows = comparison_table([Run(folder / ids[method]) for method in ("mocov3", "vae", "ddpm")])
    shown = pictures(app)
    for place, (key, unit) in {0: ("linear", "%"), 1: ("knn", "%"), 3: ("reconstruction", "dB")}.items():
        printed = {}
        for row in rows:
            if row["kind"] == "run" and row[key]:
                printed[row["model"]] = with_unit(interval_text(row[key]), unit)
        assert shown[place] == printed
        assert all(number in cards(app)[list(cards(app))[place]] for number in printed.values())


def test_ahead_is_said_where_the_test_says_so(page: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = page("overview", "mocov3", "vae", "ddpm")
    pairs = differences([Run(folder / ids[method]) for method in ("mocov3", "vae", "ddpm")])[:3]
    assert all(pair.significant for pair in pairs)
    assert cards(app)["Linear probe"].startswith("mocov3 is ahead of ddpm and vae: 71.0 % [68.8, 73.2] against")
    assert "better" not in " ".join(cards(app).values()) and cards(app)["kNN"].startswith("Highest: mocov3 with 66.0 %")
    assert cards(app)["Likelihood"].startswith("Lowest: ") and cards(app)["Cost"].startswith("All equal: 2 min 13 s.")


def test_no_difference_is_shown_between_equal_probes(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    first, second = copy_runs(runs_folder, tmp_path, "mocov3", "vae")
    for space in ("class token", "pooled patches", "projector"):  # the same guesses on all images
        array = first.array(f"predicted-{space}")
        assert array is not None
        second.write_array("predicted-posterior mean", array)
    content = first.evaluation("linear")
    rows = [row for row in content["rows"] if row["space"] in ("projector", "pixels")]
    first.write_evaluation("linear", content | {"rows": rows})
    app = show(tmp_path, "overview", [first.id, second.id])
    assert cards(app)["Linear probe"].startswith("No significant difference between mocov3 (71.0 %")
    assert "is ahead" not in cards(app)["Linear probe"]


def test_seeds_are_one_model_with_an_interval_over_seeds(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    (vae,) = copy_runs(runs_folder, tmp_path, "vae")
    mocov3 = Run(runs_folder[0] / runs_folder[1]["mocov3"])
    seeds = [copy_as_seed(mocov3, tmp_path / f"{mocov3.id}-{seed}", seed) for seed in range(3)]
    app = show(tmp_path, "overview", [seeds[0].id, vae.id])
    assert list(pictures(app)[0]) == ["mocov3 (3 seeds)", "vae"]
    assert cards(app)["kNN"].startswith("Highest mean: mocov3 with 67.0 %")
    assert cards(app)["Factors"].startswith("Highest mean: ")


def test_what_is_not_measured_is_a_line_with_the_command(show: Show, copied: Copies) -> None:
    folder, runs = copied
    for run in runs:
        for name in ("likelihood", "reconstruction"):
            (run.path / "evaluations" / f"{name}.json").unlink()
    app = show(folder, "overview", [run.id for run in runs])
    assert "Likelihood" not in cards(app) or "Not measured" in [each.value for each in app.subheader]
    (line,) = [each.value for each in app.caption if each.value.startswith("**Likelihood**")]
    assert "mocov3 has no likelihood" in line and f"workbench evaluate {runs[1].id} {runs[2].id}" in line
    assert any(each.value.startswith("**Samples**: Samples of vae, ddpm") for each in app.caption)


def test_one_model_alone_is_stated_without_a_verdict(page: Show) -> None:
    app = page("overview", "vae")
    assert cards(app)["Linear probe"].startswith("vae: 44.0 % [41.8, 46.2]")


def test_marks_stand_in_order_and_names_are_literal() -> None:
    scores = [Score(0, "<b>", "b", "60.0 %", 60.0, 50.0, 70.0, 40.0), Score(1, "x", "x", "30 %", 30.0)]
    html = dot_strip(scores, ["#000000", "#111111"], reference=50.0)
    assert html.count("background:#111111") == 1
    assert "&lt;b&gt;" in html and html.count("wb-pixels") == 2 and html.count("wb-untrained") == 1
    assert 'wb-value" style="left:75.00%' in html and 'wb-interval" style="left:50.00%;width:50.00%' in html


def test_the_app_begins_with_overview_once_a_run_is_evaluated(
    runs_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ids = runs_folder

    def titles(runs: Path) -> tuple[list[str], AppTest]:
        monkeypatch.setenv("WORKBENCH_APP_RUNS", str(runs))
        st.cache_resource.clear()
        app = AppTest.from_file(main.__file__, default_timeout=30).run()
        assert not app.exception
        return [each.value for each in app.title], app

    assert titles(tmp_path / "nowhere")[0] == ["Runs"]
    begun, app = titles(folder)
    links = {each.proto.label: (each.proto.page, each.proto.query_string) for each in app.get("page_link")}
    assert begun == ["Overview"] and links["Open Report"] == ("report", "")
    assert links["Open Factors"] == ("what-it-knows", "what-it-knows-tab=Factors")
    bare = Run(folder / ids["bare"])
    copy = tmp_path / "bare" / bare.id
    copy.mkdir(parents=True)
    write_json(copy / "summary.json", bare.summary())
    assert titles(tmp_path / "bare")[0] == ["Runs"]
