"""Linked maps as a person meets them: circled in one, lit in all, selected on every page and in a fresh browser."""

import csv
import io
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from app.state import chosen_images
from tests.app.browser import needs_chromium, opened, served, sync_api
from tests.app.pages import Folder, probe_arrays
from workbench.files import write_array, write_json
from workbench.store import Probe, Run, probe_of

pytestmark = needs_chromium

MANY = 6000
IDS = np.arange(MANY) * 7 + 3
LIT = """() => Number([...document.querySelectorAll('*')].map((node) => node.shadowRoot).filter(Boolean)
  .map((root) => root.querySelector('.stage')).find(Boolean)?.dataset.lit ?? -1)"""


@pytest.fixture(scope="module")
def many(runs_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The invented runs with a probe set of thousands, the maps a grid with each class in its own rows."""
    folder, ids = runs_folder
    tmp_path = tmp_path_factory.mktemp("many")
    shutil.copytree(folder / ".probes", tmp_path / ".probes")
    probe, (_, _, factors, images) = probe_of(tmp_path, "fixture01"), probe_arrays(tmp_path)
    write_array(probe.path / "labels.npy", np.sort(np.resize(np.arange(6), MANY)))
    for name, array in {"images": images, "factors": factors}.items():
        write_array(probe.path / f"{name}.npy", np.resize(array, (MANY, *array.shape[1:])))
    write_array(probe.path / "ids.npy", IDS)
    write_json(probe.path / "probe.json", probe.info() | {"n": MANY})
    place = np.stack([np.arange(MANY) % 80, np.arange(MANY) // 80], 1).astype(np.float32)
    Probe(probe.path / "baselines").write_array("tsne-pixels", place[::-1])
    for role in ("mocov3", "vae"):
        run = Run(shutil.copytree(folder / ids[role], tmp_path / ids[role]))
        for space in run.evaluation("projection")["spaces"]:
            run.write_array(f"tsne-{space}", place)
    return tmp_path, ids


@pytest.fixture(scope="module")
def address(many: Folder) -> Iterator[str]:
    with served(many[0]) as found:
        yield found


def maps(browser: Any, address: str, ids: dict[str, str], more: str = "") -> Any:
    """The page Embeddings, once its maps are drawn."""
    runs = f"{ids['mocov3']}:0,{ids['vae']}:1"
    page = opened(browser, f"{address}/how-it-sees?how-it-sees-tab=Embeddings&runs={runs}{more}")
    page.locator(".stage[data-lit]").wait_for()
    sync_api.expect(page.locator(".wait:visible")).to_have_count(0, timeout=60_000)
    for _ in range(240):  # points have been drawn, if only a few in full colour, and have slid to their places
        if colours(page, 0) > 20:
            break
    return page


def circle(page: Any, x: float, y: float, radius: float) -> None:
    """A lasso around a point of the first map, in parts of its width."""
    box = page.locator(".plot").first.bounding_box()
    x, y, radius = box["x"] + x * box["width"], box["y"] + y * box["height"], radius * box["width"]
    page.mouse.move(x + radius, y)
    page.mouse.down()
    for part in range(1, 25):
        page.mouse.move(x + radius * math.cos(part / 24 * 6.28), y + radius * math.sin(part / 24 * 6.28))
    page.mouse.up()


def chip(page: Any, count: int) -> Any:
    return page.get_by_role("button", name=f"{count:,} images selected")


def token(page: Any) -> str:
    return parse_qs(urlparse(page.url).query)["images"][0]


def colours(page: Any, plot: int, part: float = 1, rounds: int = 3) -> int:
    """How many pixels in the upper left part of a map are of a strong colour, as unselected points are not, once they
    stay as they are for so many tenths of a second."""
    script = """async ([plot, part, rounds]) => {
      const stage = [...document.querySelectorAll('*')].map((n) => n.shadowRoot).filter(Boolean)
        .map((r) => r.querySelector('.stage')).find(Boolean);
      const canvas = stage.querySelectorAll('.plot')[plot].querySelector('canvas');
      const count = () => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, part * canvas.width, part * canvas.height);
        let strong = 0;
        for (let at = 0; at < data.length; at += 4) {
          const rgb = [data[at], data[at + 1], data[at + 2]];
          strong += Math.max(...rgb) - Math.min(...rgb) > 60;
        }
        return strong;
      };
      let now = count();
      for (let same = 0, tries = 0; same < rounds && tries < 300; tries++) {
        for (let frame = 0; frame < 6; frame++) await new Promise(requestAnimationFrame);
        const before = now;
        now = count();
        same = now === before ? same + 1 : 0;
      }
      return now;
    }"""
    return page.evaluate(script, [plot, part, rounds])


def test_a_lasso_is_carried_over_maps_pages_and_to_a_fresh_browser(browser: Any, address: str, many: Folder) -> None:
    ids = many[1]
    page = maps(browser, address, ids)
    assert all(colours(page, plot) > 1000 and colours(page, plot, 0.15, rounds=0) > 100 for plot in range(3))
    circle(page, 0.5, 0.5, 0.4)
    page.wait_for_function(f"() => ({LIT})() > 0")
    count = page.evaluate(LIT)
    assert 2000 < count < MANY
    chip(page, count).wait_for()
    after = [colours(page, plot) for plot in range(3)]
    assert all(colours(page, plot, 0.15, rounds=0) == 0 for plot in range(3))  # outside the lasso every map is dimmed
    assert after[0] > 1000 and abs(after[0] - after[1]) < 0.02 * after[0]  # the same images, on two equal maps
    chosen = chosen_images.read_images(token(page), [IDS])
    assert len(chosen) == count and len(token(page)) < 1100
    place = np.array([[row % 80, row // 80] for row in range(MANY)])[(np.array(chosen) - 3) // 7]
    assert place.min(0).tolist() > [2, 2] and place.max(0).tolist() < [77, 72]

    for name in ("What it knows", "What it draws", "Training", "How it sees"):
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("heading", level=1).wait_for()
        chip(page, count).wait_for()
        assert page.locator("[data-testid=stException]").count() == 0
    fresh = opened(browser, page.url)
    chip(fresh, count).wait_for()
    assert token(fresh) == token(page)


def test_escape_clears_a_click_selects_and_the_legend_selects_a_class(browser: Any, address: str, many: Folder) -> None:
    page = maps(browser, address, many[1])
    page.locator(".legend button", has_text="ring").click()
    page.wait_for_function(f"() => ({LIT})() === {MANY // 6}")
    chip(page, MANY // 6).wait_for()
    page.locator(".legend button", has_text="bar").click(modifiers=["Shift"])
    chip(page, MANY // 3).wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function(f"() => ({LIT})() === 0")
    page.wait_for_function("() => !location.search.includes('images=')")
    box = page.locator(".plot").first.bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.get_by_role("button", name="1 image selected").wait_for()


def test_the_chip_clears_what_the_maps_show(browser: Any, address: str, many: Folder) -> None:
    text = chosen_images.write_images(IDS[:3000].tolist(), [IDS])
    page = maps(browser, address, many[1], f"&images={text}")
    assert page.evaluate(LIT) == 3000
    chip(page, 3000).click()
    page.wait_for_function(f"() => ({LIT})() === 0")
    sync_api.expect(chip(page, 3000)).to_have_count(0)


def test_hover_shows_the_image_whose_sheet_is_fetched_then(browser: Any, address: str, many: Folder) -> None:
    page = maps(browser, address, many[1])
    files: list[str] = []
    page.on("request", lambda request: files.append(request.url))
    box = page.locator(".plot").first.bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x, y)
    page.locator(".tooltip .thumbnail").first.wait_for()
    assert page.locator(".tooltip b").inner_text() in ("circle", "square", "triangle", "cross", "ring", "bar")
    for attempt in range(200):  # MANY images come as six sheets, on demand
        page.wait_for_timeout(250)
        page.mouse.move(x + 3 * (attempt % 2), y)
        if any(url.endswith(".webp") for url in files):
            break
    assert any(url.endswith(".webp") for url in files)
    assert page.locator(".tooltip .strip .thumbnail").count() == 6


def test_maps_are_saved_as_png_svg_and_csv(browser: Any, address: str, many: Folder, tmp_path: Path) -> None:
    text = chosen_images.write_images(IDS[:10].tolist(), [IDS])
    page = maps(browser, address, many[1], f"&images={text}")
    files = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.locator(f"[data-save={kind}]").click()
        files[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[kind])
    assert [path.name for path in files.values()] == ["maps.png", "maps.svg", "maps.csv"]
    picture = Image.open(files["PNG"])
    assert picture.width > 1000 and len(picture.convert("RGB").quantize(32).getcolors() or []) > 4
    drawing = ElementTree.parse(files["SVG"]).getroot()
    circles = list(drawing.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) > 0.95 * 3 * MANY
    assert sum(float(circle.get("fill-opacity", "1")) > 0.5 for circle in circles) == 30
    rows = list(csv.DictReader(io.StringIO(files["CSV"].read_text())))
    assert len(rows) == 3 * MANY and {row["map"] for row in rows} >= {"mocov3", "vae", "pixels"}
    assert [int(row["image"]) for row in rows[:MANY]] == IDS.tolist()
    assert sum(row["selected"] == "1" for row in rows) == 30 and rows[0]["class"] == "circle"
    x, y = np.array([(float(row["x"]), float(row["y"])) for row in rows[:MANY]]).T
    grid = np.stack([np.arange(MANY) % 80, np.arange(MANY) // 80])
    assert np.corrcoef(x, grid[0])[0, 1] > 0.999 and np.corrcoef(y, grid[1])[0, 1] > 0.999


def test_zoom_and_pan_move_one_map_alone(browser: Any, address: str, many: Folder) -> None:
    page = maps(browser, address, many[1])
    before = [colours(page, plot) for plot in range(2)]
    box = page.locator(".plot").first.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.wheel(0, -900)
    page.wait_for_timeout(800)
    assert colours(page, 0) != before[0] and colours(page, 1) == before[1]
    page.mouse.dblclick(box["x"] + 3, box["y"] + 3)
    page.wait_for_timeout(800)
    assert colours(page, 0) == before[0]


def test_a_map_is_enlarged_with_the_selected_images_beside_it(browser: Any, address: str, many: Folder) -> None:
    page = maps(browser, address, many[1])
    before = page.locator(".plot").first.bounding_box()
    page.locator(".enlarge").first.click()
    sync_api.expect(page.locator("section:visible")).to_have_count(1)
    assert page.locator(".plot").first.bounding_box()["width"] > 1.5 * before["width"]
    page.locator(".legend button", has_text="ring").click()
    sync_api.expect(page.locator(".gallery h3")).to_have_text("1,000 images selected")
    assert page.locator(".counts li").all_inner_texts() == ["ring\n1,000"]
    assert page.locator(".tiles button").count() == 120
    page.locator(".tiles").evaluate("(tiles) => { tiles.scrollTop = tiles.scrollHeight; }")
    sync_api.expect(page.locator(".tiles button")).to_have_count(240)
    circle(page, 0.5, 0.5, 0.2)  # the lasso works on the large map, too
    sync_api.expect(page.locator(".gallery h3")).not_to_have_text("1,000 images selected")
    page.locator(".tiles button").first.click()
    sync_api.expect(page.locator("dialog.wb-lightbox")).to_be_visible()
    page.keyboard.press("Escape")  # first the picture, then the map; the selection stays
    page.keyboard.press("Escape")
    sync_api.expect(page.locator("section:visible")).to_have_count(3)
    assert page.evaluate(LIT) > 0
