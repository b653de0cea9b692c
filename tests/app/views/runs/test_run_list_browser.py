"""The table of runs in a browser: all ticked at once, and ticked by keyboard alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.browser import needs_chromium, opened, served, settled

pytestmark = needs_chromium
EXAMPLES = Path(__file__).resolve().parents[4] / "examples" / "runs"
IDS = sorted((path.name for path in EXAMPLES.glob("2*")), reverse=True)  # the order of the table


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(EXAMPLES) as url:
        yield url


def test_all_nine_runs_are_ticked_by_one_click_and_opened_by_the_url(browser: Any, address: str) -> None:
    page = opened(browser, f"{address}/runs?runs=none")
    settled(page)
    box = page.get_by_test_id("stDataFrame").bounding_box()
    page.wait_for_timeout(1000)
    page.mouse.click(box["x"] + 16, box["y"] + 19)
    every = "ids => ids.every((id) => new URL(location.href).searchParams.get('runs').split(',').includes(id))"
    page.wait_for_function(every, arg=[run_id[-4:] for run_id in IDS])
    again = opened(browser, page.url)
    settled(again)
    assert again.evaluate(every, [run_id[-4:] for run_id in IDS])
    chips = again.locator(".st-key-chosen button").all_inner_texts()
    assert [text.split(" (")[0] for text in chips] == ["vae", "ddpm", "mocov3"]


def test_rows_are_ticked_by_keyboard(browser: Any, address: str) -> None:
    page = opened(browser, f"{address}/runs?runs=none")
    settled(page)
    page.get_by_test_id("data-grid-canvas").wait_for()
    page.wait_for_timeout(1000)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "CANVAS":
            break
    ticked: list[str] = []
    for run_id in IDS[1:4]:  # the focus stays in the table while chips come above it
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Shift+Space")
        ticked.append(run_id[-4:])
        page.wait_for_function(
            "ids => new URL(location.href).searchParams.get('runs') === ids", arg=",".join(ticked), timeout=20_000
        )
        settled(page)
