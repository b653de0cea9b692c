"""The pages Neighbours and Invariance."""

import json
import re
from html import unescape
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.views.sees import neighbours
from tests.app.browser import chromium, needs_chromium, opened, settled
from tests.app.pages import THREE, Copies, Folder, Show, button, figures, plain, prefer_space, probe_arrays, text
from workbench import palette
from workbench.store import Run, probe_of


def blocks(app: AppTest) -> list[str]:
    """The HTML of each query."""
    (drawn,) = app.get("bidi_component")
    return json.loads(drawn.proto.json)["html"].split('<div class="wb-sheet">')[1:]


def test_a_row_per_model_and_baseline_with_right_and_wrong_frames(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "neighbours", [ids[role] for role in THREE], query="3 circle")
    (block,) = blocks(app)
    labels = re.findall(r'<div class="wb-row">.*?</span> ([^<]*)', block)
    assert labels == ["mocov3", "vae", "ddpm", "pixels", "untrained mocov3", "untrained vae", "untrained ddpm"]
    assert block.count(f"background:{palette.GREY}") == 4
    stored, (sample_ids, truth, *_) = Run(folder / ids["mocov3"]).array("neighbours-projector"), probe_arrays(folder)
    assert stored is not None
    row = block.split('<div class="wb-row">')[1]
    assert [int(one) for one in re.findall(r'title="image (\d+)', row)] == stored[0, :10].tolist()
    right = truth[np.searchsorted(sample_ids, stored[0, :10])] == truth[0]
    assert row.count("wb-right") == right.sum() and row.count("wb-wrong") == 10 - right.sum()
    assert row.count("\N{CHECK MARK}") == right.sum() and f"{right.sum()} of 10" in row


def test_eight_random_queries_others_on_demand_and_the_selected_ones(page: Show) -> None:
    app = page("neighbours", "vae")
    first = blocks(app)
    assert len(first) == 8
    button(app, "Others").click().run()
    assert len(blocks(app)) == 8 and blocks(app) != first
    app = page("neighbours", "vae", images="10,3")
    assert [re.findall(r"image (\d+)</figcaption>", block) for block in blocks(app)] == [["3"], ["10"]]


def test_a_clicked_neighbour_is_the_query_and_the_rest_of_the_address_stays(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "neighbours", [ids["vae"]], query="3 circle")
    link, told = re.findall(r'<a href="\?([^"]*)" data-link="(\d+)"', blocks(app)[0])[0]
    address = {key: values[0] for key, values in parse_qs(unescape(link)).items()}
    assert address == {"runs": ids["vae"][-4:], "query": told} and told != "3"
    app = show(folder, "neighbours", [ids["vae"]], query=address["query"])
    assert len(blocks(app)) == 1 and f"image {told}</figcaption>" in blocks(app)[0]
    button(app, "Show several queries").click().run()
    assert len(blocks(app)) == 8
    app.text_input(key="query").set_value("10").run()
    assert "image 10</figcaption>" in blocks(app)[0]
    app = show(folder, "neighbours", [ids["vae"]], query="No image with this id")
    assert len(blocks(app)) == 8 and "No image with this id in the probe set." in text(app)


def test_only_an_id_that_came_back_becomes_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, query in (({"link": "17"}, "17"), ({}, None), ({"link": None}, None)):
        state = {neighbours.KEY: answer}
        monkeypatch.setattr(neighbours.st, "session_state", state)
        neighbours.clicked()
        assert state.get("query") == query


@needs_chromium
def test_a_click_keeps_the_session_and_is_in_the_address(runs_folder: Folder, runs_address: str) -> None:
    ids = runs_folder[1]
    with chromium() as browser:
        page = opened(browser, f"{runs_address}/how-it-sees?how-it-sees-tab=Neighbours&runs={ids['vae']}:0")
        settled(page)
        page.locator(".wb-query").first.wait_for()
        before = page.locator(".wb-links").inner_html()
        page.get_by_role("button", name="Others").click()
        page.wait_for_function("html => document.querySelector('.wb-links')?.innerHTML !== html", arg=before)
        settled(page)
        drawn = page.locator(".wb-links").inner_html()
        page.evaluate("window.untouched = true")
        image = page.locator("[data-link]").first
        told = image.get_attribute("data-link")
        image.click()
        page.locator(".wb-asked", has_text=f"image {told}").wait_for()
        page.get_by_role("button", name="Show several queries").wait_for()
        page.wait_for_function("id => new URLSearchParams(location.search).get('query') === id", arg=told)
        assert parse_qs(urlparse(page.url).query)["runs"] == [ids["vae"][-4:]]
        assert page.locator(".wb-query").count() == 1
        page.get_by_role("button", name="Show several queries").click()
        page.get_by_role("button", name="Others").wait_for()
        settled(page)
        page.wait_for_function("!location.search.includes('query=')")
        assert page.evaluate("window.untouched") and page.locator(".wb-links").inner_html() == drawn


