"""Two sides of a benchmark in turns, each in a process of its own: medians, the ratio of each turn, peak memory."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from workbench.training.trainer import Trainer

Side = Callable[[argparse.Namespace], list[float]]


def parser(description: str | None, batch_size: int) -> argparse.ArgumentParser:
    """The options that all have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--steps", type=int, default=6)
    made.add_argument("--warmup", type=int, default=2)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--batch-size", type=int, default=batch_size)
    made.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32")
    made.add_argument("--side", help=argparse.SUPPRESS)
    return made


def train(trainer: "Trainer", steps: int, warmup: int) -> list[float]:
    """Seconds of each step of ours after the warm-up, data included."""
    seconds, began, step = [], time.perf_counter(), 0
    while step < steps + warmup:
        for images in trainer.loader.epoch(step // trainer.steps_per_epoch):
            float(trainer.step(images, step // trainer.steps_per_epoch, step).loss.detach())
            now = time.perf_counter()
            seconds.append(now - began)
            began, step = now, step + 1
            if step == steps + warmup:
                break
    return seconds[warmup:]


def run(options: argparse.Namespace, sides: Mapping[str, Side], told: str) -> None:
    """One side where ``--side`` asks for it, otherwise all rounds and their summary; the first side is ours."""
    if options.side:
        seconds = sides[options.side](options)
        workers = sum(child.memory_full_info().uss for child in psutil.Process().children())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 + workers / 2**20
        print(json.dumps({"seconds": statistics.median(seconds), "peak_mb": peak}), flush=True)
        os._exit(0)  # without waiting for a loader's workers
    module = sys.modules["__main__"].__spec__
    assert module is not None  # run by `python -m`
    command = [sys.executable, "-W", "ignore", "-m", module.name, *sys.argv[1:]]
    rounds = []
    for _ in range(options.rounds):
        outputs = [
            subprocess.run([*command, "--side", side], capture_output=True, text=True, check=True).stdout
            for side in sides
        ]
        rounds.append([json.loads(output.splitlines()[-1]) for output in outputs])
    ratios = [theirs["seconds"] / ours["seconds"] for ours, theirs in rounds]
    width = max(map(len, sides))
    for column, name in enumerate(sides):
        seconds, memory = (statistics.median(pair[column][key] for pair in rounds) for key in ("seconds", "peak_mb"))
        rate = options.batch_size / seconds
        print(f"{name:{width}} {seconds:8.3f} s a step, {rate:7.1f} images/s, peak {memory:6.0f} MB")
    spread = f"from {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{'ratio':{width}} {statistics.median(ratios):8.2f} ({spread}), {told}")
