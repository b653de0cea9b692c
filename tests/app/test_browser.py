"""The app as a person meets it: served by the launcher, opened in Chromium."""

from typing import Any
from urllib.parse import unquote

from tests.app.browser import needs_chromium, opened, settled
from tests.app.pages import Folder

PAGES = {
    "Training": (),
    "What it knows": ("Linear probe", "Factors"),
    "How it sees": ("Similarity", "Agreement", "Embeddings"),
    "What it draws": ("Reconstructions", "Samples"),
    "Runs": ("Runs", "Differences"),
}

pytestmark = needs_chromium


def test_a_choice_survives_pages_and_a_reload(browser: Any, runs_address: str, runs_folder: Folder) -> None:
    ids = runs_folder[1]
    page = opened(browser, f"{runs_address}/?runs={ids['mocov3']}:0,{ids['vae']}:1,{ids['ddpm']}:2")
    page.get_by_role("button", name="ddpm").wait_for()
    page.get_by_role("button", name="vae").first.click()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="vae").first.wait_for(state="detached")
    wanted = f"runs={ids['mocov3'][-4:]},{ids['ddpm'][-4:]}"
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
