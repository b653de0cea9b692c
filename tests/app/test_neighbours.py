"""The pages Neighbours and Invariance."""

import json
import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import look
from workbench.store import Run, probe_of

Show = Callable[..., AppTest]
Folder = tuple[Path, dict[str, str]]
THREE = ("mocov3", "vae", "ddpm")


def text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.code, app.get("html"))
    return "\n".join(str(getattr(element, "value", None) or element.proto) for kind in kinds for element in kind)


def blocks(app: AppTest) -> list[str]:
    """The HTML of each query."""
    page = next(element.proto.body for element in app.get("html") if "wb-query" in element.proto.body)
    return page.split('<div class="wb-sheet">')[1:]


def figures(app: AppTest) -> list[dict]:
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


@pytest.fixture
def copied(runs_folder: Folder, tmp_path: Path) -> tuple[Path, list[Run]]:
    folder, ids = runs_folder
    for role in THREE:
        shutil.copytree(folder / ids[role], tmp_path / ids[role])
    shutil.copytree(folder / ".probes", tmp_path / ".probes")
    return tmp_path, [Run(tmp_path / ids[role]) for role in THREE]


def test_a_row_per_model_and_baseline_with_right_and_wrong_frames(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "neighbours", [ids[role] for role in THREE], query="3 circle")
    assert not app.exception
    (block,) = blocks(app)
    labels = re.findall(r'<div class="wb-row">.*?</span> ([^<]*)', block)
    assert labels == ["mocov3", "vae", "ddpm", "pixels", "untrained mocov3", "untrained vae", "untrained ddpm"]
    assert block.count(f"background:{look.GREY}") == 4
    probe, run = probe_of(folder, "fixture01"), Run(folder / ids["mocov3"])
    stored, sample_ids, truth = run.array("neighbours-projector"), probe.ids(), probe.labels()
    assert stored is not None and sample_ids is not None and truth is not None
    row = block.split('<div class="wb-row">')[1]
    assert [int(one) for one in re.findall(r'title="image (\d+)', row)] == stored[0, :10].tolist()
    right = truth[np.searchsorted(sample_ids, stored[0, :10])] == truth[0]
    assert row.count("wb-right") == right.sum() and row.count("wb-wrong") == 10 - right.sum()
    assert row.count("\N{CHECK MARK}") == right.sum() and f"{right.sum()} of 10" in row


def test_eight_random_queries_others_on_demand_and_the_selected_ones(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "neighbours", [ids["vae"]])
    first = blocks(app)
    assert len(first) == 8
    next(button for button in app.button if button.label == "Others").click().run()
    assert len(blocks(app)) == 8 and blocks(app) != first
    app = show(folder, "neighbours", [ids["vae"]], images="10,3")
    assert [re.findall(r"image (\d+)</figcaption>", block) for block in blocks(app)] == [["3"], ["10"]]


def test_a_click_on_a_neighbour_makes_it_the_query_and_keeps_the_rest_of_the_address(
    show: Show, runs_folder: Folder
) -> None:
    folder, ids = runs_folder
    app = show(folder, "neighbours", [ids["vae"]], query="3 circle")
    link = unescape(re.findall(r'<a href="\?([^"]*)"', blocks(app)[0])[0])
    address = {key: values[0] for key, values in parse_qs(link).items()}
    assert address["runs"] == f"{ids['vae']}:0" and address["query"] != "3 circle"
    app = show(folder, "neighbours", [ids["vae"]], query=address["query"])
    assert len(blocks(app)) == 1 and f"image {address['query'].split()[0]}</figcaption>" in blocks(app)[0]
    next(button for button in app.button if button.label == "Back to several").click().run()
    assert len(blocks(app)) == 8
    assert len(blocks(show(folder, "neighbours", [ids["vae"]], query="no such image"))) == 8


def test_precision_has_intervals_and_its_baselines(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "neighbours", [ids[role] for role in THREE])
    (figure,) = figures(app)
    written = " ".join(annotation["text"] for annotation in figure["layout"]["annotations"])
    assert "61 (60\N{EN DASH}62)" in written
    assert "pixels 23" in written
    table = app.dataframe[0].value
    assert len(table) == 2 * 7 + 1 and set(table["model"]) >= {"mocov3", "mocov3 untrained", "pixels"}


def test_untrained_networks_can_be_left_out_and_best_spaces_read(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, runs = copied
    content = runs[0].evaluation("linear")
    for row in content["rows"]:
        row["validation"] = 99.0 if row["space"] == "class token" else 1.0
    runs[0].write_evaluation("linear", content)
    app = show(folder, "neighbours", [run.id for run in runs], query="3 circle")
    app.toggle(key="untrained-rows").set_value(False).run()
    assert "untrained" not in blocks(app)[0] and "<small>projector</small>" in blocks(app)[0]
    app.segmented_control(key="read-from").set_value("best").run()
    assert "<small>class token</small>" in blocks(app)[0] and not app.exception


def test_without_labels_there_are_neighbours_without_frames(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, runs = copied
    (probe_of(folder, "fixture01").path / "labels.npy").unlink()
    content = runs[1].evaluation("retrieval")
    runs[1].write_evaluation("retrieval", content | {"rows": []})
    app = show(folder, "neighbours", [runs[1].id])
    assert not app.exception and len(blocks(app)) == 8 and not figures(app)
    assert "wb-right" not in "".join(blocks(app)) and "Without labels" in text(app)


def traces(figure: dict, name: str) -> list[dict]:
    return [trace for trace in figure["data"] if str(trace.get("hovertemplate", "")).startswith(name)]


def test_a_panel_per_change_with_the_projector_dashed_and_examples(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    run = Run(folder / ids["mocov3"])
    content = run.evaluation("invariance")
    assert content["default"] == "projector"  # in the fixture; so nothing is dashed beside it
    app = show(folder, "invariance", [ids[role] for role in THREE])
    (figure,) = figures(app)
    titles = [annotation["text"] for annotation in figure["layout"]["annotations"]]
    assert titles[:3] == ["crop, share of the area cut away", "flip", "noise, s.d. in parts of the range"]
    assert {"mocov3 projector", "vae posterior mean", "untrained", "pixels"} <= set(titles)
    assert figure["layout"]["xaxis"]["ticktext"] == ["0", "20%", "40%"]
    assert figure["layout"]["xaxis2"]["ticktext"] == ["", "left-right", "top-bottom"]
    assert len(figure["layout"]["images"]) == 3 + 3 + 4
    crop, flip, _ = traces(figure, "vae posterior mean")
    assert crop["line"]["dash"] == "solid" and flip["mode"] == "markers"
    assert len(traces(figure, "pixels")) == 3 and traces(figure, "pixels")[0]["line"]["color"] == look.GREY
    assert not app.exception


def test_the_projector_is_dashed_beside_the_default_space(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, runs = copied
    content = runs[0].evaluation("invariance")
    runs[0].write_evaluation("invariance", content | {"default": "class token"})
    (figure,) = figures(show(folder, "invariance", [run.id for run in runs]))
    assert traces(figure, "mocov3 projector")[0]["line"]["dash"] == "dash"
    assert traces(figure, "mocov3 class token")[0]["line"]["dash"] == "solid"


def test_examples_of_other_strengths_are_left_out(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, runs = copied
    probe = probe_of(folder, "fixture01")
    examples = probe.array("invariance-examples")
    assert examples is not None
    probe.write_array("invariance-examples", np.asarray(examples)[:4])
    app = show(folder, "invariance", [runs[0].id])
    assert not app.exception and "images" not in figures(app)[0]["layout"]
