"""The app as a person meets it: served by the launcher, opened in Chromium."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.app.browser import chromium, needs_chromium, opened, served, settled

PAGES = {
    "Training": (),
    "What it knows": ("Linear probe", "Factors"),
    "How it sees": ("Similarity", "Agreement", "Embeddings"),
    "What it draws": ("Reconstructions", "Samples"),
    "Runs": ("Runs", "Differences"),
}

pytestmark = needs_chromium


@pytest.fixture
def address(runs_folder: tuple[Path, dict[str, str]]) -> Iterator[str]:
    with served(runs_folder[0]) as found:
        yield found


def test_a_choice_survives_pages_and_a_reload(address: str, runs_folder: tuple[Path, dict[str, str]]) -> None:
    ids = runs_folder[1]
    with chromium() as browser:
        page = opened(browser, f"{address}/?runs={ids['mocov3']}:0,{ids['vae']}:1,{ids['ddpm']}:2")
        page.get_by_role("button", name="ddpm").wait_for()
        page.get_by_role("button", name="vae").first.click()
        page.get_by_role("button", name="vae").first.wait_for(state="detached")
        wanted = f"runs={ids['mocov3']}:0,{ids['ddpm']}:2"
        for name, tabs in PAGES.items():
            page.get_by_role("link", name=name, exact=True).click()
            for tab in tabs or (None,):
                if tab:
                    page.get_by_role("tab", name=tab, exact=True).click()
                settled(page)
                assert wanted in unquote(page.url), (name, tab)
        page.reload()
        page.get_by_role("button", name="ddpm").wait_for()
        assert page.get_by_role("button", name="vae").count() == 0
        assert wanted in unquote(page.url)
        assert "runs-tab=Differences" in page.url
