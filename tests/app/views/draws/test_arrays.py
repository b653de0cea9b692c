"""Arrays that are no images, on every page that draws."""

from typing import Any

import numpy as np
import pytest

from tests.app.pages import Copies, Show, text


@pytest.mark.parametrize("kind", [np.float32, np.int64, "five channels"])
def test_arrays_that_are_no_images_are_left_out(show: Show, copied: Copies, kind: Any) -> None:
    folder, runs = copied
    for run in runs:
        for file in (run.path / "arrays").glob("*.npy"):
            array = np.load(file)
            if array.dtype == np.uint8 and array.ndim > 3:
                other = array.astype(kind) if kind != "five channels" else np.repeat(array[..., :1], 5, axis=-1)
                run.write_array(file.stem, other)
    views = {view: {} for view in ("samples", "latent", "reconstructions", "denoising")}
    for view, section in [*views.items(), ("denoising", {"denoising-section": "Four views"})]:
        run = runs[1 if view == "latent" else 2]
        app = show(folder, view, [run.id], **section)
        assert not app.exception and "<img" not in text(app) and f"workbench evaluate {run.id}" in text(app)
