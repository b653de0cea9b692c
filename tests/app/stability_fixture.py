"""A run whose gradient spikes and whose kNN accuracy dips, and the batches that training keeps of it."""

import json
import sys
from pathlib import Path

import numpy as np

from tests.app.app_fixture import make_run, make_runs, set_status
from workbench.run import BATCHES, GRADIENTS
from workbench.store import Run

LAYERS = ["backbone.cls_token", "backbone.patch_embed", *(f"backbone.blocks.{k}" for k in range(12))]


def unstable(
    runs: Path, method: str = "mocov3", name: str = "unstable", collapsing: bool = False, seed: int = 0
) -> Run:
    """A run of 4,000 steps with spikes at 1,503 and 2,803 that start in patch_embed, each before a dip of the kNN."""
    run = make_run(runs, method, lr=1e-3, name=name, seed=seed)
    set_status(run, "finished")
    rng, rows, gradients = np.random.default_rng(3 + seed), [], []
    shared = rng.normal(0, 0.1, 400)
    for index in range(400):
        step = 10 * (index + 1)
        norms = np.linspace(2, 0.5, len(LAYERS)) * np.exp(-step / 4000 + shared[index])
        norms = norms * np.exp(rng.normal(0, 0.1, len(LAYERS)))
        ago = rng.integers(0, 10, len(LAYERS) + 2)
        for place in (150, 280):
            ago[:2] = 7 if index == place else ago[:2]
            for k in range(len(LAYERS)):
                if 0 <= index - place - k // 5 < 3:
                    norms[k] *= 9
                    ago[k + 2] = 7 if k == 1 else 4
        total, first = float(np.hypot.reduce(norms)), float(norms[1])
        common = {"step": step, "epoch": step / 100, "images": step * 128, "seconds": step / 3}
        rows.append(common | {"loss": 1 + np.exp(-step / 900), "grad_norm": total, "grad_norm/first": first})
        gradients.append({"step": step, "norm": norms.tolist(), "max": [total, first, *norms], "ago": ago.tolist()})
        if step % 100 == 0:
            knn = 70 - 40 * np.exp(-step / 900) + rng.normal(0, 0.4)
            knn -= sum(18 * np.exp(-(step - dip) / 200) for dip in (1600, 2900) if dip <= step < dip + 500)
            flat = collapsing and step >= 3500
            spread = 1e-4 if flat else 0.7 - 0.3 * np.exp(-step / 700)
            row = {"knn": 10.0 if flat else knn, "linear_monitor": knn + 4, "effective_rank": 1.0 if flat else 60.0}
            rows.append(common | row | {"normalised_std": spread, "uniformity": -3 * spread, "alignment": 0.4})
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run.path / GRADIENTS).write_text("".join(json.dumps(row) + "\n" for row in gradients))
    run.update_info(gradients={"layers": LAYERS, "first": "backbone.patch_embed"})
    return run


def keep_batches(run: Run, steps: tuple[int, ...] = (1503, 2803), of: str = "total") -> None:
    """What training keeps of the batches of spikes: 128 ids, and 32 images of each."""
    for step in steps:
        ids = np.random.default_rng(step).choice(10_000, 128, replace=False)
        run.log({"step": -(-step // 10) * 10, "at": step, "of": of, "ids": ids}, BATCHES)
        images = np.random.default_rng(step).integers(0, 255, (32, 8, 8, 3), np.uint8)
        run.write_array(f"batch-{step:08d}", images)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for role, run_id in make_runs(folder).items():
        print(f"{role}\t{run_id}")
    shaky = unstable(folder)
    keep_batches(shaky)
    print("unstable", shaky.id, "collapsing", unstable(folder, name="collapsing", collapsing=True, seed=2).id)
