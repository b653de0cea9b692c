"""What is selected: ids of any number in the URL, found by words, and shown on every page."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from app.reading import predictions
from app.reading.choice import Choice
from app.state import chosen_images, chosen_runs, image_query
from app.widgets import confusion_images, image_picker
from tests.app.app_fixture import make_run, set_status
from tests.app.pages import Copies, Folder, Show, chip_labels, figures, numbers, parameter, probe_arrays, text
from workbench.errors import WorkbenchError
from workbench.store import Run, short_ids

IDS = np.arange(10_000, dtype=np.int64) * 7 - 50


@pytest.mark.parametrize(
    "chosen", [[], [5], IDS[:12].tolist(), IDS[::2].tolist(), IDS.tolist(), IDS[4000:4700].tolist()]
)
def test_any_number_of_ids_comes_back_out_of_the_url(chosen: list[int]) -> None:
    text = chosen_images.write_images(chosen, [IDS])
    assert sorted(chosen_images.read_images(text, [IDS])) == sorted(chosen)
    assert len(text) < 10_000 / 8 * 4 / 3 + 40  # a bitmap in base64 at most
    assert all(letter.isalnum() or letter in "~-_," for letter in text)


def test_a_class_among_thousands_is_a_short_text() -> None:
    assert len(chosen_images.write_images(IDS[2000:3000].tolist(), [IDS])) < 60


def test_few_ids_stay_readable_even_outside_any_probe_set() -> None:
    assert chosen_images.write_images([3, -4], []) == chosen_images.write_images([3, -4], [IDS]) == "3,-4"
    text = chosen_images.write_images([IDS[9], IDS[3]], [IDS + 1, IDS])
    assert re.fullmatch(f"[0-9a-f]{{8}}~{IDS[9]},{IDS[3]}", text)
    assert chosen_images.read_images(text, [IDS + 1, IDS]) == [IDS[9], IDS[3]]
    assert chosen_images.read_images(text, [IDS[:100]]) == chosen_images.read_images(text, []) == []
    assert chosen_images.read_images("3,10,nonsense,--5,3," + "9" * 5000, []) == [3, 10]


def test_a_bitmap_is_read_with_the_probe_set_that_it_was_written_for() -> None:
    other = IDS + 1
    text = chosen_images.write_images(IDS[::3].tolist(), [other, IDS])
    assert chosen_images.read_images(text, [other, IDS]) == IDS[::3].tolist()
    assert chosen_images.read_images(text, [other]) == []
    assert chosen_images.read_images(text, [IDS[:100]]) == []


@pytest.mark.parametrize("text", ["~", "~A", "~AAAA", "~AAAAAAAAAAAA", "~\N{SNOWMAN}", "~" + "A" * 9999, "~!!!!"])
def test_a_torn_bitmap_selects_nothing(text: str) -> None:
    assert chosen_images.read_images(text, [IDS]) == []


NAMES = [f"photos/IMG_{number:02d}.jpg" for number in range(60)]


@pytest.fixture
def known() -> image_query.ImageTable:
    n = 60
    labels = np.arange(n) % 3
    columns = {
        "id": np.arange(n) + 10**17,
        "class": labels,
        "rotation": np.linspace(0, 360, n, dtype=np.float32),
        "shape": labels.astype(np.float32),
        "vae · seed 1": np.where(np.arange(n) < 30, labels, predictions.UNKNOWN) * np.where(np.arange(n) < 6, 0, 1),
    }
    return image_query.ImageTable(columns["id"], columns, ["ring", "bar", "hawk, eagle"], ("vae · seed 1",), NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class:bar", lambda c: c["class"] == 1),
        ("CLASS:0,bar", lambda c: c["class"] <= 1),
        ("'class:hawk, eagle'", lambda c: c["class"] == 2),
        (f"id:{10**17 + 3}", lambda c: c["id"] == 10**17 + 3),
        ("rotation>90 rotation<=180", lambda c: (c["rotation"] > 90) & (c["rotation"] <= 180)),
        ("rotation:90..180", lambda c: (c["rotation"] >= 90) & (c["rotation"] <= 180)),
        ("shape=2", lambda c: c["shape"] == 2),
        ("class:bar 'vae · seed 1:ring'", lambda c: (c["class"] == 1) & (c["vae · seed 1"] == 0)),
        ("'vae · seed 1:wrong'", lambda c: (c["vae · seed 1"] != c["class"]) & (c["vae · seed 1"] != -1)),
        ("'vae · seed 1:right'", lambda c: c["vae · seed 1"] == c["class"]),
        ("file:img_1", lambda c: (c["id"] - 10**17) // 10 == 1),
        ("class:bar file:photos/IMG_07", lambda c: c["id"] == 10**17 + 7),
        ("", lambda c: np.zeros(60, bool)),
    ],
)
def test_images_are_found_by_words(known: image_query.ImageTable, text: str, expected: Callable) -> None:
    np.testing.assert_array_equal(image_query.matching_ids(text, known), known.ids[expected(known.columns)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rotatoin>90", 'Unknown name "rotatoin"; known names: id, class, rotation'),
        ("class:cat", "the classes are ring, bar"),
        ("rotation>much", "a number"),
        ("ring", "write name:value"),
        ("'class:ring", "quotation mark"),
    ],
)
def test_words_that_make_no_sense_are_explained(known: image_query.ImageTable, text: str, said: str) -> None:
    with pytest.raises(WorkbenchError, match=said):
        image_query.matching_ids(text, known)


def test_predictions_are_joined_by_id_in_whatever_order() -> None:
    told = predictions.align(np.array([5, 3, 9]), np.array([1, 2, 0]), np.array([9, 5, 4]))
    assert told is not None and told.tolist() == [2, predictions.UNKNOWN, 1]
    assert predictions.align(np.array([5]), np.array([1]), np.array([6])) is None
    assert predictions.align(np.array([5]), np.array([1, 2]), np.array([5])) is None
    assert predictions.align(np.array([5]), None, np.array([5])) is None


def in_url(app: AppTest) -> str:
    return parameter(app, "images")


def labels_and_predictions(folder: Path, run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, true and predicted classes of the probe images."""
    ids, labels, *_ = probe_arrays(folder)
    predicted = predictions.of_run(run, np.asarray(ids), run.evaluation("linear")["default"])
    assert predicted is not None
    return ids, labels, predicted


