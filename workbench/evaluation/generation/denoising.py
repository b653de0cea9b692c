"""Denoising of a diffusion model by noise level: images, errors, and its prediction read in four parametrisations."""

import math
from collections.abc import Iterable
from copy import copy
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.data import keyed
from workbench.data.arrays import prepare, to_uint8
from workbench.data.augment import to_float
from workbench.evaluation.context import Context, Row, measured
from workbench.methods.base import evaluation_mode
from workbench.methods.capabilities import Denoises
from workbench.probability.diffusion import Prediction, amplitudes, convert, noised, step_kl, target_of
from workbench.probability.fixed_schedules import gamma_cosine, gamma_linear_beta
from workbench.probability.names import PREDICTIONS

STRIP = 8  # probe images that are drawn
LOG_SNRS = (6.0, 4.5, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.5, -5.0)  # of these images, the same for every process
MEASURED = 64  # probe images that errors are averaged over
PARTS = 20  # equal parts of the process's time; errors are measured in the middle of each
CURVE = 201  # times at which a schedule is stored
REACH = 3.0  # eps and v are drawn from -3 (black) to 3 (white), a score in units of 1 / s
STEP = 0.1  # ln SNR of the step whose KL is compared


class Subject:
    """A model's network on some images; all but the network itself is computed in double precision on the CPU.

    Args:
        images: uint8 (n, H, W, C) of the probe set, ids (n,); the noise of an image comes from its id, and is the same
            at every level and in every model; :meth:`renoised` draws another.
    """

    def __init__(self, context: Context, method: Denoises, images: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        self.method, self.device, spec = method, context.model.device, context.model.images
        self.x0 = method.scaled(to_float(prepare(np.asarray(images), spec.channels, spec.size))).cpu().double()
        self.keys = keyed.fork(keyed.sample_keys(0, 0, torch.from_numpy(np.array(ids))), "denoising")
        self.noise = keyed.normal(self.keys, *self.x0.shape[1:]).double()

    def renoised(self, part: int) -> "Subject":
        """The same images with noise of their own for a part of the time, so that it averages out over parts."""
        other = copy(self)
        other.keys = keyed.fork(self.keys, part)
        other.noise = keyed.normal(other.keys, *self.x0.shape[1:]).double()
        return other

    def gamma(self, t: float) -> Tensor:
        """-ln SNR at a time, a scalar."""
        at = torch.tensor([t], dtype=torch.float64, device="cpu").float().to(self.device)
        return -self.method.log_snr(at)[0].cpu()

    def predict(self, t: float) -> tuple[Tensor, Tensor]:
        """x_t and the network's prediction, (n, C, H, W)."""
        x = noised(self.x0, self.noise, self.gamma(t))
        times = torch.full((len(x),), t, device=self.device)
        return x, self.method.denoise(x.float().to(self.device), times).cpu().double()


def evaluate(context: Context) -> None:
    """Write ``denoising.json`` and the arrays that it names."""
    method, material, options = context.model.method, context.material, vars(context.model.config)
    if not isinstance(method, Denoises):
        return context.skip("denoising", f"{context.method} is no diffusion model, so there is no noise to take away.")
    probe, rows, strip_rows = material.probe, material.spread(MEASURED), material.spread(STRIP)
    with evaluation_mode(context.model.method):
        curve = _schedule(context, method)
        levels = _levels(curve)
        subject = Subject(context, method, probe.images[strip_rows], probe.ids[strip_rows])
        places = [{"t": t, "log_snr": -float(subject.gamma(t))} for t in levels]
        strip = [_strip_images(subject, t) for t in context.track(levels, "noise levels")]
        subject = Subject(context, method, probe.images[rows], probe.ids[rows])
        errors, agreement = _errors(subject, context.track(range(PARTS), "errors by noise level"))
    mean = material.dataset.train.images[: context.limits.train].mean(axis=0) / 255
    centre = method.scaled(torch.from_numpy(mean).permute(2, 0, 1)[None]).double()
    of_mean = (subject.x0 - centre).square().flatten(1).mean(dim=1).numpy()
    errors.append({"model": "mean image", **measured("mse_x0", of_mean)})
    for name, place in (("noised", 0), ("estimate", 1), ("views", 2), ("truth", 3)):
        array = np.stack([images[place] for images in strip], axis=-4)  # beside the levels' axis come H, W, C
        context.run.write_array(f"denoising-{name}", array)
    context.run.write_array("denoising-ids", np.asarray(probe.ids)[strip_rows])
    protocol = (
        f"x_t = a x0 + s eps of test images scaled to [-1, 1], noise from the image's id, the same for all models; "
        f"mean squared errors over pixels of {len(rows)} images at {PARTS} times of the process, each with noise of "
        "its own, nothing clipped, beside x0 that of the training images' mean; share of the bound: ln SNR's fall "
        "over a part of the time times half the squared error of eps in the part's middle, coarse where ln SNR falls "
        "steeply within a part, in bits per dimension and unit of time; 95 % bootstrap interval over images. "
        f"Four readings: KL of a step across {STEP} of ln SNR through each, as largest relative difference, in double "
        f"precision and in single. Drawn, with one noise at all levels: x_t and x0 clipped to [-1, 1], eps and v from "
        f"-{REACH:g} to {REACH:g}, the score in units of 1 / s."
    )
    context.write(
        "denoising",
        protocol,
        len(rows),
        "probe",
        rows=errors,
        prediction=method.prediction,
        views=PREDICTIONS,
        reach=REACH,
        levels=places,
        agreement=agreement,
        schedule=curve,
        learned=options.get("schedule") == "learned" or bool(options.get("learn_ends")),
        references=_references(context.model.images.levels),
    )


def _schedule(context: Context, method: Denoises) -> dict[str, list[float | None]]:
    """ln SNR over the process's time; None where it is infinite."""
    t = torch.linspace(0, 1, CURVE)
    values = method.log_snr(t.to(context.model.device)).cpu().tolist()
    return {"t": t.tolist(), "log_snr": [value if math.isfinite(value) else None for value in values]}


def _levels(curve: dict[str, list[float | None]]) -> list[float]:
    """Times at which ln SNR is nearest to :data:`LOG_SNRS`, within the range of the schedule."""
    known = [(t, value) for t, value in zip(curve["t"], curve["log_snr"], strict=True) if value is not None]
    t, values = np.array(known, dtype=np.float64).T
    return np.interp(-np.array(LOG_SNRS), -values, t).tolist()


def _references(levels: int) -> list[dict[str, Any]]:
    """Fixed schedules by name, at the same times without the ends, where the cosine's are infinite."""
    t = torch.linspace(0, 1, CURVE, dtype=torch.float64)[1:-1]
    low = -2 * math.log(3 * levels)
    known = {"DDPM, linear": gamma_linear_beta(t), "DDPM, cosine": gamma_cosine(t), "VDM, line": low + (5 - low) * t}
    return [{"name": name, "t": t.tolist(), "log_snr": (-gamma).tolist()} for name, gamma in known.items()]


def _strip_images(subject: Subject, t: float) -> tuple[NDArray[np.uint8], ...]:
    """Of one level: x_t and the estimate of x0 (n, H, W, C); the four readings and their targets (4, n, H, W, C)."""
    gamma, pictures, known = subject.gamma(t), subject.method.pictures, subject.method.prediction
    x, output = subject.predict(t)
    _, s = amplitudes(gamma)

    def image(value: Tensor, kind: str) -> NDArray[np.uint8]:
        if kind == "x0":
            return to_uint8(pictures(value))
        return to_uint8((value * s if kind == "score" else value) / (2 * REACH) + 0.5)

    views = {kind: image(convert(output, x, gamma, known, kind), kind) for kind in PREDICTIONS}
    truth = [image(target_of(subject.x0, subject.noise, gamma, kind), kind) for kind in PREDICTIONS]
    return to_uint8(pictures(x)), views["x0"], np.stack(list(views.values())), np.stack(truth)


def _errors(subject: Subject, parts: Iterable[int]) -> tuple[list[Row], list[Row]]:
    """Rows of the errors and of the share of the bound by time, and the disagreement of the four readings."""
    edges = [subject.gamma(part / PARTS) for part in range(PARTS + 1)]
    bounds = list(pairwise(edges))
    rows: list[Row] = []
    agreement: list[Row] = []
    for part in parts:
        t = (part + 0.5) / PARTS
        own, gamma, (before, after) = subject.renoised(part), subject.gamma(t), bounds[part]
        place: Row = {"t": t, "log_snr": -float(gamma)}
        x, output = own.predict(t)
        values: dict[str, Tensor] = {}
        targets: dict[Prediction, Tensor] = {"eps": own.noise, "x0": own.x0}
        for kind, truth in targets.items():
            values[f"mse_{kind}"] = (convert(output, x, gamma, subject.method.prediction, kind) - truth).square()
        values = {name: squared.flatten(1).mean(dim=1) for name, squared in values.items()}
        rate = 0.5 * float(after - before) * PARTS / math.log(2)
        if math.isfinite(rate):
            values["bound"] = rate * values["mse_eps"]
        for metric, of_images in values.items():
            row = {"model": "run", **measured(metric, of_images.numpy())}
            rows.append(row | place | {"std": float(of_images.std(correction=0))})
        agreement.append(place | disagreement(own, x, output, gamma))
    return rows, agreement


def disagreement(subject: Subject, x: Tensor, output: Tensor, gamma: Tensor) -> dict[str, float]:
    """Mean KL in nats of a step that ends in ``gamma``, and the largest relative difference between its four readings,
    computed in ``double`` and in ``single`` precision.

    Args:
        subject: the images and the noise that x_t is made of.
        x, output: x_t and the network's prediction (n, C, H, W).
    """
    result: dict[str, float] = {}
    for name, dtype in (("double", torch.float64), ("single", torch.float32)):
        x_t, y, level = x.to(dtype), output.to(dtype), gamma.to(dtype)
        before, kls = level - STEP, []
        for kind in PREDICTIONS:
            truth = target_of(subject.x0.to(dtype), subject.noise.to(dtype), level, kind)
            predicted = convert(y, x_t, level, subject.method.prediction, kind)
            kls.append(step_kl(truth, predicted, before, level, kind).double())
        through = torch.stack(kls)
        gap = through.amax(dim=0) - through.amin(dim=0)
        result[name] = float((gap / through.mean(dim=0).clamp_min(1e-300)).max())
        result.setdefault("kl", float(through.mean()))
    return result
