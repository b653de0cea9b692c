"""A run has one colour in the app, in the figure of a sweep and in a report."""

import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from app.state import appearance, chosen_runs
from tests.figures.svg_texts import SVG, texts_of
from workbench.figures.study import Study
from workbench.palette import run_colours
from workbench.report import conclusions
from workbench.report.document import Figure
from workbench.store import Run, create_run

NAMES = [f"run {index}" for index in range(8)]
METHODS = ["vae", "mocov3", "vae", "ddpm", "vae", "other", "vae", "vae"]


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Eight groups in a folder."""
    made = []
    for index, (name, method) in enumerate(zip(NAMES, METHODS, strict=True)):
        info = {"method": method, "name": name, "data": {"name": "digits", "fingerprint": "abc"}, "seed": 0}
        run = create_run(tmp_path, f"method: {method}\nseed: 0\nwidth: {index}\n", info)
        run = Run(run.path.rename(tmp_path / f"2026010{index}-000000-{method}-digits-000{index}"))
        run.update_info(id=run.id)
        run.update_summary(id=run.id)
        row = {"model": "run", "space": "a", "metric": "top1", "value": 50.0 + index, "low": 40.0, "high": 60.0}
        run.write_evaluation("linear", {"rows": [row], "default": "a", "n": 10})
        made.append(run)
    return made


def app_colours(runs: list[Run], monkeypatch: pytest.MonkeyPatch, ticked: list[Run]) -> dict[str, str]:
    """What the app gives to the ticked runs on light ground, by name."""
    light = SimpleNamespace(context=SimpleNamespace(theme=SimpleNamespace(type="light")))
    monkeypatch.setenv("WORKBENCH_RUNS", str(runs[0].path.parent))
    monkeypatch.setattr(appearance, "st", light)
    monkeypatch.setattr(chosen_runs, "current", lambda: [run.id for run in ticked])
    chosen_runs.run_folder.content.clear()
    return {choice.label: choice.colour.lower() for choice in chosen_runs.choices()}


def stroke_of(root: ElementTree.Element, tip: str) -> str:
    """The colour of the line that tells ``tip``."""
    (group,) = [group for group in root.iter(f"{SVG}g") if any(c.tag == f"{SVG}title" and c.text == tip for c in group)]
    style = next(path.attrib["style"] for path in group.iter(f"{SVG}path"))
    return re.findall(r"stroke: (#\w+)", style)[-1]


def test_a_colour_stays_whatever_is_ticked(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = app_colours(runs, monkeypatch, runs)
    assert list(whole) == NAMES and len(set(whole.values())) == len(NAMES)
    for ticked in (runs[3:5], runs[::-2], [runs[7]]):
        assert app_colours(runs, monkeypatch, ticked).items() <= whole.items()


def test_a_sweeps_curves_have_the_colours_of_the_app(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    record = {
        "title": "a", "data": "digits", "scale": "tiny", "seeds": [0], "figure": "curve", "best": None, "costs": [],
        "measures": ["knn"], "means": [], "published": [], "protocols": {}, "n": {},
        "cells": [{"cell": name, "method": method} for name, method in zip(NAMES, METHODS, strict=True)],
        "curves": [{"cell": name, "seed": 0, "epoch": [1, 2], "knn": [10.0, 20.0 + i]} for i, name in enumerate(NAMES)],
    }  # fmt: skip
    root = ElementTree.fromstring(Study(record).svg())
    assert {name: stroke_of(root, name) for name in NAMES} == app_colours(runs, monkeypatch, runs)
    record["cells"][0]["colour"] = 4  # as in a folder with other runs
    assert stroke_of(ElementTree.fromstring(Study(record).svg()), NAMES[0]) == run_colours()[4].lower()


def test_a_reports_groups_have_the_colours_of_the_app(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    (figure,) = [block for block in conclusions.gather(runs).blocks if isinstance(block, Figure)]
    svg = figure.drawing.svg()
    labels = [text.words for text in texts_of(svg)[2] if text.anchor == "end"]
    assert [label.partition(" \N{MIDDLE DOT} ")[0] for label in labels] == NAMES  # a row each, in this order
    strokes = re.findall(r"stroke: (#\w+); stroke-width: 1.8", svg)
    assert strokes == list(app_colours(runs, monkeypatch, runs).values())
