"""A runs folder as `workbench train` and `workbench evaluate` would leave it, made of invented numbers.

Three finished runs with every evaluation, and one of each that a reader has to survive: running, failed, stalled,
half-written, foreign. ``python -m tests.app.app_fixture FOLDER`` writes it for looking at.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.app.generative_fixture import draw
from workbench.files import write_array, write_json
from workbench.store import Probe, Run, create_run, probe_of

THREE = ("mocov3", "vae", "ddpm")
Folder = tuple[Path, dict[str, str]]
"""A folder of runs, and run ids by role."""
CLASSES = ["circle", "square", "triangle", "cross", "ring", "bar"]
FACTORS = [
    ("shape", "categorical", 1 / 6),
    ("hue", "circular", 0.0),
    ("size", "continuous", 0.0),
    ("x", "continuous", 0.0),
    ("y", "continuous", 0.0),
    ("background", "continuous", 0.0),
]
SPACES = {
    "mocov3": ["class token", "pooled patches", "projector"],
    "vae": ["posterior mean"],
    "ddpm": ["middle, t=100", "up 1, t=100", "up 1, t=250"],
}
SKILL = {"mocov3": 71.0, "vae": 44.0, "ddpm": 58.0}  # linear top-1 in %
STEPS = 400
CHANGES = {"crop": [0.2, 0.4], "flip": [1, 2], "noise": [0.01, 0.1, 0.3]}


def images_of(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``n`` images uint8 (n, 32, 32, 3) of six shapes sorted by class, labels (n,) and factors (n, 6)."""
    labels = np.sort(np.arange(n) % len(CLASSES))
    hue, size, x, y, background = rng.uniform(size=(5, n))
    colour = (np.stack([np.cos(2 * np.pi * (hue + k / 3)) for k in range(3)], 1) * 0.45 + 0.5)[:, None, None, :]
    rows, columns = np.mgrid[0:32, 0:32] + 0.5
    u = columns[None] - (11 + 10 * x)[:, None, None]
    v = rows[None] - (11 + 10 * y)[:, None, None]
    radius = (5 + 5 * size)[:, None, None]
    distance = np.hypot(u, v)
    square = np.maximum(abs(u), abs(v)) < radius
    masks = [
        distance < radius,
        square,
        (v > -radius) & (v < radius * 0.7) & (abs(u) < (v + radius) * 0.55),
        square & (np.minimum(abs(u), abs(v)) < radius / 3),
        (distance < radius) & (distance > radius * 0.55),
        (abs(u) < radius) & (abs(v) < radius / 3),
    ]
    mask = np.choose(labels[:, None, None], masks)[..., None]
    floor = (0.1 + 0.5 * background)[:, None, None, None]
    images = np.where(mask, colour, floor) + rng.normal(0, 0.02, (n, 32, 32, 3))
    factors = np.stack([labels, hue, size, x, y, background], 1).astype(np.float32)
    return (images.clip(0, 1) * 255).astype(np.uint8), labels.astype(np.int64), factors


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def blurred(images: np.ndarray, passes: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    """A worse copy of images, as a reconstruction would be."""
    soft = images.astype(np.float64)
    for _ in range(passes):
        soft = (soft + sum(np.roll(soft, shift, axis) for shift in (-1, 1) for axis in (1, 2))) / 5
    return (soft + rng.normal(0, noise, soft.shape)).clip(0, 255).astype(np.uint8)


def make_probe(runs: Path, fingerprint: str, n: int = 240) -> Probe:
    """The probe set of a fingerprint with images, labels, ids and factors."""
    images, labels, factors = images_of(n, np.random.default_rng(5))
    probe = probe_of(runs, fingerprint)
    kinds = [{"name": name, "kind": kind} for name, kind, _ in FACTORS]
    content = {"fingerprint": fingerprint, "data": "shapes", "classes": CLASSES, "factors": kinds, "n": n}
    write_json(probe.path / "probe.json", content | {"size": 32, "channels": 3})
    for name, array in {"images": images, "labels": labels, "ids": np.arange(n) * 7 + 3, "factors": factors}.items():
        write_array(probe.path / f"{name}.npy", array)
    kept = Probe(probe.path / "baselines")
    for kind in ("tsne", "pca"):
        kept.write_array(f"{kind}-pixels", images.reshape(n, -1)[:, [7, 1500]].astype(np.float32))
    kept.write_evaluation("projection", {"spaces": ["pixels"], "n": n, "explained": {"pixels": [0.4, 0.1]}})
    return probe


def make_run(runs: Path, method: str, *, lr: float, seed: int = 0, steps: int = STEPS, name: str | None = None) -> Run:
    """A run with configuration and metrics up to ``steps`` of :data:`STEPS`."""
    rng = np.random.default_rng(len(method) + seed)
    config = {"method": method, "data": "shapes", "epochs": 20, "batch_size": 128, "seed": seed, "optim.lr": lr}
    config |= {"mocov3": {"temperature": 0.2}, "vae": {"latent": 32}, "ddpm": {"timesteps": 1000}}[method]
    capabilities = [] if method == "mocov3" else ["reconstructs", "samples", "likelihood"]
    family = "contrastive" if method == "mocov3" else "generative"
    data = {"name": "shapes", "fingerprint": "fixture01", "size": 32, "channels": 3, "classes": CLASSES}
    data |= {"factors": [name for name, _, _ in FACTORS], "train": 5000, "val": 500, "test": 1000}
    text = "".join(f"{key}: {value}\n" for key, value in config.items())
    info = {"method": method, "family": family, "capabilities": capabilities, "data": data, "seed": seed}
    run = create_run(runs, text, info | {"name": name, "versions": {"python": "3.11"}, "hardware": {"device": "cpu"}})
    (run.path / "checkpoints" / f"step-{steps:08d}").mkdir()
    parameters = {"mocov3": 2_812_000, "vae": 1_404_000, "ddpm": 3_960_000}[method]
    cost = {"parameters": parameters, "flops_per_image": 9.1e7, "images_seen": steps * 128}
    cost |= {"steps": steps, "seconds": steps / 3}
    rows: list[dict[str, Any]] = []
    for step in range(10, steps + 1, 10):
        fraction = step / STEPS
        floor, height = {"mocov3": (1.4, 1.1), "vae": (310, 900), "ddpm": (0.031, 0.5)}[method]
        common = {"step": step, "epoch": step / 20, "images": step * 128, "seconds": step / 3}
        row = common | {"loss": floor + height * np.exp(-5 * fraction) * (1 + rng.normal(0, 0.06))}
        row |= {"lr": lr * (1 - fraction / 1.1), "images_per_second": 380 + rng.normal(0, 12), "memory_mb": 812.0}
        row |= {"grad_norm": 1.2 + rng.gamma(2, 0.2), "grad_norm/first": 0.4 + rng.gamma(2, 0.1)}
        rows.append(row | {"grad_norm/last": 0.2 + rng.gamma(2, 0.05)})
        if step % 20 == 0:
            rows.append(common | {"knn": SKILL[method] - 4 - 25 * np.exp(-4 * fraction) + rng.normal(0, 1)})
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    knn = [row["knn"] for row in rows if "knn" in row]
    run.update_info(cost=cost)
    reached: dict[str, Any] = {"step": steps, "steps": STEPS, "epoch": steps / 20, "epochs": 20, "sparkline": knn}
    reached |= {"loss": [row["loss"] for row in rows if "loss" in row][-1], "knn_monitor": knn[-1]}
    reached |= {"images_per_second": 381.0, "eta_seconds": (STEPS - steps) / 3, "seconds": steps / 3}
    run.update_summary(**reached, parameters=parameters)
    return run


def set_status(run: Run, status: str, **summary: Any) -> None:
    run.update_info(status=status)
    run.update_summary(status=status, **summary)


def evaluate(run: Run, probe: Probe, others: dict[str, str]) -> None:
    """Every evaluation of a run; ``others`` are method by id of the runs it is compared with."""
    method, rng = run.info()["method"], np.random.default_rng(11)
    labels, images, ids = probe.labels(), probe.images(), probe.ids()
    assert labels is not None and images is not None and ids is not None
    default, skill, baseline = SPACES[method][-1], SKILL[method], f"untrained:{method}"
    envelope = {"checkpoint": f"last, step {STEPS}", "split": "test", "n": 1000, "seeds": [0], "default": default}
    models = [("run", space, skill - 4 * (space != default)) for space in SPACES[method]]
    models += [("pixels", "pixels", 33.0), (baseline, default, 25.0)]

    linear, nearest = [], []
    for model, space, value in models:
        row = {"model": model, "space": space, "metric": "top1", "dim": 192}
        nearest.append(row | interval(value - 5, 2.4) | {"k": 20})
        per_class = (value + rng.normal(0, 9, len(CLASSES))).clip(0, 100)
        confusion = np.array([(100 - score) / 5 * rng.dirichlet(np.full(6, 2)) * 5 for score in per_class]) * 1.67
        np.fill_diagonal(confusion, per_class * 1.67)
        linear.append(row | interval(value, 2.2) | {"regularisation": 0.01, "validation": value})
        if space == default or model != "run":
            linear[-1] |= {"per_class": per_class, "confusion": confusion.round().astype(int)}
        truth = np.arange(1000) % len(CLASSES)
        guesses = np.where(rng.random(1000) < value / 100, truth, (truth + 1) % len(CLASSES))
        names = {"run": f"predicted-{space}", "pixels": "pixels-predicted"}
        run.write_array(names.get(model, f"untrained-predicted-{space}"), guesses)
    run.write_evaluation("knn", envelope | {"protocol": "weighted kNN, k = 20, temperature 0.07", "rows": nearest})
    protocol = "logistic regression on frozen features, L2 chosen on validation"
    run.write_evaluation("linear", envelope | {"protocol": protocol, "rows": linear, "classes": CLASSES})
    run.write_array("predicted-ids", np.arange(1000))
    run.write_array("predicted-labels", np.arange(1000) % len(CLASSES))
    rows = []
    for model, space, value in models:
        for name, kind, chance in FACTORS:
            metric, top = ("accuracy", 100) if kind == "categorical" else ("r2", 1)
            share = chance + (1 - chance) * np.clip(value / 100 + rng.normal(0, 0.15), 0.02, 0.98)
            row = {"model": model, "space": space, "factor": name, "metric": metric, "chance": chance * top}
            rows.append(row | interval(top * share, 0.02 * top))
    protocol = "ridge or logistic regression on frozen features"
    run.write_evaluation("factors", envelope | {"protocol": protocol, "rows": rows})

    spaces, n = {}, 120
    chosen = np.arange(0, len(ids), 2)
    for space in SPACES[method]:
        centres = rng.normal(size=(6, 24)) * skill / 60
        base = centres[labels[chosen]] + rng.normal(size=(n, 24))
        views = [base + rng.normal(size=(n, 24)) * 0.5 for _ in range(2)]
        unit = [view / np.linalg.norm(view, axis=1, keepdims=True) for view in views]
        matrix = (unit[0] @ unit[1].T).astype(np.float32)
        member = np.eye(6)[labels[chosen]] / 20
        run.write_array(f"similarity-{space}", matrix)
        run.write_array(f"class-similarity-{space}", (member.T @ matrix @ member).astype(np.float32))
        matching = 100 * (matrix.argmax(1) == np.arange(n)).mean()
        outside = matrix[~np.eye(n, dtype=bool)].mean()
        spaces[space] = {"diagonal": matrix.diagonal().mean(), "off_diagonal": outside, "matching": matching}
        embedding = centres[labels] * 2 + rng.normal(size=(len(ids), 24))
        for kind in ("tsne", "pca"):
            run.write_array(f"{kind}-{space}", (embedding[:, :2] * (12 if kind == "tsne" else 1)).astype(np.float32))
    run.write_array("similarity-ids", ids[chosen])
    run.write_array("similarity-labels", labels[chosen])
    similarity = {"protocol": "cosine of two augmented views of the same images", "spaces": spaces, "n": n}
    run.write_evaluation("similarity", envelope | similarity)
    projection = {"protocol": "t-SNE and PCA of the probe set", "perplexity": 30, "n": len(ids)}
    projection |= {"spaces": SPACES[method], "explained": {space: [0.31, 0.17] for space in SPACES[method]}}
    run.write_evaluation("projection", envelope | projection)
    see(run, probe, others, envelope | {"split": "probe", "n": len(ids)})
    draw(run, probe, envelope)

    if "reconstructs" not in run.info()["capabilities"]:
        reason = "MoCo v3 learns an encoder only: it has no decoder that could draw."
        for task in ("reconstruction", "samples"):
            run.write_evaluation(task, {"skipped": reason})
        return
    shown = images[::10]
    run.write_array("reconstruction-ids", ids[::10])
    copies = {("run", "")} if method == "vae" else {("run", f"t={t}") for t in (100, 250, 500)}
    rows = []
    for model, variant in [*sorted(copies), (baseline, sorted(copies)[0][1]), ("mean image", ""), ("pca-32", "")]:
        passes = {"run": 1 if not variant else int(variant[2:]) // 90, baseline: 20, "pca-32": 6}.get(model, 0)
        drawn = np.repeat(shown.mean(0, keepdims=True), 24, 0).astype(np.uint8)
        if model != "mean image":
            drawn = blurred(shown, passes, 4, rng)
        error = ((drawn / 255.0 - shown / 255.0) ** 2).mean((1, 2, 3))
        row = {"model": model, "space": "", "variant": variant, "metric": "psnr", "mse": error.mean()}
        rows.append(row | interval(-10 * np.log10(error.mean()), 0.3))
        run.write_array(f"reconstruction-{model}-{variant}", drawn)
        run.write_array(f"reconstruction-error-{model}-{variant}", error.astype(np.float32))
    protocol = f"held-out images, {'encoded and decoded' if method == 'vae' else 'noised to t and denoised'}"
    reconstruction = {"protocol": protocol, "rows": rows, "default": sorted(copies)[0][1]}
    run.write_evaluation("reconstruction", envelope | reconstruction)
    variants = []
    samplers = {"vae": [("prior", 1)], "ddpm": [("ancestral", 1000), ("ddim", 50), ("dpm-solver++", 20)]}
    for sampler, count in samplers[method]:
        array = f"samples-{sampler}-{count}"
        run.write_array(array, blurred(images[rng.permutation(len(ids))[:36]], 2 if method == "vae" else 0, 6, rng))
        variants.append({"sampler": sampler, "steps": count, "seconds": count / 30, "seed": 0, "array": array})
    checkpoint = f"last, step {STEPS} (EMA weights)"
    run.write_evaluation("samples", {"checkpoint": checkpoint, "protocol": "same seeds", "variants": variants})


def see(run: Run, probe: Probe, others: dict[str, str], envelope: dict[str, Any]) -> None:
    """Agreement with other runs, by method, retrieval and invariance."""
    method, rng = run.info()["method"], np.random.default_rng(13)
    labels, images, ids = probe.labels(), probe.images(), probe.ids()
    assert labels is not None and images is not None and ids is not None
    default, skill, baseline = envelope["default"], SKILL[method], f"untrained:{method}"
    kept = Probe(probe.path / "baselines")

    rows = []
    compared = {other: SPACES[kind] for other, kind in others.items()} | {"pixels": ["pixels"], baseline: [default]}
    for metric, level in (("cka", 0.6), ("mutual_knn", 0.3), ("procrustes", 0.5)):
        for other, spaces in compared.items():
            for space in SPACES[method]:
                for place, other_space in enumerate(spaces):
                    by_chance = other == "pixels" and metric == "mutual_knn"
                    score = {"value": 0.06 if by_chance else level - 0.07 * place - 0.05 * (space != default)}
                    score |= {"expected": 0.05, "p_value": 0.4 if by_chance else 0.005}
                    row = {"model": "run", "space": space, "other": other, "other_space": other_space}
                    rows.append(row | {"metric": metric} | score)
    protocol = "CKA, mutual 10-NN overlap and Procrustes; expected: mean over permutations of the images"
    run.write_evaluation("agreement", envelope | {"protocol": protocol, "rows": rows, "k": 10})

    models = [("run", space, skill) for space in SPACES[method]]
    models += [(baseline, space, 25.0) for space in SPACES[method]] + [("pixels", "pixels", 33.0)]
    retrieved, profile = [], []
    for model, space, value in models:
        centres = np.eye(6)[labels] * value / 20
        points = centres + rng.normal(size=centres.shape)
        distance = ((points[:, None] - points[None]) ** 2).sum(-1)
        np.fill_diagonal(distance, np.inf)
        nearest = ids[np.argsort(distance, axis=1)[:, :20]]
        name = {"run": f"neighbours-{space}", "pixels": "neighbours-pixels"}.get(model)
        (kept if model == "pixels" else run).write_array(name or f"untrained-neighbours-{space}", nearest)
        row = {"model": model, "space": space, "metric": "map@10", "dim": 192, "queries": len(ids)}
        retrieved.append(row | interval(value - 10, 1.5))
        for transform, strengths in CHANGES.items():
            for place, strength in enumerate(strengths, start=1):
                step = {"model": model, "space": space, "transform": transform, "strength": strength}
                score = interval(1 - place * (0.3 if space == "pixels" else 0.15), 0.05)
                profile.append(step | {"metric": "kept", "cosine": 0.9} | score)
    protocol = "mAP@10 of each probe image among the others by cosine"
    retrieval = {"protocol": protocol, "rows": retrieved, "spaces": SPACES[method], "k": 10}
    run.write_evaluation("retrieval", envelope | retrieval)
    steps = [{"transform": name, "strength": value} for name, values in CHANGES.items() for value in values]
    told = {"protocol": "similarity kept when probe images are changed", "rows": profile, "steps": steps}
    run.write_evaluation("invariance", envelope | told)
    probe.write_array("invariance-examples", np.repeat(images[None, :40:10], 1 + len(steps), axis=0))


def copy_as_seed(run: Run, path: Path, seed: int, step: float = 1.0) -> Run:
    """A copy of a run of seed 0, its own values ``step`` higher with every seed."""
    copy = Run(shutil.copytree(run.path, path))
    copy.update_info(seed=seed)
    copy.update_summary(alive=False, seed=seed)
    (copy.path / "config.yaml").write_text(copy.config_text().replace("seed: 0", f"seed: {seed}"))
    for name, evaluation in copy.evaluations().items():
        for row in evaluation.get("rows", []):
            row["value"] += step * seed * (row["model"] == "run")
        write_json(copy.path / "evaluations" / f"{name}.json", evaluation)
    return copy


def make_runs(runs: Path) -> dict[str, str]:
    """Write the whole folder.

    Returns:
        run ids by role: mocov3, vae, ddpm, bare (finished, not evaluated), running, failed, stalled, half.
    """
    probe = make_probe(runs, "fixture01")
    rates = {"mocov3": 1e-3, "vae": 2e-3, "ddpm": 4e-4}
    trained = {method: make_run(runs, method, lr=lr) for method, lr in rates.items()}
    for method, run in trained.items():
        evaluate(run, probe, {other.id: kind for kind, other in trained.items() if kind != method})
        set_status(run, "finished", linear=SKILL[method], knn=SKILL[method] - 5)
    bare = make_run(runs, "mocov3", lr=3e-3, seed=1, name="higher rate")
    set_status(bare, "finished")
    running = make_run(runs, "ddpm", lr=4e-4, seed=2, steps=180)
    failed = make_run(runs, "vae", lr=5e-1, steps=60)
    failed.update_info(error="The loss became NaN at step 61; lower --optim.lr, the last good checkpoint is step 60.")
    set_status(failed, "failed")
    lasting = running.summary() | {"heartbeat": time.time() + 3600, "status": "running"}  # as long as tests take
    write_json(running.path / "summary.json", lasting)
    stalled = make_run(runs, "mocov3", lr=1e-3, seed=4, steps=120)
    silent = stalled.summary() | {"heartbeat": time.time() - 3600, "status": "running"}
    write_json(stalled.path / "summary.json", silent)
    half = make_run(runs, "vae", lr=1e-3, seed=5, steps=90)
    set_status(half, "interrupted")
    with open(half.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 100, "lo')
    (half.path / "summary.json").write_text('{"id": "half')
    torn = {"rows": [{"model": "run"}, "text", {"value": "seventy"}], "n": "many"}
    write_json(half.path / "evaluations" / "linear.json", torn)
    (half.path / "evaluations" / "knn.json").write_text("[1, 2")
    write_json(half.path / "evaluations" / "similarity.json", {"spaces": {"gone": {}}})
    (half.path / "arrays" / "similarity-gone.npy").write_bytes(b"\x93NUMPY not")
    foreign = runs / "somebody-elses"
    foreign.mkdir()
    (foreign / "run.json").write_text('["not", "a run"]')
    (foreign / "config.yaml").write_text("a: [1,\n")
    (runs / "holiday-photos").mkdir()
    others = {"bare": bare, "running": running, "failed": failed, "stalled": stalled, "half": half}
    return {role: run.id for role, run in (trained | others).items()}


if __name__ == "__main__":
    for role, run_id in make_runs(Path(sys.argv[1])).items():
        print(f"{role}\t{run_id}")
