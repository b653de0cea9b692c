"""Curves in a browser: a drag zooms every figure at once, before the server answers."""

from typing import Any

from tests.app.browser import needs_chromium, opened, settled
from tests.app.pages import Folder

pytestmark = needs_chromium

RANGES = """() => [...document.querySelectorAll('.js-plotly-plot')].map((plot) => plot._fullLayout.xaxis.range)"""
CHANGED = f"(before) => ({RANGES})().every((range, i) => range[0] != before[i][0])"
LABELS = ".js-plotly-plot .annotation"


def test_a_drag_zooms_all_figures_and_stands_in_the_url(browser: Any, runs_address: str, runs_folder: Folder) -> None:
    _, ids = runs_folder
    page = opened(browser, f"{runs_address}/training?runs={ids['mocov3']}:0,{ids['vae']}:1")
    page.locator(LABELS).first.wait_for()
    settled(page)
    before = page.evaluate(RANGES)
    names = page.locator(LABELS).all_inner_texts()
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    box = plot.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.2 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=4)
    page.mouse.move(box["x"] + 0.7 * box["width"], y, steps=4)
    page.mouse.up()
    page.wait_for_function(CHANGED, arg=before)
    page.wait_for_url("**zoom=step*")
    settled(page)
    page.wait_for_function(f"() => document.querySelectorAll('{LABELS}').length == {len(names)}")
    zoomed = page.evaluate(RANGES)
    assert len({tuple(round(end, 1) for end in ends) for ends in zoomed}) == 1 and len(zoomed) == len(before)
    assert before[0][0] < zoomed[0][0] < zoomed[0][1] < before[0][1]
    page.reload()
    page.locator(LABELS).first.wait_for()
    assert page.evaluate(RANGES)[0] == zoomed[0]
    page.mouse.dblclick(box["x"] + 0.5 * box["width"], y)
    page.wait_for_url(lambda url: "zoom" not in url)
    page.wait_for_function(CHANGED, arg=zoomed)
    assert page.evaluate(RANGES) == before


def test_figures_offer_no_way_to_send_data_elsewhere(browser: Any, runs_address: str) -> None:
    page = opened(browser, f"{runs_address}/training")
    page.locator(LABELS).first.wait_for()
    titles = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map((button) => button.dataset.title)")
    assert titles and set(titles) == {"Download plot as a PNG"}
