"""Make the example runs that come with the repository, which the app shows before any run is trained.

    python examples/make.py --work DIR [--seeds 3]        # train missing runs, evaluate, write examples/runs

The recipes for `shapes` with several seeds each take about an hour per seed on one core of an AMD EPYC. The examples
contain what the app shows: no weights, fewer probe images and metric rows, images of only the newest run of each
method. 3 MB at most.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from workbench import training
from workbench.config import read_settings
from workbench.evaluation import runner
from workbench.evaluation.features import Limits
from workbench.store import Run, list_runs, read_json, write_json

CHECKOUT = Path(__file__).parent.parent
TARGET = CHECKOUT / "examples" / "runs"
METHODS = ("mocov3", "vae", "ddpm")
LIMITS = Limits(
    train=3_000, val=500, test=1_500, probe=240, reconstruct=200, samples=12, similarity=60, slow_samplers=False
)
MOST_BYTES = 3_000_000
METRIC_ROWS = 60
PICTURES = ("neighbours-", "reconstruction-", "decoded-", "samples", "similarity-", "class-similarity-")


def find_or_train(work: Path, method: str, seed: int) -> Run:
    """The finished run of a recipe and seed, trained now if it is missing."""
    for run in list_runs(work):
        summary = run.summary()
        if (summary.get("method"), summary.get("seed"), summary["status"]) == (method, seed, "finished"):
            return run
    settings = read_settings(CHECKOUT / "recipes" / f"{method}-shapes.yaml", method)
    run = training.start(method, settings | {"seed": seed, "name": method, "runs": str(work)})
    assert run is not None
    return run


def newest(runs: list[Run]) -> list[Run]:
    """The newest run of each method; the app shows these by default."""
    return list({str(run.info()["method"]): run for run in sorted(runs, key=lambda run: run.id)}.values())


def ship(runs: list[Run]) -> None:
    """Write ``examples/runs`` anew, from evaluated runs."""
    shutil.rmtree(TARGET, ignore_errors=True)
    with_pictures = {run.id for run in newest(runs)}
    for run in runs:
        _copy(run, pictures=run.id in with_pictures)
    probes = {str(run.info()["data"]["fingerprint"]): run.path.parent / ".probes" for run in runs}
    for fingerprint, folder in probes.items():
        whole = shutil.ignore_patterns("decoded-pixels-*")  # each run has its own copy of the part that the app shows
        shutil.copytree(folder / fingerprint, TARGET / ".probes" / fingerprint, ignore=whole)
    for array in TARGET.rglob("*.npy"):
        _compress(array)


def _copy(run: Run, pictures: bool) -> None:
    target = TARGET / run.id
    (target / "arrays").mkdir(parents=True)
    (target / "evaluations").mkdir()
    for file in (run.path / "evaluations").glob("*.json"):
        text = json.dumps(_short(read_json(file)), separators=(",", ":"), ensure_ascii=False)
        (target / "evaluations" / file.name).write_text(text, encoding="utf-8")
    for array in (run.path / "arrays").glob("*.npy"):
        if pictures or not array.name.removeprefix("untrained-").startswith(PICTURES):
            shutil.copy(array, target / "arrays")
    config = yaml.safe_load(run.config_text())
    (target / "config.yaml").write_text(yaml.safe_dump(config | {"runs": "runs"}, sort_keys=False), encoding="utf-8")
    nobody = {"owner": "example", "host": "example"}
    write_json(target / "run.json", run.info() | nobody)
    write_json(target / "summary.json", read_json(run.path / "summary.json") | {"owner": "example", "pid": None})
    rows = run.metrics()
    monitored = [row for row in rows if "knn" in row]
    logged = [row for row in rows if "knn" not in row]
    chosen = np.unique(np.linspace(0, len(logged) - 1, METRIC_ROWS).round().astype(int))
    lines = sorted(monitored + [_short(logged[index]) for index in chosen], key=lambda row: row["step"])
    (target / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")


def _short(value: Any) -> Any:
    """JSON with numbers rounded to five significant digits."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _compress(path: Path) -> None:
    """Replace an array by its compressed form, which is read if the plain one is missing."""
    array = np.load(path, allow_pickle=False)
    if array.dtype == np.float32 and array.size > 1000:
        array = array.astype(np.float16)
    np.savez_compressed(path.with_suffix(".npz"), array=array)
    path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the complete runs, with weights")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    # The newest run keeps its images and is evaluated thoroughly; let that be seed 0.
    runs = [find_or_train(options.work, method, seed) for method in METHODS for seed in reversed(range(options.seeds))]
    runner.evaluate(runs, limits=LIMITS)
    runner.evaluate(newest(runs), only=tuple(runner.THOROUGH), limits=LIMITS)
    ship(runs)
    size = sum(file.stat().st_size for file in TARGET.rglob("*") if file.is_file())
    print(f"{len(runs)} runs in {os.path.relpath(TARGET)}, {size / 1e6:.2f} MB")
    if size > MOST_BYTES:
        sys.exit(f"error: more than {MOST_BYTES / 1e6:.0f} MB; lower the limits in examples/make.py.")


if __name__ == "__main__":
    main()
