"""The section Four views of the page Denoising."""

import numpy as np

from tests.app.pages import Show, figures, numbers, text


def test_four_readings_above_what_is_true_and_how_far_they_agree(page: Show) -> None:
    app = page("denoising", "ddpm", **{"denoising-section": "Four views"})
    said = text(app)
    assert "predicts v" in said and said.count("the training target") == 1 and "one step 2e-14" in said
    assert said.count("<img") == 5 * (1 + 2 * 4)
    assert text(app.toggle(key="views-truth").set_value(False).run()).count("<img") == 5 * (1 + 4)
    (figure,) = figures(app)
    np.testing.assert_allclose(numbers(figure["data"][0]["y"]), 2e-14)
