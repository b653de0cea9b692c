"""The page Latent space."""

import numpy as np

from tests.app.generative_fixture import COLLAPSE
from tests.app.pages import Show, figures, numbers, text


def test_latent_variables_are_sorted_and_walked_along(page: Show) -> None:
    app = page("latent", "vae", "ddpm")
    said = text(app)
    assert COLLAPSE in said and "z, number 3" in said and "2.00 nats" in said and "ddpm, which has no latent" in said
    np.testing.assert_allclose(numbers(figures(app)[0]["data"][0]["y"]), [3, 2, 1, 1e-5])
    assert said.count("<img") == 2 * 5 + 7 + 2 * 7
