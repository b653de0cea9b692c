"""What the server sends on a first visit: compressed, from this machine only."""

import gzip
from typing import Any
from urllib.request import Request, urlopen

import pytest

from app.main import ICON
from app.server import STATIC, asset
from tests.app.browser import needs_chromium, settled

MOST = 3_000_000  # bytes of a first visit
SCRIPT = max(STATIC.glob("static/js/*.js"), key=lambda path: path.stat().st_size)


def fetch(address: str, **headers: str) -> tuple[bytes, Any]:
    with urlopen(Request(address, headers=headers)) as response:
        return response.read(), response.headers


def test_scripts_are_sent_compressed_to_those_who_accept_it(runs_address: str) -> None:
    address = f"{runs_address}/static/js/{SCRIPT.name}"
    plain, headers = fetch(address)
    assert plain == SCRIPT.read_bytes() and "content-encoding" not in headers
    packed, headers = fetch(address, **{"Accept-Encoding": "gzip, br"})
    assert gzip.decompress(packed) == plain and len(packed) < 0.4 * len(plain)
    assert headers["content-encoding"] == "gzip" and headers["vary"] == "Accept-Encoding"
    assert "immutable" in headers["cache-control"]
    part, headers = fetch(address, **{"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert part == plain[:10] and "content-encoding" not in headers


@pytest.mark.parametrize("path", ["/static/../index.html", "/static/../../__init__.py", "/static/no.js", "/index.html"])
def test_only_files_of_the_front_end_are_compressed(path: str) -> None:
    assert asset(path) is None
    assert asset(f"/static/js/{SCRIPT.name}") == SCRIPT


@needs_chromium
@pytest.mark.parametrize("page", ["overview", "training", "what-it-knows"])
def test_a_first_visit_is_small_and_asks_no_other_host(file_browser: Any, runs_address: str, page: str) -> None:
    context = file_browser.new_context()
    opened = context.new_page()
    network = context.new_cdp_session(opened)
    network.send("Network.enable")
    sizes: list[float] = []
    addresses: list[str] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    network.on("Network.requestWillBeSent", lambda event: addresses.append(event["request"]["url"]))
    opened.goto(f"{runs_address}/{page}")
    settled(opened)
    opened.wait_for_timeout(1000)  # scripts of figures load when the page is there
    context.close()
    elsewhere = [url for url in addresses if not url.startswith((runs_address, "data:", "blob:"))]
    assert not elsewhere
    assert len(sizes) > 50 and sum(sizes) < MOST


def test_the_icon_is_part_of_the_package() -> None:
    assert ICON.is_file() and ICON.suffix == ".svg"
