"""Every figure can be saved: files that really arrive, in Chromium."""

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.app.browser import chromium, needs_chromium, opened, served
from workbench.store import Run

pytestmark = needs_chromium


def test_a_figure_is_saved_as_png_svg_and_csv(runs_folder: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, ids = runs_folder
    with served(folder) as address, chromium() as browser:
        page = opened(browser, f"{address}/what-it-knows?runs={ids['mocov3']}:0,{ids['vae']}:1")
        row = page.locator(".wb-save[data-chart=probe-dots]")
        row.wait_for()
        page.locator(".st-key-probe-dots .js-plotly-plot .modebar-btn").first.wait_for(state="attached")
        files = {}
        for kind in ("PNG", "SVG", "CSV"):
            with page.expect_download() as download:
                row.get_by_text(kind).click()
            files[kind] = tmp_path / download.value.suggested_filename
            download.value.save_as(files[kind])
        charts = page.locator(".js-plotly-plot").count()
        assert page.locator(".wb-save").count() == charts  # none without
    assert [path.name for path in files.values()] == ["probe-dots.png", "probe-dots.svg", "probe-dots.csv"]
    picture = Image.open(files["PNG"])
    assert picture.width > 1500 and picture.convert("RGBA").getpixel((2, 2))[3] == 255  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
    drawing = ElementTree.parse(files["SVG"]).getroot()
    assert drawing.tag.endswith("svg") and "mocov3" in "".join(drawing.itertext())
    rows = list(csv.DictReader(io.StringIO(files["CSV"].read_text())))
    stored = Run(folder / ids["vae"]).evaluation("linear")["rows"][0]
    found = next(row for row in rows if row["y"] == "vae" and row["low"] and row["x title"].startswith("linear"))
    assert [float(found[key]) for key in ("x", "low", "high")] == pytest.approx(
        [stored["value"], stored["low"], stored["high"]]
    )
