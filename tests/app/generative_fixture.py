"""Evaluations of generative models as `workbench evaluate` would leave them, of invented numbers."""

from typing import Any

import numpy as np

from workbench.store import Probe, Run

LOG_SNRS = (5.0, 2.0, 0.0, -2.0, -5.0)
KINDS = ("eps", "x0", "v", "score")
TERMS = {"vae": {"reconstruction": 2.9, "kl": 0.4}, "ddpm": {"prior": 0.001, "diffusion": 2.5, "reconstruction": 0.3}}
COLLAPSE = "Posterior collapse: 1 of 4 latent variables tells nothing of an image."


def draw(run: Run, probe: Probe, envelope: dict[str, Any]) -> None:
    """Likelihood, classification, walks through a latent space and steps of denoising, as far as the method can."""
    method = run.info()["method"]
    envelope = {key: value for key, value in envelope.items() if key != "default"}
    if method == "mocov3":
        run.write_evaluation("likelihood", {"skipped": "mocov3 does not say how probable an image is."})
    else:
        likelihood(run, method, envelope)
    if method == "ddpm":
        denoising(run, probe, envelope | {"split": "probe", "n": 24})
        rows = [bits("run", "", 64.0, "top1"), bits("linear probe", "", 60.0, "top1")]
        labels = {"rows": rows, "classes": ["one", "two", "three", "four", "five"]}
        run.write_evaluation("classify", envelope | {"protocol": "the label of the highest bound"} | labels)
    else:
        run.write_evaluation("denoising", {"skipped": f"{method} is no diffusion model."})
    if method == "vae":
        latent(run, probe, envelope)
    else:
        run.write_evaluation("latent", {"skipped": f"{method} has no latent variables to walk through."})


def bits(model: str, kind: str, value: float, metric: str = "bits_per_dim", **more: Any) -> dict[str, Any]:
    """A row with its interval."""
    half = 0.02 * value
    row = {"model": model, "metric": metric, "kind": kind, "value": value, "low": value - half, "high": value + half}
    return row | more


def likelihood(run: Run, method: str, envelope: dict[str, Any]) -> None:
    """Terms and their sum, importance-weighted bounds, models of single pixels; a planted collapse."""
    terms, kind = TERMS[method], "lower bound"
    rows = [bits("run", kind, sum(terms.values()))]
    rows += [bits("run", kind, value, term=term) for term, value in terms.items()]
    rows += [bits("pixels", f"exact, {name}", value) for name, value in PIXELS.items()]
    rows.append(bits("untrained:" + method, kind, 21.0))
    latent = {}
    if method == "vae":
        rows += [bits("run", f"{kind}, {k} importance samples", 3.3 - 0.001 * k) for k in (5, 50)]
        groups = [{"name": "z", "dims": 4, "active": 3, "kl": 6.0}]
        latent = {"latent": {"groups": groups, "collapse": COLLAPSE, "threshold": 0.01, "kl": [3.0, 0.0, 1.0, 2.0]}}
    rows += [row | {"metric": "nats", "value": 2129 * row["value"]} for row in rows]
    content = {"protocol": "negative log-likelihood, one mass per level", "rows": rows, "kind": kind, "levels": 256}
    run.write_evaluation("likelihood", envelope | content | latent)


PIXELS = {"histogram of each pixel": 5.5, "all levels alike": 8.0}


def denoising(run: Run, probe: Probe, envelope: dict[str, Any]) -> None:
    """Film strip, four readings, errors, agreement and schedules."""
    images, ids, rng = probe.images(), probe.ids(), np.random.default_rng(7)
    assert images is not None and ids is not None
    clean = np.stack([images[::60]] * len(LOG_SNRS), axis=1)
    signal = (1 / (1 + np.exp(-np.array(LOG_SNRS))))[:, None, None, None]
    noised = np.sqrt(signal) * (clean / 127.5 - 1) + np.sqrt(1 - signal) * rng.normal(size=clean.shape)
    run.write_array("denoising-ids", ids[::60])
    run.write_array("denoising-noised", (127.5 * (noised + 1)).clip(0, 255).astype(np.uint8))
    estimate = (signal * clean + (1 - signal) * 110).astype(np.uint8)
    run.write_array("denoising-estimate", estimate)
    run.write_array("denoising-views", np.stack([255 - estimate, estimate, estimate, estimate]))
    run.write_array("denoising-truth", np.stack([255 - clean, clean, clean, clean]))
    rows, agreement = [], []
    for place, log_snr in enumerate(LOG_SNRS):
        at = {"t": (place + 0.5) / len(LOG_SNRS), "log_snr": log_snr}
        for metric, value in (("mse_eps", np.exp(0.3 * log_snr)), ("mse_x0", np.exp(-0.5 * log_snr)), ("bound", 2.0)):
            rows.append(bits("run", "", float(value), metric, std=0.3) | at)
        agreement.append(at | {"kl": 4.0, "double": 2e-14, "single": 1e-6})
    rows.append(bits("mean image", "", 0.2, "mse_x0"))
    t = np.linspace(0, 1, 11)
    known = [{"name": "DDPM, cosine", "t": t, "log_snr": 6 - 12 * t**2}]
    run.write_evaluation(
        "denoising",
        envelope
        | {"protocol": "x_t = a x0 + s eps", "rows": rows, "agreement": agreement, "references": known}
        | {"prediction": "v", "views": KINDS, "reach": 3.0, "learned": True}
        | {"levels": [{"t": 0.1 + 0.2 * k, "log_snr": value} for k, value in enumerate(LOG_SNRS)]}
        | {"schedule": {"t": t, "log_snr": [*(6 - 12 * t[:-1]), None]}},
    )


def latent(run: Run, probe: Probe, envelope: dict[str, Any]) -> None:
    """Walks along two variables and between two pairs of images."""
    images = probe.images()
    assert images is not None
    run.write_array("latent-traversal", np.stack([images[:5], images[10:15]]))
    run.write_array("latent-interpolation", np.stack([images[20:27], images[30:37]]))
    variables = [{"group": "z", "index": 0, "kl": 3.0}, {"group": "z", "index": 3, "kl": 2.0}]
    content = {"protocol": "walks", "variables": variables, "values": [-2, -1, 0, 1, 2], "interpolation": "spherical"}
    run.write_evaluation("latent", envelope | content | {"steps": 7, "image": 3})
