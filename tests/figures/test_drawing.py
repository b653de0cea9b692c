"""Figures as files: every format, the same bytes each time, and no name that is taken for markup."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_pgf import LatexManager

from tests.figures.svg_texts import SVG, texts_of
from workbench.errors import WorkbenchError
from workbench.figures import style
from workbench.figures.dots import Baseline, Dot, Dots, plot, round_ticks
from workbench.figures.drawing import INTERIM, SUFFIXES, Drawing, interim_formats
from workbench.figures.heat_map import HeatMap, Strip
from workbench.figures.style import Sheet

NASTY = r"<script>alert('$x_1$')</script> 50 % of \b & {c} #2 ~ ^ | `漢`"
DOTS = Dots(
    NASTY,
    [NASTY, "a run with quite a long name that nobody wants to have cut off", "short"],
    [Dot(row, value, value - 1, value + 2, "#0072B2", note=f"{value} {NASTY}") for row, value in enumerate((1, -7, 3))],
)
CELLS = np.array([[0.0, 1.0], [7.0, np.nan]])
HEAT_MAP = HeatMap("cells", CELLS, [["0", "1"], ["7", NASTY]], ["a", NASTY], [NASTY] * 2)
STRIP = Strip("pictures", {NASTY: np.zeros((3, 8, 8, 1), np.uint8), "b": np.full((3, 8, 8, 3), 255, np.uint8)})
every_drawing = pytest.mark.parametrize("drawing", [DOTS, HEAT_MAP, STRIP], ids=["dots", "heat map", "strip"])


@every_drawing
def test_every_format_is_the_same_each_time_and_whole(drawing: Drawing, tmp_path: Path) -> None:
    begins = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for suffix, begin in begins.items():
        drawing.save(tmp_path / f"figure{suffix}")
        content = (tmp_path / f"figure{suffix}").read_bytes()
        assert content.startswith(begin) and content == drawing.render(suffix)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == sorted(begins)


@every_drawing
def test_names_are_text_and_none_is_cut_or_on_another(drawing: Drawing) -> None:
    root = ElementTree.fromstring(drawing.svg())
    assert not [element for element in root.iter() if "script" in element.tag or "id" in element.attrib]
    width, height, texts = texts_of(drawing.svg())
    every = "".join("".join(text.words.split()) for text in texts)
    assert "".join(NASTY.split()) in every  # in lines, if need be
    assert all(text.left >= 0 and text.right <= width and 0 < text.bottom < height for text in texts)
    assert not [pair for pair in itertools.combinations(texts, 2) if pair[0].overlaps(pair[1])]


def test_a_study_that_goes_on_is_drawn_at_most_once_a_minute(tmp_path: Path) -> None:
    figure = tmp_path / "sweep.svg"
    assert interim_formats(figure) == (".svg",)
    figure.touch()
    assert interim_formats(figure) == ()
    for seconds in (INTERIM + 1, -INTERIM):  # of age; a clock that was set back must not stop drawings
        modified = time.time() - seconds
        os.utime(figure, (modified, modified))
        assert interim_formats(figure) == (".svg",)


def test_marks_tell_their_numbers_where_the_mouse_rests() -> None:
    dots = Dots("axis", ["a"], [Dot(0, 1.0, tip="a: <1 & more>")])
    titles = [element.text for element in ElementTree.fromstring(dots.svg()).iter(f"{SVG}title")]
    assert titles[0] == "axis" and "a: <1 & more>" in titles


def test_cells_have_viridis_ends_and_unknown_ones_none() -> None:
    svg = HEAT_MAP.svg()
    assert svg.count("fill: #440154") == 1 and svg.count("fill: #fde725") == 2 and svg.count(style.FAINT) == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_pgf_compiles_with_any_name(tmp_path: Path) -> None:
    inputs = []
    for name, drawing in {"dots": DOTS, "cells": HEAT_MAP}.items():
        drawing.save(tmp_path / f"{name}.pgf")
        inputs.append(f"\\input{{{name}.pgf}}\n\n")
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{pgf}\begin{document}"
    (tmp_path / "all.tex").write_text(f"{head}{''.join(inputs)}\\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]


def test_what_pgf_cannot_hold_or_lacks_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkbenchError, match="with pictures cannot be PGF"):
        STRIP.render(".pgf")
    LatexManager._get_cached_or_new_impl.cache_clear()  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WorkbenchError, match="PGF figures need LaTeX"):
        DOTS.render(".pgf")


def test_threads_and_the_settings_of_others_do_not_matter() -> None:
    import matplotlib

    expected = DOTS.svg()
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "text.color": "red"}):
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: DOTS.svg(), range(8))) == {expected}
        assert matplotlib.rcParams["font.size"] == 30
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-52.3, 61.0), (0.0, 83.1), (-0.004, 0.001), (-3.0, 100.0)])
def test_axes_have_a_few_round_ticks_within_their_ends(low: float, high: float) -> None:
    with style.style():
        axes = plot(Sheet(), 0, 0, 100, 1, [Dot(0, low), Dot(0, high)], zero=True)
    ticks = list(axes.get_xticks())
    ends = axes.get_xlim()
    assert 3 <= len(ticks) <= 8 and ends[0] <= ticks[0] and ticks[-1] <= ends[1]
    assert min(map(abs, ticks)) < 1e-12 and ends[0] <= low and high <= ends[1]


def test_small_differences_look_small_and_one_number_has_an_axis() -> None:
    ticks = round_ticks([70.0, 70.1], 5.0)
    assert ticks[0] <= 67.6 and ticks[-1] >= 72.5
    assert all(round_ticks([value])[0] <= value <= round_ticks([value])[-1] for value in (0.0, 70.0, -1e-6))


def test_a_baseline_has_its_name_and_an_interval_that_is_not_known_no_bar() -> None:
    class Panel(Drawing):
        def heading(self) -> str:
            return "panel"

        def draw(self, sheet: Sheet) -> None:
            dots = [Dot(0, 1.0, None, 2.0), Dot(1, 1.0, float("nan"), 2.0), Dot(2, 1.0, 0.5, 2.0, note="estimate")]
            plot(sheet, 0, 0, 200, 3, dots, [Baseline(1.5, "#8b929a", "pixels: 1.5", "pixels")])

    words = [text.words for text in texts_of(Panel().svg())[2]]
    assert {"pixels", "estimate"} <= set(words)
    assert Panel().svg().count("stroke-width: 1.8") == 1
    assert set(SUFFIXES) == {".svg", ".png", ".pdf", ".pgf"}
