"""Pictures where the eye is: the lightbox, the divider, and the images of a confusion matrix's cell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.widgets.confusion_images import count_text
from tests.app.browser import needs_chromium, opened, served, settled, sync_api

EXAMPLES = Path(__file__).parents[3] / "examples" / "runs"
RUNS = ",".join(path.name[-4:] for path in sorted(EXAMPLES.glob("2*")))
FOCUS = "() => [document.activeElement.tagName, document.activeElement.alt ?? '']"


@pytest.fixture(scope="module")
def examples() -> Iterator[str]:
    with served(EXAMPLES) as address:
        yield address


@pytest.mark.parametrize(
    "counts, words",
    [
        (
            (12, 12, 17),
            "12 of 17 test images of this cell are in the probe set and shown; 5 others have no stored picture.",
        ),
        ((1, 1, 2), "1 of 2 test images of this cell is in the probe set and shown; 1 other has no stored picture."),
        ((3, 3, 3), "3 of 3 test images of this cell are in the probe set and shown."),
        ((120, 130, 130), "130 of 130 test images of this cell are in the probe set; the first 120 are shown."),
        ((0, 0, 4), "None of the 4 test images of this cell is in the probe set, so there is no stored picture."),
        ((0, 0, 0), "No test image is in this cell."),
    ],
)
def test_the_count_of_a_cell_is_given_in_words(counts: tuple[int, int, int], words: str) -> None:
    assert count_text(*counts) == words


@needs_chromium
def test_a_clicked_cell_shows_its_images_in_view(browser: Any, examples: str) -> None:
    page = opened(browser, f"{examples}/what-it-knows?what-it-knows-tab=Linear+probe&runs={RUNS}", width=1440)
    settled(page)
    cells = page.locator("[class*=st-key-confusion-]").last.locator(".scatterlayer .point")
    page.locator("[class*=st-key-confusion-]").last.scroll_into_view_if_needed()
    sync_api.expect(cells).to_have_count(36)
    box = cells.nth(1).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    images = page.locator(".wb-cell-images")
    images.wait_for()
    page.wait_for_function(
        """() => {
          const { top, bottom } = document.querySelector(".wb-cell-images").getBoundingClientRect();
          return top > 0 && bottom <= innerHeight;
        }"""
    )
    assert page.get_by_text("test images of this cell").count() == 1
    assert page.locator(".wb-name", has_text="true triangle, predicted half-disc").count() == 1
    figure = images.locator("figure").first
    assert figure.locator(".wb-dot").count() == 2  # the two other models
    assert "image" in figure.locator("figcaption").inner_text()
    page.wait_for_function("() => location.search.includes('images=')")


@needs_chromium
def test_the_lightbox_by_keys_and_the_divider(browser: Any, examples: str) -> None:
    page = opened(browser, f"{examples}/what-it-draws?what-it-draws-tab=Reconstructions&runs={RUNS}", width=1440)
    settled(page)
    pictures = page.locator(".wb-grid img")
    pictures.first.and_(page.locator("[tabindex='0']")).wait_for()
    assert page.locator(".wb-grid img[tabindex='0']").count() == page.locator(".wb-grid").count()
    pictures.first.focus()
    page.keyboard.press("ArrowRight")  # the focus moves, the page of images is not turned
    at = page.evaluate(FOCUS)
    page.keyboard.press("Enter")
    box, words = page.locator("dialog.wb-lightbox"), page.locator("dialog.wb-lightbox p")
    sync_api.expect(box).to_be_visible()
    assert "original" in words.inner_text() and "image 1000" in words.inner_text()
    size = box.locator(".wb-stage > img:nth-child(2)").bounding_box()
    assert size["width"] > 600 and size["y"] >= 0 and size["y"] + size["height"] < 1000
    assert box.evaluate("(dialog) => getComputedStyle(dialog).backgroundColor") != "rgba(0, 0, 0, 0)"
    page.keyboard.press("ArrowDown")  # the same column's first reconstruction
    sync_api.expect(words).to_contain_text("vae")
    page.keyboard.press("c")
    divider = page.get_by_role("slider", name="Divider")
    sync_api.expect(divider).to_be_focused()
    page.keyboard.press("ArrowRight")
    assert divider.input_value() == "51" and "51%" in box.locator(".wb-stage").get_attribute("style")
    area = divider.bounding_box()
    page.mouse.move(area["x"] + area["width"] / 2, area["y"] + 50)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.2, area["y"] + 50)
    page.mouse.up()
    assert int(divider.input_value()) < 30
    page.keyboard.press("Escape")
    sync_api.expect(box).to_be_hidden()
    assert page.evaluate(FOCUS) == at
    pictures.nth(3).click()
    sync_api.expect(box).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="How it sees", exact=True).click()  # where a click means another thing
    page.get_by_role("tab", name="Neighbours", exact=True).click()
    page.locator(".wb-magnify").nth(1).focus()
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("dialog.wb-lightbox")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.className") == "wb-magnify" and "query=" not in page.url
