"""The page Similarity."""

from pathlib import Path

import numpy as np
import pytest

from tests.app.pages import Folder, Show, copy_runs, figures, text


@pytest.mark.parametrize("classes", [6, 12])
@pytest.mark.parametrize("known", [[0, 1, 4], []])
def test_classes_of_few_images(show: Show, runs_folder: Folder, tmp_path: Path, classes: int, known: list[int]) -> None:
    runs = copy_runs(runs_folder, tmp_path, "vae", "mocov3")
    for run in runs:
        for space in run.evaluation("similarity")["spaces"]:
            table = np.full((classes, classes), np.nan, np.float32)
            table[np.ix_(known, known)] = 0.25
            if known:
                table[0, 0] = np.nan  # a class of one image
            run.write_array(f"class-similarity-{space}", table)
    app = show(tmp_path, "similarity", [run.id for run in runs])
    for scale in ("the same for every model", "each model its own"):
        app.segmented_control(key="scale").set_value(scale).run()
        assert not app.exception
        assert len(figures(app)) == 6 and "nan" not in text(app)
        assert "empty: no pair of different images" in text(app)
