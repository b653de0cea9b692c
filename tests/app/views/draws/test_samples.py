"""The page Samples."""

from streamlit.testing.v1 import AppTest

from tests.app.pages import Copies, Show, text
from workbench.store import probe_of


def test_a_missing_capability_is_a_reason_not_an_error(page: Show) -> None:
    said = text(page("samples", "mocov3", "bare", "vae"))
    assert "no decoder that could draw" in said  # what evaluation wrote
    assert "which learns features only" in said  # what run.json says before any evaluation


def samplers(app: AppTest) -> dict[str, list[str]]:
    """What the boxes above the grids offer, by what they choose; of two with one name the last."""
    return {box.label: box.options for box in app.selectbox if box.label in ("Probe set", "Sampler")}


def test_samples_of_other_data_are_not_compared_and_images_may_have_no_labels(show: Show, copied: Copies) -> None:
    folder, (_, vae, ddpm) = copied
    app = show(folder, "samples", [vae.id])
    assert samplers(app) == {"Probe set": ["all classes · 240 images"], "Sampler": ["prior · 36 images in 0.033 s"]}
    (probe_of(folder, "fixture01").path / "labels.npy").unlink()
    ddpm.update_info(data=ddpm.info()["data"] | {"fingerprint": "other"})
    app = show(folder, "samples", [vae.id, ddpm.id])
    assert not app.exception and "trained on other data than vae" in app.warning[0].value
    assert samplers(app) == {"Probe set": ["240 images"], "Sampler": ["prior · 36 images in 0.033 s"]}  # not ddpm's
