"""One order of colours, also where files repeat it that cannot import it."""

import re
import tomllib
from pathlib import Path

import pytest

from workbench import palette

APP = Path(__file__).parents[1] / "app"
HEX = re.compile(r"#[0-9a-fA-F]{6}\b")


@pytest.mark.parametrize("dark", [False, True])
def test_every_mark_is_seen_on_its_ground(dark: bool) -> None:
    theme = tomllib.loads((APP / ".streamlit" / "config.toml").read_text())["theme"]["dark" if dark else "light"]
    assert theme["backgroundColor"] == palette.GROUND[dark]
    runs = [palette.run_colour(index, dark) for index in range(palette.SHADES * len(palette.run_colours()))]
    assert len(set(runs)) == len(runs)
    contrasts = {colour: palette.contrast(colour, palette.GROUND[dark]) for colour in (*runs, *palette.CLASSES[dark])}
    contrasts[palette.GREY] = palette.contrast(palette.GREY, palette.GROUND[dark])
    assert {colour: value for colour, value in contrasts.items() if value < 3} == {}


def test_colours_go_by_their_index_then_by_shades_and_grey_is_no_run() -> None:
    colours = palette.run_colours()
    assert [palette.run_colour(index) for index in range(len(colours))] == [*colours]
    assert palette.run_colour(len(colours)) not in colours
    assert palette.run_colour(palette.SHADES * len(colours)) == colours[0]
    assert palette.run_colour(None) == palette.GREY
    assert len(palette.run_colours(dark=True)) == len(set(colours)) == len(colours)


def test_text_on_any_colour_can_be_read() -> None:
    greys = [f"#{value:02x}{value:02x}{value:02x}" for value in range(256)]
    assert min(palette.contrast(palette.text_on(colour), colour) for colour in greys) >= 4.5


def test_contrast_is_that_of_the_guidelines() -> None:
    assert palette.contrast("#ffffff", "#000000") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the classic near miss


def test_translucent_colours_keep_their_hue() -> None:
    assert palette.rgba("#D55E00", 0.18) == "rgba(213,94,0,0.18)"


def test_the_theme_has_the_palette_s_blues_and_ink() -> None:
    theme = tomllib.loads((APP / ".streamlit" / "config.toml").read_text())["theme"]
    assert theme["light"]["primaryColor"] == palette.LIGHT[0]
    assert theme["dark"]["primaryColor"] == palette.DARK[0]
    for name, dark in (("light", False), ("dark", True)):
        assert theme[name]["textColor"] == palette.run_colours(dark)[-1]


def test_style_sheets_and_scripts_repeat_colours_of_the_palette_only() -> None:
    neutral = {"#ffffff", "#16191c", "#b3261e"}  # white, near black, and Streamlit's red where a theme has none
    known = {*palette.run_colours(), palette.GREY, *neutral}
    files = [APP / "theme.py", *(APP / "component").glob("*.css"), *(APP / "component").glob("*.js")]
    used = {colour for file in files for colour in HEX.findall(file.read_text(encoding="utf-8"))}
    assert used <= known
