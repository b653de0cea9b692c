"""The page Agreement: who sees alike, beside chance, and on which images they do not."""

import re

import numpy as np

from app.reading.neighbours import probe_rows
from app.widgets.disagreement import overlap
from tests.app.browser import chromium, needs_chromium, opened, settled
from tests.app.pages import THREE, Copies, Folder, Show, figures, forget_pair, prefer_space, probe_arrays, text
from workbench.store import Probe, probe_of


def cells(figure: dict) -> dict[tuple[str, str], str]:
    """Printed text by row and column."""
    rows, columns = (figure["layout"][axis]["ticktext"] for axis in ("yaxis", "xaxis"))
    found: dict[tuple[str, str], str] = {}
    for trace in figure["data"]:
        for row, line in zip(rows, trace["text"], strict=True):
            found |= {(row, column): value for column, value in zip(columns, line, strict=True) if value}
    return found


def test_every_pair_of_default_spaces_is_a_cell(page: Show) -> None:
    app = page("agreement", *THREE)
    matrix, layers = (cells(figure) for figure in figures(app))
    assert len(matrix) == 3 * 5 - 3 and ("vae", "vae") not in matrix
    assert matrix["mocov3", "vae"] == "0.60" and matrix["vae", "pixels"] == "0.60"
    assert matrix["mocov3", "ddpm"] == "0.46"  # of the third of ddpm's layers
    assert len(layers) == 9 and layers["projector", "up 1, t=100"] == "0.53"  # the pair with most layers comes first


def test_what_independent_features_give_is_taken_off(page: Show) -> None:
    app = page("agreement", *THREE)
    app.segmented_control(key="agreement-shown").set_value("excess").run()
    assert cells(figures(app)[0])["mocov3", "vae"] == "0.55"
    app.segmented_control(key="measure").set_value("mutual_knn").run()
    matrix, _ = figures(app)
    found = cells(matrix)
    assert found["mocov3", "vae"] == "0.25" and found["mocov3", "pixels"] == "0.01 n.s."
    veiled = {(shape["x0"], shape["y0"]) for shape in matrix["layout"]["shapes"]}
    assert veiled == {(3.5, row - 0.5) for row in range(3)}  # the column of pixels
    assert not app.exception


def test_the_most_alike_layers_are_found_and_named(page: Show) -> None:
    app = page("agreement", *THREE)
    app.segmented_control(key="read-from").set_value("alike").run()
    assert not app.exception
    found = cells(figures(app)[0])["mocov3", "ddpm"]
    assert found.startswith("0.60") and "projector<br>middle, t=100" in found


def test_best_spaces_are_the_linear_probes_by_validation(show: Show, copied: Copies) -> None:
    folder, runs = copied
    prefer_space(runs[0], "class token")
    app = show(folder, "agreement", [run.id for run in runs])
    app.segmented_control(key="read-from").set_value("best").run()
    assert cells(figures(app)[0])["mocov3", "vae"] == "0.55" and "class token" in text(app)


def test_images_with_fewest_common_neighbours_come_first(show: Show, copied: Copies) -> None:
    folder, runs = copied
    one, other = runs[0].array("neighbours-projector"), runs[1].array("neighbours-posterior mean")
    assert one is not None and other is not None
    common = np.array([len(set(a) & set(b)) for a, b in zip(one, other, strict=True)])
    app = show(folder, "agreement", [run.id for run in runs], **{"agreement-pair": "mocov3 and vae"})
    shown = [int(n) for n in re.findall(r"<figcaption>(\d+) of 20<", text(app))]
    assert shown == sorted(common)[:10]
    app.button(key="take-neighbours").click().run()
    assert app.button(key="chip_images").label == "10 images selected" and not app.exception


def test_images_that_one_model_alone_gets_right(show: Show, copied: Copies) -> None:
    folder, runs = copied
    ids, labels, *_ = probe_arrays(folder)
    for run, space, wrong in zip(runs, ("projector", "posterior mean"), ([0, 1, 2], [2, 3]), strict=False):
        told = labels.copy()
        told[wrong] = 5
        run.write_array(f"predicted-{space}", told)
        run.write_array("predicted-ids", ids)
    page = text(show(folder, "agreement", [run.id for run in runs], **{"agreement-pair": "mocov3 and vae"}))
    assert "correct, vae wrong: 1 images" in page and "correct, mocov3 wrong: 2 images" in page
    assert page.count("circle, not bar") == 3 and "240 probe images" in page


