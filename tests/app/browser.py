"""What tests in a real browser share: the served app, Chromium, and waiting for a page."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from app.launch import command

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
sync_api.expect.set_options(timeout=60_000)  # other tests keep the processor busy
PATHS = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
CHROMIUM = next((path for path in PATHS if path), None)
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
QUIET += ("--disable-component-update", "--disable-sync")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")


@contextmanager
def served(folder: Path, allow_actions: bool = False) -> Iterator[str]:
    """The address of an app on a folder of runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv, environment = command(port, folder, allow_actions=allow_actions)
    server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                with urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                    break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield started
        started.close()


def opened(browser: Any, url: str, width: int = 1500, dark: bool = False) -> Any:
    """A page of a browser that knows nothing yet."""
    scheme = "dark" if dark else "light"
    page = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme).new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    return page


def settled(page: Any) -> None:
    """Wait until the page is drawn, and see that nothing broke."""
    page.get_by_role("heading", level=1).wait_for()
    sync_api.expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0)
    sync_api.expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_have_count(1)
    problems = page.locator("[data-testid=stException]").all_inner_texts()
    assert not problems, (page.url, problems)
