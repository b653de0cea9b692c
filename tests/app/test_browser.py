"""The app as a person meets it: served by the launcher, opened in Chromium."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

import pytest

from app.launch import command

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
QUIET += ("--disable-component-update", "--disable-sync")
PAGES = {
    "Training": (),
    "What it knows": ("Linear probe", "Factors"),
    "How it sees": ("Similarity", "Agreement", "Embeddings"),
    "What it draws": ("Reconstructions", "Samples"),
    "Runs": ("Runs", "Differences"),
}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")


@pytest.fixture
def address(runs_folder: tuple[Path, dict[str, str]]) -> Iterator[str]:
    """A served app."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv, environment = command(port, runs_folder[0])
    server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                with urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                    break
            except OSError:
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def test_a_choice_survives_pages_and_a_reload(address: str, runs_folder: tuple[Path, dict[str, str]]) -> None:
    ids = runs_folder[1]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.goto(f"{address}/?runs={ids['mocov3']}:0,{ids['vae']}:1,{ids['ddpm']}:2")
        page.get_by_role("button", name="ddpm").wait_for()
        page.get_by_role("button", name="vae").first.click()
        page.get_by_role("button", name="vae").first.wait_for(state="detached")
        wanted = f"runs={ids['mocov3']}:0,{ids['ddpm']}:2"
        for name, tabs in PAGES.items():
            page.get_by_role("link", name=name, exact=True).click()
            for tab in tabs or (None,):
                if tab:
                    page.get_by_role("tab", name=tab, exact=True).click()
                page.get_by_role("heading", level=1).wait_for()
                sync_api.expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0)
                sync_api.expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_have_count(1)
                assert page.locator("[data-testid=stException]").count() == 0, (name, tab)
                assert wanted in unquote(page.url), (name, tab)
        page.reload()
        page.get_by_role("button", name="ddpm").wait_for()
        assert page.get_by_role("button", name="vae").count() == 0
        assert wanted in unquote(page.url)
        assert "runs-tab=Differences" in page.url
        browser.close()
