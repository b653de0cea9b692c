"""What tests of pages share: the words, figures and buttons on a page, and copies of the invented runs."""

import json
import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from app.main import GROUPS
from workbench.store import Run

THREE = ("mocov3", "vae", "ddpm")
VIEWS = sorted(module.__name__.rpartition(".")[2] for _, views in GROUPS.values() for module in views.values())
Show = Callable[..., AppTest]
"""Runs one view; see ``show`` in ``conftest.py``."""
Folder = tuple[Path, dict[str, str]]
"""A folder of runs, and run ids by role."""


def text(app: AppTest) -> str:
    """All words on a page."""
    kinds = (app.markdown, app.caption, app.code, app.warning, app.error, app.get("html"))
    return "\n".join(str(getattr(element, "value", None) or element.proto) for kind in kinds for element in kind)


def figures(app: AppTest) -> list[dict[str, Any]]:
    """The plotly figures on a page."""
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


def numbers(array: Any) -> np.ndarray:
    """An array of a figure, which plotly may have packed."""
    return np.frombuffer(b64decode(array["bdata"]), array["dtype"]) if isinstance(array, dict) else np.array(array)


def parameter(app: AppTest, name: str) -> str:
    """A parameter of a page's URL."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def button(app: AppTest, label: str) -> Any:
    """The first button with a label."""
    return next(each for each in app.button if each.label == label)


def button_labels(app: AppTest) -> set[str]:
    return {each.label for each in app.button}


def copy_runs(runs_folder: Folder, target: Path, *roles: str) -> list[Run]:
    """Some of the runs with their probe set, to be changed."""
    folder, ids = runs_folder
    shutil.copytree(folder / ".probes", target / ".probes")
    return [Run(shutil.copytree(folder / ids[role], target / ids[role])) for role in roles]