def test_precision_has_intervals_and_its_baselines(page: Show) -> None:
    app = page("neighbours", *THREE)
    (figure,) = figures(app)
    written = " ".join(annotation["text"] for annotation in figure["layout"]["annotations"])
    assert "61.0 [59.5, 62.5]" in written
    assert "pixels 23" in written
    table = app.dataframe[0].value
    assert len(table) == 2 * 7 + 1 and set(table["model"]) >= {"mocov3", "mocov3 untrained", "pixels"}


def test_untrained_networks_can_be_left_out_and_default_spaces_read(show: Show, copied: Copies) -> None:
    folder, runs = copied
    prefer_space(runs[0], "class token")
    app = show(folder, "neighbours", [run.id for run in runs], query="3 circle")
    app.toggle(key="untrained-rows").set_value(False).run()
    assert "untrained" not in blocks(app)[0] and "<small>class token</small>" in blocks(app)[0]
    app.segmented_control(key="read-from").set_value("default").run()
    assert "<small>projector</small>" in blocks(app)[0] and not app.exception


def test_without_labels_there_are_neighbours_without_frames(show: Show, copied: Copies) -> None:
    folder, runs = copied
    (probe_of(folder, "fixture01").path / "labels.npy").unlink()
    content = runs[1].evaluation("retrieval")
    runs[1].write_evaluation("retrieval", content | {"rows": []})
    app = show(folder, "neighbours", [runs[1].id])
    assert not app.exception and len(blocks(app)) == 8 and not figures(app)
    assert "wb-right" not in "".join(blocks(app)) and "needs labels" in text(app)


def traces(figure: dict, name: str) -> list[dict]:
    return [trace for trace in figure["data"] if str(trace.get("hovertemplate", "")).startswith(name)]


def test_a_panel_per_change_with_the_projector_dashed_and_examples(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    run = Run(folder / ids["mocov3"])
    content = run.evaluation("invariance")
    assert content["default"] == "projector"  # in the fixture; so nothing is dashed beside it
    app = show(folder, "invariance", [ids[role] for role in THREE])
    (figure,) = figures(app)
    titles = [plain(annotation["text"]) for annotation in figure["layout"]["annotations"]]
    assert titles[:3] == ["crop, share of area removed", "flip", "noise, SD in units of the pixel range"]
    assert {"mocov3 projector", "vae posterior mean", "untrained", "pixels"} <= set(titles)
    assert figure["layout"]["xaxis"]["ticktext"] == ["0", "20%", "40%"]
    assert figure["layout"]["xaxis2"]["ticktext"] == ["", "left-right", "top-bottom"]
    assert len(figure["layout"]["images"]) == 3 + 3 + 4
    crop, flip, _ = traces(figure, "vae posterior mean")
    assert crop["line"]["dash"] == "solid" and flip["mode"] == "markers"
    assert len(traces(figure, "pixels")) == 3 and traces(figure, "pixels")[0]["line"]["color"] == palette.GREY
    assert not app.exception


def test_the_projector_is_dashed_beside_the_default_space(show: Show, copied: Copies) -> None:
    folder, runs = copied
    content = runs[0].evaluation("invariance")
    runs[0].write_evaluation("invariance", content | {"default": "class token"})
    app = show(folder, "invariance", [run.id for run in runs])
    app.segmented_control(key="read-from").set_value("default").run()
    (figure,) = figures(app)
    assert traces(figure, "mocov3 projector")[0]["line"]["dash"] == "dash"
    assert traces(figure, "mocov3 class token")[0]["line"]["dash"] == "solid"


def test_examples_of_other_strengths_are_left_out(show: Show, copied: Copies) -> None:
    folder, runs = copied
    probe = probe_of(folder, "fixture01")
    examples = probe.array("invariance-examples")
    assert examples is not None
    probe.write_array("invariance-examples", np.asarray(examples)[:4])
    app = show(folder, "invariance", [runs[0].id])
    assert not app.exception and "images" not in figures(app)[0]["layout"]