def a_mistake(labels: np.ndarray, predicted: np.ndarray) -> tuple[int, int]:
    """The true and the predicted class of an image that was classified wrongly."""
    return next((t, p) for t, p in zip(labels, predicted, strict=True) if p not in (t, predictions.UNKNOWN))


def test_a_search_selects_and_a_second_page_shows_the_same(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    chosen = [ids["mocov3"], ids["vae"]]
    probe_ids, labels, factors, _ = probe_arrays(folder)
    expected = probe_ids[(labels == 4) & (factors[:, 2] > 0.5)]
    app = show(folder, "linear_probe", chosen)
    app.text_input(key="image-search").set_value("class:ring size>0.5").run()
    assert not app.exception
    label = app.button(key="chip_images").label
    assert label == f"{len(expected)} images selected"
    token = in_url(app)
    assert chosen_images.read_images(token, [np.asarray(probe_ids)]) == expected.tolist()
    other = show(folder, "embeddings", chosen, images=token)
    assert other.button(key="chip_images").label == label and not other.exception
    other.button(key="chip_images").click().run()
    assert "images" not in other.query_params and not other.exception


def test_a_search_that_fails_says_why_and_keeps_the_selection(page: Show) -> None:
    app = page("linear_probe", "vae", images="3,10")
    app.text_input(key="image-search").set_value("colour:7").run()
    assert 'Unknown name "colour"' in text(app) and in_url(app) == "3,10"
    app.text_input(key="image-search").set_value("id:999999").run()
    assert "No images in the probe set match" in text(app) and in_url(app) == "3,10"


def test_a_cell_of_a_confusion_matrix_selects_its_images(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    probe_ids, labels, told = labels_and_predictions(folder, Run(folder / ids["vae"]))
    true, taken = a_mistake(labels, told)
    expected = probe_ids[(labels == true) & (told == taken)]
    app = show(folder, "linear_probe", [ids["vae"]])
    app.selectbox(key="cell-model").set_value("vae")
    app.selectbox(key="cell-true").select_index(int(true))
    app.selectbox(key="cell-told").select_index(int(taken)).run()
    assert not app.exception
    assert sorted(chosen_images.read_images(in_url(app), [np.asarray(probe_ids)])) == sorted(expected.tolist())


@pytest.mark.parametrize("name", ["mocov3 lr=0.01", "class", "ID", "size", "label", "a:b 'c\"", "ring>bar"])
def test_a_name_breaks_no_search(show: Show, copied: Copies, name: str) -> None:
    folder, runs = copied
    runs[1].update_info(name=name)
    runs[1].update_summary(name=name)
    ids, labels, told = labels_and_predictions(folder, runs[1])
    app = show(folder, "linear_probe", [run.id for run in runs])
    app.selectbox(key="cell-model").select_index(1)
    app.selectbox(key="cell-true").select_index(2)
    app.selectbox(key="cell-told").select_index(2).run()
    assert not app.exception
    cell = ids[(labels == 2) & (told == 2)].tolist()
    assert len(cell) and chosen_images.read_images(in_url(app), [np.asarray(ids)]) == cell
    app.text_input(key="image-search").set_value("class:triangle").run()
    assert chosen_images.read_images(in_url(app), [np.asarray(ids)]) == ids[labels == 2].tolist()
    column = f"{name} (model)" if name.lower() in ("class", "id", "size", "label") else name
    app.text_input(key="image-search").set_value(f"class:triangle {shlex.quote(column + ':triangle')}").run()
    assert chosen_images.read_images(in_url(app), [np.asarray(ids)]) == cell and not app.exception


def test_a_clicked_cell_selects_its_images(runs_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, ids = runs_folder
    run = Run(folder / ids["vae"])
    probe_ids, labels, told = labels_and_predictions(folder, run)
    true, taken = a_mistake(labels, told)
    choice, chosen, state = Choice(run, 0, "#000000", "vae", run.summary()), [], {}
    monkeypatch.setattr(chosen_images, "select_images", lambda found: chosen.append(list(found)))
    figure = go.Figure()
    image_picker.cells(figure, choice, "cells", np.full((6, 6), 10.0), list("abcdef"))
    points: Any = figure.data[0]
    index = next(i for i in range(36) if (points.y[i], points.x[i]) == (true, taken))
    for clicks in ([], [{"x": int(points.x[index]), "y": int(points.y[index])}], [{"x": 99, "y": 0}]):
        state["cells"] = {"selection": {"points": clicks}}
        monkeypatch.setattr(image_picker.st, "session_state", state)
        image_picker.clicked(choice, "cells")
    assert chosen == [probe_ids[(labels == true) & (told == taken)].tolist()]
    cell = state["confusion-cell"]
    assert (cell.images, cell.click) == ((), 2)  # the second cell has no image of the probe set
    assert "no stored picture" in confusion_images.count_text(0, 0, 5)
    assert image_picker.cells(figure, choice, "cells", np.zeros((100, 100)), ["x"] * 100) == {}


def test_a_selection_of_other_data_says_so_and_can_be_cleared(page: Show) -> None:
    token = chosen_images.write_images(IDS[::2].tolist(), [IDS])
    app = page("linear_probe", "vae", images=token)
    assert app.button(key="chip_images").label == "images of another data set selected"
    assert in_url(app) == token and "not in this probe set" in text(app)
    app.button(key="chip_images").click().run()
    assert "images" not in app.query_params and not app.exception


def test_verdicts_of_the_selected_images_stand_beside_the_truth(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    probe_ids, labels, told = labels_and_predictions(folder, Run(folder / ids["vae"]))
    assert (told == predictions.UNKNOWN).any()
    wrong = np.flatnonzero((told != labels) & (told != predictions.UNKNOWN))[:3]
    untested = np.flatnonzero(told == predictions.UNKNOWN)[:1]
    right = np.flatnonzero(told == labels)[:1]
    rows = np.concatenate([wrong, untested, right])
    app = show(folder, "linear_probe", [ids["vae"]], images=",".join(map(str, probe_ids[rows])))
    said = text(app)
    assert said.count("<mark>") == 3 and said.count("not tested") == 1
    assert "accuracy on the 5 selected images: vae 25 %" in said


def test_the_similarity_matrix_is_that_of_the_selected_images(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    run = Run(folder / ids["vae"])
    known = run.array("similarity-ids")
    assert known is not None
    app = show(folder, "similarity", [run.id], images=",".join(map(str, known[[3, 50, 51, 90]])))
    assert not app.exception and "4 of the selected images are available" in text(app)
    stored = run.array("similarity-posterior mean")
    assert stored is not None
    values = numbers(figures(app)[0]["data"][0]["z"]).reshape(4, 4)
    np.testing.assert_allclose(values, stored[np.ix_([3, 50, 51, 90], [3, 50, 51, 90])], rtol=1e-6)
    app = show(folder, "similarity", [run.id], images=str(known[3]))
    assert "so all are shown" in text(app) and not app.exception


def test_reconstructions_of_the_selected_images(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    drawn = Run(folder / ids["vae"]).array("reconstruction-ids")
    assert drawn is not None
    app = show(folder, "reconstructions", [ids["vae"]], images=f"{drawn[2]},{drawn[5]}")
    assert "2 of the selected images were reconstructed" in text(app)
    app = show(folder, "reconstructions", [ids["vae"]], images="1")
    assert "None of the selected images were reconstructed" in text(app) and not app.exception


IDS_OF_RUNS = ["20260101-a-0001", "20260101-b-0002", "20260102-b-0003", "20260103-c-0003", "run:with:colons"]


def test_the_choice_goes_through_the_url_and_back() -> None:
    short = short_ids(IDS_OF_RUNS)
    text = chosen_runs.write(IDS_OF_RUNS, short)
    assert text == "0001,0002,20260102-b-0003,20260103-c-0003,run:with:colons"  # two end alike
    assert chosen_runs.parse(text, IDS_OF_RUNS) == (IDS_OF_RUNS, [])
    assert chosen_runs.write([], short) == "none" and chosen_runs.parse("none", IDS_OF_RUNS) == ([], [])


@pytest.mark.parametrize(
    ("text", "chosen", "unknown"),
    [
        (f"{IDS_OF_RUNS[1]}:3,{IDS_OF_RUNS[0]}:0", [1, 0], []),  # links of earlier versions
        ("0002:9,0002", [1], []),
        ("0001,0003", [0], ["0003"]),
        ("b-0002,b-0003,gone:4,,", [1, 2], ["gone"]),
        ("run:with:colons:7", [4], []),
    ],
)
def test_what_a_url_names_is_chosen_or_named(text: str, chosen: list[int], unknown: list[str]) -> None:
    assert chosen_runs.parse(text, IDS_OF_RUNS) == ([IDS_OF_RUNS[index] for index in chosen], unknown)


def test_what_the_url_names_and_cannot_be_chosen_is_named_above_the_page(page: Show) -> None:
    app = page("linear_probe", "vae", "0bad")
    assert "Run 0bad in the URL: not in " in text(app)
    assert parameter(app, "runs").endswith(",0bad")  # and stays, for whoever made the link


def test_groups_without_a_name_of_their_own_are_told_apart_by_what_differs(tmp_path: Path, show: Show) -> None:
    runs = [make_run(tmp_path, "vae", lr=lr, seed=seed) for lr in (0.1, 0.2) for seed in (0, 1)]
    for run in runs:
        set_status(run, "finished")
    app = show(tmp_path, "curves", [run.id for run in runs])
    assert chip_labels(app) == ["vae optim.lr=0.1 (2 seeds)", "vae optim.lr=0.2 (2 seeds)"]
