"""The page Linear probe."""

import shutil
from pathlib import Path

import numpy as np

from tests.app.pages import Folder, Show, copy_runs, figures, text
from workbench.store import Run


def test_the_probe_has_grey_reference_lines(page: Show) -> None:
    figure = figures(page("linear_probe", "mocov3"))[0]
    layout = figure["layout"]
    written = " ".join(annotation["text"] for annotation in layout["annotations"])
    assert "pixels 33" in written and "71.0 [68.8, 73.2]" in written
    assert any(shape["x0"] == shape["x1"] == 33 for shape in layout["shapes"])
    assert any("untrained" in trace["hovertemplate"] and trace["x"] == [25.0, 25.0] for trace in figure["data"])


def test_a_class_without_test_images_is_left_out_of_the_comparison(
    show: Show, runs_folder: Folder, tmp_path: Path
) -> None:
    runs = copy_runs(runs_folder, tmp_path, "vae", "mocov3")
    for run in runs:
        labels = np.array(run.array("predicted-labels"))
        for file in (run.path / "arrays").glob("*predicted*.npy"):
            np.save(file, np.load(file)[labels != 2])
    app = show(tmp_path, "linear_probe", [run.id for run in runs])
    _, _, by_class, *confusions = figures(app)
    assert len(confusions) == 2
    assert set(by_class["layout"]["yaxis"]["ticktext"]) == {"circle", "square", "cross", "ring", "bar"}
    assert "1 of 6 classes left out: no test images" in text(app)


def test_differences_are_told_in_words_and_runs_on_other_test_images_loudly(
    show: Show, runs_folder: Folder, tmp_path: Path
) -> None:
    folder, ids = runs_folder
    chosen = [ids["mocov3"], ids["vae"]]
    app = show(folder, "linear_probe", chosen)
    assert "Significance of differences" in [subheader.value for subheader in app.subheader]
    said = text(app)
    assert "The linear probe of mocov3 is more accurate than that of " in said and "another training seed" in said
    shutil.copytree(folder, tmp_path / "runs")
    Run(tmp_path / "runs" / ids["vae"]).write_array("predicted-ids", np.arange(1000) + 5)
    app = show(tmp_path / "runs", "linear_probe", chosen)
    assert not app.exception and "probed on different test images" in text(app)
