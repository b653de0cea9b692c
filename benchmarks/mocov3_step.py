"""A MoCo v3 training step end to end, data included: ours against one built from lightly's parts.

    pip install -e '.[bench]' -c constraints.txt
    python -m benchmarks.mocov3_step                    # fp32
    python -m benchmarks.mocov3_step --precision bf16
    python -m benchmarks.mocov3_step --precision auto    # what each side does by itself: ours chooses, theirs is fp32
    python -m benchmarks.mocov3_step --compile ours     # or both: with torch.compile

ViT of width 192, depth 12, patch 4 on 32 px images, heads of the published sizes, batch 128, AdamW. Each side runs
in a process of its own, in turns; printed are the median step, the ratio of each turn and the peak memory (with the
workers').
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from workbench.training.trainer import Trainer

SIZE, WIDTH, DEPTH, HEADS, PATCH = 32, 192, 12, 3, 4


def trainer(batch_size: int, precision: str = "fp32", compiled: bool = False) -> "Trainer":
    """The trainer that `workbench train` uses, with the benchmark's network."""
    from workbench.training.loop import resolve
    from workbench.training.trainer import Trainer

    with tempfile.TemporaryDirectory() as runs:
        settings = {
            "runs": runs, "data": "shapes", "epochs": 1, "batch_size": batch_size, "precision": precision,
            "compile": compiled, "width": WIDTH, "depth": DEPTH, "heads": HEADS, "patch": PATCH, "stem": "patch",
            "frozen_patch": False, "hidden": 4096, "out_dim": 256, "crop_min": 0.08, "blur": [0.5, 0.5],
            "solarise": [0.0, 0.0],
        }  # fmt: skip
        config, dataset = resolve("mocov3", settings)
        return Trainer("mocov3", config, dataset)


def ours(steps: int, batch_size: int, precision: str, warmup: int, compiled: bool) -> list[float]:
    """Seconds of each step, data included."""
    made = trainer(batch_size, precision, compiled)
    seconds, began = [], time.perf_counter()
    for step, images in zip(range(steps + warmup), made.loader.epoch(0), strict=False):
        result = made.step(images, 0, step)
        float(result.loss.detach())
        now = time.perf_counter()
        seconds.append(now - began)
        began = now
    return seconds[warmup:]


def theirs(steps: int, batch_size: int, precision: str, warmup: int, compiled: bool) -> list[float]:
    """Seconds of each step, from a loader with two workers."""
    import torch
    from timm.models.vision_transformer import VisionTransformer

    from benchmarks import peer_lightly
    from workbench.data import shapes

    backbone = VisionTransformer(
        img_size=SIZE, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, num_classes=0
    )
    model = peer_lightly.MoCo(backbone, WIDTH)
    if compiled:
        model.backbone.compile()
        model.backbone_momentum.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-4, weight_decay=0.1)
    pixels = shapes.generate("train", (steps + warmup + 2) * batch_size).images
    seconds, began = [], time.perf_counter()
    for step, views in enumerate(peer_lightly.loader(pixels, batch_size, workers=2, blur=0.5)):
        if step == steps + warmup:
            break
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model.loss(views)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        float(loss.detach())
        now = time.perf_counter()
        seconds.append(now - began)
        began = now
    return seconds[warmup:]


def measure(side: str, options: argparse.Namespace) -> dict[str, float]:
    """One side in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.mocov3_step", "--side", side]
    command += ["--steps", str(options.steps), "--batch-size", str(options.batch_size), "--warmup", str(options.warmup)]
    command += ["--compile", "both"] if options.compile in (side, "both") else []
    output = subprocess.run([*command, "--precision", options.precision], capture_output=True, text=True, check=True)
    return json.loads(output.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32")
    parser.add_argument("--compile", choices=("neither", "ours", "both"), default="neither")
    parser.add_argument("--side", choices=("ours", "theirs"))
    options = parser.parse_args()
    if options.side:
        run = {"ours": ours, "theirs": theirs}[options.side]
        seconds = run(options.steps, options.batch_size, options.precision, options.warmup, options.compile == "both")
        workers = sum(child.memory_full_info().uss for child in psutil.Process().children())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 + workers / 2**20
        print(json.dumps({"seconds": statistics.median(seconds), "peak_mb": peak}), flush=True)
        os._exit(0)  # without waiting for the loader's workers
    rounds = [(measure("ours", options), measure("theirs", options)) for _ in range(options.rounds)]
    ratios = [b["seconds"] / a["seconds"] for a, b in rounds]
    for name, column in (("workbench", 0), ("lightly's parts", 1)):
        seconds = statistics.median(pair[column]["seconds"] for pair in rounds)
        memory = statistics.median(pair[column]["peak_mb"] for pair in rounds)
        print(f"{name:16} {seconds:7.3f} s a step, {options.batch_size / seconds:6.1f} images/s, peak {memory:6.0f} MB")
    spread = f"from {min(ratios):.2f} to {max(ratios):.2f}"
    how = f"{options.precision}, compiled: {options.compile}"
    print(f"ratio            {statistics.median(ratios):7.2f} ({spread}), {how}")


if __name__ == "__main__":
    main()
