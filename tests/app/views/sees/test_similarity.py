"""The page Similarity."""

from pathlib import Path

import numpy as np
import pytest

from app.views.sees import similarity
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
    for scale in similarity.SCALES:
        app.segmented_control(key="scale").set_value(scale).run()
        assert not app.exception
        assert len(figures(app)) == 6 and "nan" not in text(app)
        assert "empty: no pairs of different images" in text(app)


def test_the_colour_scale_ends_at_the_diagonal_and_its_range_is_named(page: Show) -> None:
    generator = np.random.default_rng(0)
    table = generator.uniform(0.80, 0.84, (50, 50))
    np.fill_diagonal(table, 0.9)
    low, high = similarity.data_limits(table)
    assert low == pytest.approx(0.82, abs=0.002) and high == 0.9
    assert similarity.data_limits(np.full((3, 3), np.nan)) == (0, 1)
    app = page("similarity", "vae", "mocov3")
    trace = figures(app)[0]["data"][0]
    assert f"{trace['zmin']:.2f} or less" in text(app) and f"{trace['zmax']:.2f} or more" in text(app)
    app.segmented_control(key="scale").set_value(similarity.FULL).run()
    trace = figures(app)[0]["data"][0]
    assert (trace["zmin"], trace["zmax"]) == (-1, 1) and "-1.00 <i" in text(app)
