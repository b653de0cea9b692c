"""The first page: its own address opens it, and the bare address leads to it with what it names."""

from typing import Any

import pytest

from tests.app.browser import needs_chromium, opened, settled
from tests.app.pages import Folder

pytestmark = needs_chromium


@pytest.mark.parametrize("path", ["/", "/overview", "/?all-seeds=false"])
def test_overview_has_an_address(browser: Any, runs_address: str, path: str) -> None:
    page = opened(browser, runs_address + path)
    page.wait_for_url("**/overview*")
    settled(page)
    assert page.locator("h1").inner_text() == "Overview"
    assert page.get_by_role("dialog").count() == 0
    assert ("all-seeds=false" in page.url) == ("all-seeds" in path)


def test_a_selection_in_the_bare_address_stays(browser: Any, runs_address: str, runs_folder: Folder) -> None:
    _, ids = runs_folder
    page = opened(browser, f"{runs_address}/?runs={ids['vae']}")
    page.wait_for_url("**/overview*")
    settled(page)
    assert ids["vae"][-4:] in page.url and ids["mocov3"][-4:] not in page.url
