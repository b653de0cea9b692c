"""One order of colours, also where files repeat it that cannot import it."""

import re
import tomllib
from pathlib import Path

from workbench import palette

APP = Path(__file__).parents[1] / "app"
HEX = re.compile(r"#[0-9a-fA-F]{6}\b")


def test_the_order_of_runs_is_the_same_for_pages_and_prints() -> None:
    colours = palette.run_colours()
    assert [palette.run_colour(index) for index in range(10)] == [*colours, *colours[:2]]
    assert palette.run_colour(None) == palette.GREY
    assert palette.run_colours(dark=True)[:-1] == colours[:-1] and len(set(colours)) == 8


def test_translucent_colours_keep_their_hue() -> None:
    assert palette.rgba("#D55E00", 0.18) == "rgba(213,94,0,0.18)"


def test_the_theme_has_the_palette_s_blues_and_ink() -> None:
    theme = tomllib.loads((APP / ".streamlit" / "config.toml").read_text())["theme"]
    assert theme["light"]["primaryColor"] == palette.OKABE_ITO[0]
    assert theme["dark"]["primaryColor"] == palette.OKABE_ITO[4]
    for name, dark in (("light", False), ("dark", True)):
        assert theme[name]["textColor"] == palette.run_colours(dark)[-1]


def test_style_sheets_and_scripts_repeat_colours_of_the_palette_only() -> None:
    neutral = {"#ffffff", "#16191c", "#b3261e"}  # white, near black, and Streamlit's red where a theme has none
    known = {*palette.run_colours(), palette.GREY, *neutral}
    files = [APP / "theme.py", *(APP / "component").glob("*.css"), *(APP / "component").glob("*.js")]
    used = {colour for file in files for colour in HEX.findall(file.read_text(encoding="utf-8"))}
    assert used <= known
