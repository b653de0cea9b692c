"""What tests of pages share: the words, figures and buttons on a page, and copies of the invented runs."""

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from app.main import GROUPS
from app.state import run_folder
from tests.app.app_fixture import THREE as THREE
from tests.app.app_fixture import Folder as Folder
from workbench.store import Run, probe_of

VIEWS = sorted(module.__name__.rpartition(".")[2] for _, views in GROUPS.values() for module in views)
Show = Callable[..., AppTest]
"""Runs one view; see ``show`` and ``page`` in ``conftest.py``."""
Copies = tuple[Path, list[Run]]
"""A folder, and the three runs in it."""


def text(app: AppTest) -> str:
    """All words on a page."""
    kinds = (app.markdown, app.caption, app.code, app.warning, app.error, app.get("html"))
    return "\n".join(str(getattr(element, "value", None) or element.proto) for kind in kinds for element in kind)


def figures(app: AppTest) -> list[dict[str, Any]]:
    """The plotly figures on a page."""
    linked = [json.loads(element.proto.json) for element in app.get("bidi_component")]
    specs = [element.proto.spec for element in app.get("plotly_chart")]
    return [json.loads(spec) for spec in specs + [data["figure"] for data in linked if "figure" in data]]


def plain(words: str) -> str:
    """A figure's text without markup, and without the dot in a model's colour."""
    return re.sub(r"<[^>]+>", "", words).removeprefix("● ")


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


def chip_labels(app: AppTest) -> list[str]:
    """The labels on the chips of the chosen groups."""
    labels = [block.proto.popover.label for block in app.get("popover")]
    return [label.replace("\\", "") for label in labels if label not in ("Select images", "Columns", "Choose others")]


def open_chip(app: AppTest, run_id: str) -> AppTest:
    """Open the chip of the group that a run represents."""
    folder = run_folder.content(run_folder.runs_folder())
    app.session_state[f"seeds_{folder.place[run_id]}"] = True
    return app.run()


def copy_runs(runs_folder: Folder, target: Path, *roles: str) -> list[Run]:
    """Some of the runs with their probe set, to be changed."""
    folder, ids = runs_folder
    shutil.copytree(folder / ".probes", target / ".probes")
    return [Run(shutil.copytree(folder / ids[role], target / ids[role])) for role in roles]


def probe_arrays(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ids, labels, factors and images of the invented probe set."""
    probe = probe_of(folder, "fixture01")
    ids, labels, factors, images = probe.ids(), probe.labels(), probe.factors(), probe.images()
    assert ids is not None and labels is not None and factors is not None and images is not None
    return ids, labels, factors, images


def prefer_space(run: Run, space: str) -> None:
    """Make a space the one that the linear probe's validation images prefer."""
    content = run.evaluation("linear")
    for row in content["rows"]:
        row["validation"] = 99.0 if row["space"] == space else 1.0
    run.write_evaluation("linear", content)


def forget_pair(one: Run, other: Run) -> None:
    """Take what compares two runs out of their evaluations."""
    for run in (one, other):
        content = run.evaluation("agreement")
        rows = [row for row in content["rows"] if row["other"] not in (one.id, other.id)]
        run.write_evaluation("agreement", content | {"rows": rows})
