"""Through the whole app in Chromium, on runs that were really trained: what a person does in the first half hour."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from app.main import GROUPS
from tests import processes
from tests.app.browser import needs_chromium, opened, served, settled
from tests.training.tiny import settings
from workbench.store import Run, list_runs
from workbench.training import start

pytestmark = needs_chromium
EXAMPLES = Path(__file__).parents[2] / "examples" / "runs"
NEWEST = """() => Math.max(0, ...[...document.querySelectorAll('.st-key-loss-vae .js-plotly-plot')]
  .flatMap((figure) => (figure._fullData || []).flatMap((trace) => [...(trace.x || [])].slice(-1))))"""  # step drawn


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, and a run that has its weights and no evaluation."""
    copy = shutil.copytree(EXAMPLES, tmp_path_factory.mktemp("tour") / "runs")
    assert start("vae", settings("vae", copy) | {"name": "fresh"}) is not None
    return copy


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder, allow_actions=True) as found:
        yield found


def of_method(folder: Path, method: str) -> str:
    """The id of the example that has pictures, the newest."""
    return max(run.name for run in folder.glob(f"*-{method}-shapes-*"))


def seen(page: Any, name: str) -> None:
    """Keep a picture for whoever wants to look: ``WORKBENCH_SCREENSHOTS=DIR pytest tests/app/test_tour.py``."""
    if target := os.environ.get("WORKBENCH_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        height = page.evaluate("(document.querySelector('[data-testid=stMain]') || document.body).scrollHeight")
        width = page.viewport_size["width"]
        page.set_viewport_size({"width": width, "height": min(max(int(height) + 20, 1000), 4000)})
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(target) / f"{name}.png")
        page.set_viewport_size({"width": width, "height": 1000})


def test_runs_are_chosen_shared_searched_and_carried_over_pages(browser: Any, address: str, folder: Path) -> None:
    ids = [of_method(folder, method) for method in ("mocov3", "vae", "ddpm")]
    page = opened(browser, f"{address}/runs?runs={ids[0]}:0,{ids[1]}:1")
    settled(page)
    rows = page.get_by_test_id("stDataFrame").bounding_box()
    page.get_by_role("button", name="vae").first.wait_for()
    page.mouse.click(rows["x"] + 18, rows["y"] + 39 + 18)  # the first row is the newest run, which is not ticked
    page.get_by_role("button", name="fresh").wait_for()
    fresh_id = next(run.name for run in folder.glob("*-vae-digits-*"))
    page.wait_for_function("id => decodeURIComponent(location.search).includes(id)", arg=fresh_id[-4:])
    page.get_by_role("button", name="fresh").click()
    page.get_by_role("button", name="Remove").click()

    link = page.url
    page.get_by_role("link", name="What it knows", exact=True).click()
    settled(page)
    page.get_by_role("button", name="Select images").click()
    page.get_by_role("textbox", name="Search images").fill("class:arrow,heart")
    page.keyboard.press("Enter")
    chip = page.get_by_role("button", name="images selected")
    chip.wait_for()
    count = chip.inner_text()
    for name in ("How it sees", "What it draws", "Training", "Report"):
        page.get_by_role("link", name=name, exact=True).click()
        settled(page)
        assert chip.inner_text() == count
    other = opened(browser, page.url)
    settled(other)
    assert other.get_by_role("button", name="images selected").inner_text() == count
    assert ids[0][-4:] in unquote(link) and f"{ids[0][-4:]},{ids[1][-4:]}" in unquote(other.url)


def test_a_command_is_started_followed_and_cancelled(browser: Any, address: str, folder: Path) -> None:
    run = Run(next(folder.glob("*-vae-digits-*")))
    page = opened(browser, f"{address}/what-it-knows?runs={run.id}:0")
    settled(page)
    page.get_by_role("button", name="Run command").first.click()
    page.get_by_role("button", name="1 running").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("evaluate", exact=False).first.wait_for()
    page.get_by_text("cancelled").first.wait_for()
    page.get_by_role("button", name="Commands").wait_for()
    assert list((folder / ".jobs").glob("*/cancel"))
    assert "Traceback" not in next((folder / ".jobs").glob("*/log")).read_text()
    settled(page)


def test_a_training_is_followed_without_a_reload(browser: Any, address: str, folder: Path) -> None:
    words = ["train", "vae", "--data", "digits", "--data.limit", "160", "--epochs", "4000", "--log-every", "1"]
    words += ["--batch-size", "16", "--width", "8", "--latent-dim", "4", "--name", "live", "--runs", str(folder)]
    words += ["--device", "cpu", "--monitor-every", "0", "--checkpoint-every", "500"]
    training = processes.begin(processes.workbench, words)
    try:
        run = None
        while run is None:
            assert training.is_alive()
            run = next((run for run in list_runs(folder) if run.info().get("name") == "live"), None)
            time.sleep(0.05)
        page = opened(browser, f"{address}/training?runs={run.id}:0")
        page.locator(".st-key-loss-vae .js-plotly-plot").first.wait_for(state="attached")
        page.evaluate("window.untouched = true")
        page.wait_for_function(f"() => ({NEWEST})() > 0")
        first = page.evaluate(NEWEST)
        page.wait_for_function(f"before => ({NEWEST})() > before", arg=first)
        assert page.evaluate("window.untouched")
        seen(page, "live")
    finally:
        os.kill(training.pid or 0, signal.SIGINT)
        processes.ended(training, seconds=60)
    assert run.summary()["status"] == "interrupted"


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (1280, True),
        (1920, False),
        pytest.param(1280, False, marks=pytest.mark.slow),
        pytest.param(1920, True, marks=pytest.mark.slow),
    ],
)
def test_every_page_fits_in_light_and_dark(browser: Any, address: str, folder: Path, width: int, dark: bool) -> None:
    chosen = ",".join(f"{of_method(folder, method)}:{at}" for at, method in enumerate(("mocov3", "vae", "ddpm")))
    page = opened(browser, f"{address}/?runs={chosen}", width, dark)
    for group, (_, views) in GROUPS.items():
        page.get_by_role("link", name=group, exact=True).click()
        for tab in (module.TITLE for module in views):
            if len(views) > 1:
                page.get_by_role("tab", name=tab, exact=True).click()
            settled(page)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            main = page.evaluate("(n => n.scrollWidth - n.clientWidth)(document.querySelector('[data-testid=stMain]'))")
            assert max(wide, main) <= 0, (group, tab)
            seen(page, f"{width}-{'dark' if dark else 'light'}-{group}-{tab}".replace(" ", "-").replace("?", ""))
    background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert (sum(int(part) for part in background[4:-1].split(",")) < 3 * 80) == dark
