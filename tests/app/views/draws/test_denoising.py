"""The page Denoising."""

import json

from tests.app.pages import Copies, Show, figures, text


def test_one_image_at_every_level_and_every_image_at_one(page: Show) -> None:
    app = page("denoising", "ddpm")
    said = text(app)
    assert "ln\N{NO-BREAK SPACE}SNR\N{NO-BREAK SPACE}\N{MINUS SIGN}5.0" in said and "estimate of x0" in said
    film = said.count("<img")
    assert film == 3 * 5 + 3 * 4  # original, x_t and estimate; five levels, then four images
    moved = app.slider[0].set_value(2).run()
    assert not moved.exception and text(moved) != said
    levels = app.select_slider[0].set_value("2.0").run()
    assert not levels.exception and "x_t at ln\N{NO-BREAK SPACE}SNR\N{NO-BREAK SPACE}2.0" in text(levels)
    eps, image = figures(app)
    references = [[trace["name"] for trace in figure["data"]][-1] for figure in (eps, image)]
    assert references == ["zero", "mean image"]


def test_pictures_of_another_number_of_levels_are_left_out(show: Show, copied: Copies) -> None:
    folder, (_, _, ddpm) = copied
    file = ddpm.path / "evaluations" / "denoising.json"
    content = json.loads(file.read_text())
    content["levels"] = content["levels"][:-1]
    file.write_text(json.dumps(content))
    for section in ("Images", "Four views"):
        app = show(folder, "denoising", [ddpm.id], **{"denoising-section": section})
        assert not app.exception and "<img" not in text(app)
