"""The dashboard's server: Streamlit's, with compressed scripts, and the app imported before the first visit."""

import gzip
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from threading import Thread

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import file_util
from streamlit.starlette import App

STATIC = Path(file_util.get_static_dir()).resolve()
COMPRESSIBLE = (".css", ".html", ".js", ".json", ".svg")


class CompressedAssets:
    """Sends Streamlit's own scripts and styles compressed by gzip, which Streamlit leaves to a proxy.

    Each file is compressed once for the life of the server; its name holds a hash of its content.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = asset(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        headers = Headers(scope=scope) if path else {}
        if path is None or "range" in headers or "gzip" not in headers.get("accept-encoding", ""):
            await self.app(scope, receive, send)
            return
        body = await anyio.to_thread.run_sync(compressed, path)
        started = False

        async def replace(message: Message) -> None:
            """Streamlit's status and headers, with the compressed body instead of its own."""
            nonlocal started
            if message["type"] == "http.response.start" and message["status"] == 200:
                started = True
                changed = MutableHeaders(scope=message)
                changed["content-encoding"], changed["content-length"] = "gzip", str(len(body))
                changed.add_vary_header("Accept-Encoding")
                await send(message)
                await send({"type": "http.response.body", "body": body})
            elif not started:
                await send(message)

        await self.app(scope, receive, replace)


def asset(path: str) -> Path | None:
    """The file of Streamlit's front end that a URL path names, where it is worth compressing; else None."""
    if not path.startswith("/static/") or not path.endswith(COMPRESSIBLE):
        return None
    file = (STATIC / path.removeprefix("/")).resolve()
    return file if file.is_relative_to(STATIC / "static") and file.is_file() else None


@cache
def compressed(path: Path) -> bytes:
    """A file's content, compressed by gzip."""
    return gzip.compress(path.read_bytes(), 6)


@asynccontextmanager
async def preparation(_: App) -> AsyncIterator[None]:
    """Import the app while the browser loads its scripts."""
    Thread(target=importlib.import_module, args=("app.main",), daemon=True).start()
    yield


app = App(Path(__file__).with_name("main.py"), middleware=[Middleware(CompressedAssets)], lifespan=preparation)
