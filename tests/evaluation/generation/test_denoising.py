"""What is written of a diffusion model's steps, against the numbers that follow from its schedule and its network."""

from functools import partial

import numpy as np
import pytest
import torch

from tests.evaluation.conftest import rows_with
from workbench.data.arrays import to_uint8
from workbench.evaluation.generation import denoising
from workbench.methods.base import ImageSpec
from workbench.methods.ddpm import DDPM, DDPMConfig
from workbench.methods.score import Score, ScoreConfig
from workbench.methods.vdm import VDM, VDMConfig
from workbench.probability import diffusion

SPEC = ImageSpec(3, 8)
SMALL = {"widths": (8,), "layers": 1, "attention_size": None, "dropout": 0.0, "feature_steps": (10,)}


def small(method, config, **changes):
    torch.manual_seed(0)
    return method(config(**SMALL, **changes), SPEC).eval()


ddpm, vdm, score = partial(small, DDPM, DDPMConfig), partial(small, VDM, VDMConfig), partial(small, Score, ScoreConfig)


def column(written, metric, name="value"):
    return np.array([row[name] for row in rows_with(written, metric=metric, model="run")])


@pytest.mark.parametrize("build", [ddpm, vdm, score, lambda: ddpm(prediction="v", noise_schedule="zero_snr")])
def test_four_readings_agree_and_the_pictures_fit(evaluation_of, build):
    context, written = evaluation_of(denoising, method=build())
    assert written["split"] == "probe" and written["n"] == 60
    finite = [row for row in written["agreement"] if np.isfinite(row["log_snr"])]
    assert len(finite) == denoising.PARTS
    assert 0 < max(row["double"] for row in finite) < 1e-9 < max(row["single"] for row in finite)
    arrays = {name: context.run.array(f"denoising-{name}") for name in ("noised", "estimate", "views", "truth", "ids")}
    levels = len(written["levels"])
    assert arrays["noised"].shape == arrays["estimate"].shape == (8, levels, 8, 8, 3)
    assert arrays["views"].shape == arrays["truth"].shape == (4, 8, levels, 8, 8, 3)
    np.testing.assert_array_equal(arrays["views"][written["views"].index("x0")], arrays["estimate"])
    eps, score = (arrays["views"][written["views"].index(kind)].astype(int) for kind in ("eps", "score"))
    assert np.abs(eps + score - 255).max() <= 1  # in units of 1 / s a score is the noise, inverted
    known = dict(zip(context.material.probe.ids, context.material.probe.images, strict=True))
    originals = np.stack([known[int(sample)] for sample in arrays["ids"]])
    for level in range(levels):
        np.testing.assert_array_equal(arrays["truth"][written["views"].index("x0")][:, level], originals)


def test_levels_have_the_noise_that_was_asked_for(evaluation_of):
    _, written = evaluation_of(denoising, method=vdm())
    found = [level["log_snr"] for level in written["levels"]]
    np.testing.assert_allclose(found, denoising.LOG_SNRS, atol=1e-3)  # of single precision's times


def test_a_network_that_knows_the_noise_makes_no_error_in_any_reading(make_context):
    method = ddpm(noise_steps=200, reconstruct_steps=(100,))
    context = make_context(method=method)
    rows = context.material.spread(denoising.MEASURED)
    subject = denoising.Subject(context, method, context.material.probe.images[rows], context.material.probe.ids[rows])
    own = [subject.renoised(part).noise.float() for part in range(denoising.PARTS)]
    drawn = [subject.noise.float()] * len(denoising.LOG_SNRS)
    asked = iter([*drawn, *own])  # first at the levels that are drawn, then in each part
    method.denoise = lambda x, t: next(asked)[: len(x)]
    denoising.evaluate(context)
    written = context.run.evaluation("denoising")
    assert column(written, "mse_eps").max() < 1e-12
    snr = np.exp(column(written, "mse_eps", "log_snr"))
    assert np.all(column(written, "mse_x0") < 1e-12 / snr.clip(max=1))


def test_a_guess_of_no_noise_has_the_noise_as_error_and_its_share_of_the_bound(make_context):
    method = vdm()
    context = make_context(method=method)
    method.denoise = lambda x, t: torch.zeros_like(x)
    denoising.evaluate(context)
    written = context.run.evaluation("denoising")
    probe, rows = context.material.probe, context.material.spread(denoising.MEASURED)
    subject = denoising.Subject(context, method, probe.images[rows], probe.ids[rows])
    noises = [subject.renoised(part).noise for part in range(denoising.PARTS)]
    np.testing.assert_allclose(column(written, "mse_eps"), [float(noise.square().mean()) for noise in noises])
    flat = torch.stack([subject.noise, *noises]).flatten(1)
    assert float((torch.corrcoef(flat) - torch.eye(len(flat))).abs().max()) < 5 / flat.shape[1] ** 0.5
    # VDM's line: 1/2 gamma'(t) |eps|^2, per dimension, in bits.
    slope = (method.high - method.low) / (2 * np.log(2))
    np.testing.assert_allclose(column(written, "bound"), slope * column(written, "mse_eps"), rtol=1e-5)
    snr = np.exp(column(written, "mse_eps", "log_snr"))
    np.testing.assert_allclose(column(written, "mse_x0"), column(written, "mse_eps") / snr, rtol=1e-4)


def test_schedules_stand_beside_those_that_nobody_learned(evaluation_of):
    _, written = evaluation_of(denoising, method=ddpm(noise_schedule="cosine"))
    assert [one["name"] for one in written["references"]] == ["DDPM, linear", "DDPM, cosine", "VDM, line"]
    assert not written["learned"]
    cosine, own = written["references"][1], written["schedule"]
    np.testing.assert_allclose(own["log_snr"][20:181], cosine["log_snr"][19:180], atol=0.2)  # s = 0.008, 1000 steps
    assert np.all(np.diff(own["log_snr"]) < 0)


def test_pure_noise_has_no_number_and_other_methods_are_skipped(evaluation_of):
    _, written = evaluation_of(denoising, method=ddpm(noise_schedule="zero_snr", prediction="x0"))
    assert written["schedule"]["log_snr"][-1] is None and len(column(written, "bound")) == denoising.PARTS - 1
    _, plain = evaluation_of(denoising)
    assert "no diffusion model" in plain["skipped"]


@pytest.mark.parametrize("build", [ddpm, vdm, score, lambda: score(sde="ve")])
def test_images_come_back_from_the_scale_of_the_network(build):
    images = torch.arange(256, dtype=torch.float64).div(255)[:, None, None, None]
    method = build()
    np.testing.assert_array_equal(to_uint8(method.pictures(method.scaled(images)))[:, 0, 0, 0], np.arange(256))
    gamma = -method.log_snr(torch.linspace(0, 1, 50))
    assert gamma.dtype == torch.float64 and bool((gamma.diff() > 0).all())
    assert bool((diffusion.signal_of(gamma) < 1).all())
