"""The invented runs folder, written once, and a view of the app on it without a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.main import GROUPS
from tests.app.app_fixture import make_runs
from tests.app.pages import THREE, Copies, Folder, Show, copy_runs


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The folder, and run ids by role."""
    folder = tmp_path_factory.mktemp("runs")
    return folder, make_runs(folder)


@pytest.fixture(scope="session")
def runs_address(runs_folder: Folder) -> Iterator[str]:
    """Where the app on that folder, which nobody changes, is served."""
    from tests.app.browser import served

    with served(runs_folder[0]) as address:
        yield address


@pytest.fixture(scope="module")
def file_browser() -> Iterator[Any]:
    """A browser for the tests of a file."""
    from tests.app.browser import chromium  # which skips where there is no Playwright

    with chromium() as started:
        yield started


@pytest.fixture
def browser(file_browser: Any) -> Iterator[Any]:
    """The same, in which a test opens pages of its own."""
    before = list(file_browser.contexts)
    yield file_browser
    for context in file_browser.contexts:
        if context not in before:
            context.close()


@pytest.fixture
def copied(runs_folder: Folder, tmp_path: Path) -> Copies:
    """Three evaluated runs, :data:`THREE`, in a folder of their own, to be changed."""
    return tmp_path, copy_runs(runs_folder, tmp_path, *THREE)


@pytest.fixture
def writable(runs_folder: Folder, tmp_path: Path) -> Folder:
    """A copy of the whole folder, to be changed."""
    return shutil.copytree(runs_folder[0], tmp_path / "runs"), runs_folder[1]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Show:
    """Runs one view without an exception: ``show(folder, view, chosen_ids, url_parameter=…)``."""
    names = [module.__name__ for _, views in GROUPS.values() for module in views]
    rooms = {name.rpartition(".")[2]: name.rpartition(".")[0] for name in names}

    def run(folder: Path, view: str, chosen: list[str] | None = None, **parameters: str) -> AppTest:
        monkeypatch.setenv("WORKBENCH_APP_RUNS", str(folder))
        st.cache_data.clear()
        st.cache_resource.clear()
        imports = ("from app import main", "from app.widgets import chips", f"from {rooms[view]} import {view}")
        app = AppTest.from_string("\n".join([*imports, "chips.show()", f"main.view({view})"]), default_timeout=30)
        if chosen is not None:
            app.query_params["runs"] = ",".join(chosen) or "none"
        for key, value in parameters.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return run


@pytest.fixture
def page(show: Show, runs_folder: Folder) -> Show:
    """Runs one view of invented runs that nobody changes: ``page(view, *roles_or_ids, url_parameter=…)``."""
    folder, ids = runs_folder
    return lambda view, *roles, **parameters: show(folder, view, [ids.get(role, role) for role in roles], **parameters)
