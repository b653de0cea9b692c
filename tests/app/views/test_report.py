"""The page Report, and seeds as groups on the pages that show them."""

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.views import report as report_page
from tests.app.app_fixture import copy_as_seed
from tests.app.pages import Folder, Show, copy_runs, figures, text
from workbench import report
from workbench.comparison.differences import differences
from workbench.store import Run, write_json


@pytest.fixture
def seeds(runs_folder: Folder, tmp_path: Path) -> list[Run]:
    """Three seeds of mocov3 and one vae, in a folder of their own."""
    (vae,) = copy_runs(runs_folder, tmp_path, "vae")
    mocov3 = Run(runs_folder[0] / runs_folder[1]["mocov3"])
    return [*(copy_as_seed(mocov3, tmp_path / f"{mocov3.id}-{seed}", seed, 0.01) for seed in range(3)), vae]


def models(app: AppTest) -> list[str]:
    return app.dataframe[0].value["model"].tolist()


def test_conclusions_stand_on_top_and_files_below(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    chosen = [ids[method] for method in ("mocov3", "vae", "ddpm")]
    app = show(folder, "report", chosen)
    assert not app.exception and app.title[0].value == "Report"
    said = text(app).replace("&lt;", "<")
    for pair in differences([Run(folder / run_id) for run_id in chosen]):
        assert str(pair) in said
    assert len(app.get("plotly_chart")) == 1 and len(app.get("download_button")) == 4
    assert f"workbench report {' '.join(chosen)} --output report.html" in said
    assert models(app)[:3] == ["mocov3", "vae", "ddpm"] and "pixels" in models(app)


def test_downloads_are_what_the_command_writes(runs_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, ids = runs_folder
    runs = [Run(folder / ids["vae"])]
    made: dict[str, Any] = {}
    monkeypatch.setattr(st, "download_button", lambda label, data, file_name, **_: made.update({file_name: data}))
    report_page.downloads(runs)
    assert set(made) == {f"report{suffix}" for suffix in report.SUFFIXES}
    for name, data in made.items():
        assert data().decode() == report.render(runs, Path(name).suffix)


def test_the_figure_tells_names_with_brackets_apart(show: Show, seeds: list[Run]) -> None:
    for run, name in zip(seeds, ("mocov3 (lr 0.1)", "mocov3 (lr 0.01)", "mocov3", "vae"), strict=True):
        config = run.path / "config.yaml"
        config.write_text(config.read_text() + f"warmup: {len(name)}\n")  # no seeds of one another
        run.update_summary(name=name, group=run.seed_group())
    app = show(seeds[0].path.parent, "report", [run.id for run in seeds])
    (figure,) = figures(app)
    names = figure["layout"]["yaxis"]["ticktext"]
    assert f"mocov3 (lr 0.1) {chr(0x2212)} mocov3 (lr 0.01)" in names
    assert f"mocov3 (lr 0.1) {chr(0x2212)} mocov3" in names and f"mocov3 {chr(0x2212)} vae" in names
    assert len(names) == len(set(names))


def test_one_run_of_each_method_takes_its_other_seeds_in(show: Show, seeds: list[Run]) -> None:
    folder = seeds[0].path.parent
    app = show(folder, "report", [seeds[1].id, seeds[3].id])
    assert app.toggle(key="all-seeds").value
    assert models(app)[0] == "mocov3 (3 seeds)"
    assert all(run.id in text(app) for run in seeds)  # the command that makes the report
    app.toggle(key="all-seeds").set_value(False).run()
    assert models(app)[0] == "mocov3" and "3 seeds" not in text(app)


def test_factors_of_a_group_with_backbone_and_projector(show: Show, seeds: list[Run]) -> None:
    for run in seeds[:3]:  # the fixture's default space is the projector
        evaluation = run.evaluation("factors")
        write_json(run.path / "evaluations" / "factors.json", evaluation | {"default": "class token"})
    app = show(seeds[0].path.parent, "factors", [run.id for run in seeds], **{"factor-space": "default space"})
    assert not app.exception
    spec = app.get("plotly_chart")[0].proto.spec
    columns = ["mocov3 backbone (3 seeds)", "mocov3 projector (3 seeds)", "vae"]
    places = [spec.replace("\\u003cbr\\u003e", " ").replace("<br>", " ").find(f'"{name}"') for name in columns]
    assert -1 not in places and places == sorted(places)
    assert "over seeds (Student" in text(app) and "training seeds: mocov3 3, vae 1" in text(app)


def test_the_linear_page_tests_groups_too(show: Show, seeds: list[Run]) -> None:
    app = show(seeds[0].path.parent, "linear_probe", [run.id for run in seeds])
    assert "The linear probe of mocov3 is more accurate than that of vae: " in text(app)
    assert any("mocov3 (3 seeds)" in name for name in figures(app)[0]["layout"]["yaxis"]["ticktext"])


@pytest.mark.parametrize("choice", [("half", "bare", "failed"), ("vae", "half", "running", "stalled")])
def test_broken_and_unevaluated_runs(page: Show, choice: tuple[str, ...]) -> None:
    app = page("report", *choice, "somebody-elses")
    assert not app.exception and "workbench evaluate" in text(app)


def test_every_file_of_a_run_can_be_torn(show: Show, seeds: list[Run]) -> None:
    for file in sorted(path for run in seeds for path in run.path.rglob("*") if path.is_file()):
        if file.name != "summary.json":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert not show(seeds[0].path.parent, "report", [run.id for run in seeds]).exception


def test_no_runs_and_nothing_chosen(show: Show, runs_folder: Folder, tmp_path: Path) -> None:
    assert "No runs yet" in text(show(tmp_path / "nowhere", "report"))
    assert "No runs selected" in text(show(runs_folder[0], "report", []))
