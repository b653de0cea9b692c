"""The n-th chosen run of the app, cell of a study and group of a report have one colour."""

import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from app.state import chosen_runs
from tests.figures.svg_texts import SVG, texts_of
from workbench.figures.study import Study
from workbench.palette import run_colour
from workbench.report import conclusions
from workbench.report.document import Figure
from workbench.store import create_run

NAMES = [f"run {index}" for index in range(8)]


@pytest.fixture
def app_colours(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the app gives to eight runs on light ground."""
    summaries = [{"id": name, "name": name, "method": "vae", "path": name} for name in NAMES]
    light = SimpleNamespace(context=SimpleNamespace(theme=SimpleNamespace(type="light")))
    monkeypatch.setattr(chosen_runs, "current", lambda: {name: index for index, name in enumerate(NAMES)})
    monkeypatch.setattr(chosen_runs.run_folder, "summaries", lambda folder: summaries)
    monkeypatch.setattr(chosen_runs, "st", light)
    return [choice.colour.lower() for choice in chosen_runs.choices()]


def stroke_of(root: ElementTree.Element, tip: str) -> str:
    """The colour of the line that tells ``tip``."""
    (group,) = [group for group in root.iter(f"{SVG}g") if any(c.tag == f"{SVG}title" and c.text == tip for c in group)]
    style = next(path.attrib["style"] for path in group.iter(f"{SVG}path"))
    return re.findall(r"stroke: (#\w+)", style)[-1]


def test_a_sweeps_curves_have_the_colours_of_the_app(app_colours: list[str]) -> None:
    record = {
        "title": "a", "data": "digits", "scale": "tiny", "seeds": [0], "figure": "curve", "best": None, "costs": [],
        "measures": ["knn"], "means": [], "published": [], "protocols": {}, "n": {},
        "cells": [{"cell": name} for name in NAMES],
        "curves": [{"cell": name, "seed": 0, "epoch": [1, 2], "knn": [10.0, 20.0 + i]} for i, name in enumerate(NAMES)],
    }  # fmt: skip
    root = ElementTree.fromstring(Study(record).svg())
    assert [stroke_of(root, name) for name in NAMES] == app_colours
    assert [run_colour(index).lower() for index in range(8)] == app_colours


def test_a_reports_groups_have_the_colours_of_the_app(app_colours: list[str], tmp_path: Path) -> None:
    runs = []
    for index, name in enumerate(NAMES):
        info = {"method": "vae", "name": name, "data": {"name": "digits", "fingerprint": "abc"}, "seed": 0}
        runs.append(create_run(tmp_path, f"method: vae\nseed: 0\nwidth: {index}\n", info))
        row = {"model": "run", "space": "a", "metric": "top1", "value": 50.0 + index, "low": 40.0, "high": 60.0}
        runs[-1].write_evaluation("linear", {"rows": [row], "default": "a", "n": 10})
    (figure,) = [block for block in conclusions.gather(runs).blocks if isinstance(block, Figure)]
    svg = figure.drawing.svg()
    labels = [text.words for text in texts_of(svg)[2] if text.anchor == "end"]
    assert [label.partition(" \N{MIDDLE DOT} ")[0] for label in labels] == NAMES  # a row each, in this order
    assert re.findall(r"stroke: (#\w+); stroke-width: 1.8", svg) == app_colours
