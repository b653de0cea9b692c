"""Evaluations that need commands of their own, as invented files: probes of layers, label curves, prices."""

from typing import Any

import numpy as np

from tests.app.app_fixture import interval
from workbench.store import Run

LABELS = ((0.01, 30, 20.0), (0.1, 300, 40.0), (1.0, 3000, 70.0))


def write_price(run: Run, method: str) -> None:
    envelope = {"n": 1000, "split": "test", "protocol": "as agreed", "default": "a"}
    models = (("run", "a", 0.0), (f"untrained:{method}", "a", -15.0), ("pixels", "pixels", -10.0))

    def row(model: str, space: str, value: float, **more: Any) -> dict[str, Any]:
        return {"model": model, "space": space, "metric": "top1"} | interval(value, 2) | more

    cases = [(*model, *label) for model in models for label in LABELS]
    rows = [row(model, a, value + shift, labels=share, n_labels=n) for model, a, shift, share, n, value in cases]
    run.write_evaluation("few_labels", envelope | {"rows": rows})
    tuned = [row("run", "a", 81.25), row("random init", "a", 63.0)]
    gain = {"p_value": 0.0001, "difference": {"value": 18.2, "low": 15.0, "high": 21.0}}
    run.write_evaluation("finetune", envelope | gain | {"rows": tuned})
    rows = [row(model, space, 93 + shift, target="digits") for model, space, shift in models]
    run.write_evaluation("transfer", envelope | {"rows": rows})
    images = np.full((24, 32, 32, 3), 100, np.uint8)
    ids = run.array("reconstruction-ids")
    run.write_array("decoded-ids", np.arange(240)[::10] * 7 + 3 if ids is None else ids)
    decoded = []
    for model in ("run", "pca-32"):
        decoded.append({"model": model, "variant": "", "width": 32, "metric": "psnr"} | interval(20.0, 2))
        run.write_array(f"decoded-{model}-", images)
        run.write_array(f"decoded-error-{model}-", np.full(24, 0.01))
    run.write_evaluation("decoder", envelope | {"rows": decoded, "default": ""})


LAYERS = {
    "mocov3": [("stem", "mean", None, 60), ("block_1", "class token", None, 70), ("block_1", "mean", None, 80)],
    "vae": [("stage_1", "mean", None, 50), ("posterior_mean", "vector", None, 40)],
    "ddpm": [
        (name, "mean", t, 90 - t / 10 - 5 * (name == "middle")) for name in ("down_0", "middle") for t in (100, 10)
    ],
}


def layer_rows(method: str) -> list[dict[str, Any]]:
    """Rows of a run and its baselines; the validation images prefer the first layer, the test images another."""
    rows = []
    for model in ("run", f"untrained:{method}", "pixels"):
        layers = LAYERS[method] if model != "pixels" else [("pixels", "vector", None, 33)]
        names = list(dict.fromkeys(name for name, *_ in layers))
        for place, (name, reading, t, value) in enumerate(layers):
            for width in ("full", 32) if method != "vae" else ("full",):
                less = 30 * model.startswith("untrained") + 2 * (width == 32)
                row = {"model": model, "space": f"{name} {reading} {t}", "layer": name, "depth": names.index(name)}
                row |= {"reading": reading, "t": t, "width": width, "dim": 64, "metric": "top1"}
                rows.append(row | {"value": value - less, "low": value - less - 3, "high": value - less + 3})
                rows[-1]["validation"] = 95 - place
    return rows
