"""Benchmarks of two sides in turns, each in a process of its own: medians, the ratio of each turn, peak memory."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from workbench.training.trainer import Trainer

Side = Callable[[argparse.Namespace], list[float]]


def parser(description: str | None, **defaults: int | float | str) -> argparse.ArgumentParser:
    """A parser of options with these defaults, such as ``batch_size=128`` for ``--batch-size``."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        options.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return options


def step_parser(description: str | None, batch_size: int) -> argparse.ArgumentParser:
    """The options of every benchmark of training steps."""
    options = parser(description, steps=6, warmup=2, rounds=3, batch_size=batch_size)
    options.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32")
    options.add_argument("--side", help=argparse.SUPPRESS)
    return options


def time_steps(batches: Iterable[Any], step: Callable[[Any], Any], options: argparse.Namespace) -> list[float]:
    """Seconds of each step on a batch after the warm-up, loading included; ``step`` returns the loss."""
    seconds, began = [], time.perf_counter()
    for batch in islice(batches, options.steps + options.warmup):
        float(step(batch))
        now = time.perf_counter()
        seconds.append(now - began)
        began = now
    return seconds[options.warmup :]


def time_trainer(trainer: "Trainer", options: argparse.Namespace) -> list[float]:
    """Seconds of each step of ours after the warm-up, data included."""
    epochs = range(-(-(options.steps + options.warmup) // trainer.steps_per_epoch))
    batches = ((epoch, images) for epoch in epochs for images in trainer.loader.epoch(epoch))

    def step(numbered: Any) -> Any:
        number, (epoch, images) = numbered
        return trainer.step(images, epoch, number).loss.detach()

    return time_steps(enumerate(batches), step, options)


def run(options: argparse.Namespace, sides: Mapping[str, Side], label: str) -> None:
    """Run one side with ``--side``, otherwise all rounds, and print their summary; the first side is ours."""
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
    print(f"{'ratio':{width}} {statistics.median(ratios):8.2f} ({spread}), {label}")