def test_runs_of_an_earlier_version_are_told_the_command(show: Show, copied: Copies) -> None:
    folder, runs = copied
    old = runs[1]
    (old.path / "evaluations" / "agreement.json").unlink()
    old.write_evaluation("cka", {"rows": [{"model": "run", "metric": "cka", "value": 0.5}], "n": 1000})
    page = text(show(folder, "agreement", [old.id]))
    assert "Evaluated with an earlier version: vae" in page
    assert f"workbench evaluate {old.id}" in page and "--only agreement" in page
    assert "comparison with other runs yet" not in page


def test_a_pair_that_was_not_evaluated_together_is_a_gap(show: Show, copied: Copies) -> None:
    folder, runs = copied
    forget_pair(runs[0], runs[1])
    app = show(folder, "agreement", [run.id for run in runs])
    assert "Some pairs are not compared yet" in text(app) and not app.exception
    matrix = cells(figures(app)[0])
    assert ("mocov3", "vae") not in matrix and ("ddpm", "vae") in matrix


def test_where_only_the_other_run_was_evaluated_with_it_the_values_are_its_own(show: Show, copied: Copies) -> None:
    folder, runs = copied
    content = runs[0].evaluation("agreement")
    kept = [row for row in content["rows"] if row["other"] != runs[2].id]
    runs[0].write_evaluation("agreement", content | {"rows": kept})
    matrix = cells(figures(show(folder, "agreement", [run.id for run in runs]))[0])
    assert matrix["mocov3", "ddpm"] == matrix["ddpm", "mocov3"]


def test_neighbours_of_other_images_are_not_drawn(show: Show, copied: Copies) -> None:
    folder, runs = copied
    foreign = runs[0].array("neighbours-projector")
    assert foreign is not None
    runs[0].write_array("neighbours-projector", np.asarray(foreign) + 1)
    app = show(folder, "agreement", [run.id for run in runs], **{"agreement-pair": "mocov3 and vae"})
    page = text(app)
    assert not app.exception and "Neighbours not computed yet" in page and "--only retrieval" in page


def test_overlap_and_rows_of_ids() -> None:
    one, other = np.array([[1, 2, 3], [0, 2, 3]]), np.array([[3, 9, 1], [7, 8, 9]])
    assert overlap(one, other).tolist() == [2, 0]
    ids = np.array([30, 10, 20])
    assert probe_rows([[10, 20], [30, 20], [30, 10]], ids).tolist() == [[1, 2], [0, 2], [0, 1]]  # type: ignore[union-attr]
    assert probe_rows([[10, 21], [30, 20], [30, 10]], ids) is None and probe_rows([[1, 2]], ids) is None


def test_every_baseline_can_be_the_other_side(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    for name in ("vae and pixels", "vae and its untrained network"):
        app = show(folder, "agreement", [ids[role] for role in THREE], **{"agreement-pair": name})
        assert not app.exception and app.selectbox(key="agreement-pair").value == name
        assert "common neighbours of 20" in text(app)
    kept = Probe(probe_of(folder, "fixture01").path / "baselines")
    assert kept.array("neighbours-pixels") is not None


@needs_chromium
def test_ten_images_fit_side_by_side_on_a_small_screen(runs_folder: Folder, runs_address: str) -> None:
    ids = runs_folder[1]
    chosen = ",".join(f"{ids[role]}:{index}" for index, role in enumerate(THREE))
    with chromium() as browser:
        page = opened(browser, f"{runs_address}/how-it-sees?how-it-sees-tab=Agreement&runs={chosen}", width=1280)
        page.locator(".wb-sheet img").first.wait_for()
        settled(page)
        widths = page.evaluate("[...document.querySelectorAll('.wb-sheet')].map(n => [n.scrollWidth, n.clientWidth])")
        assert widths and all(whole <= seen for whole, seen in widths)
