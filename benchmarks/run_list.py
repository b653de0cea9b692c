"""Time to list 1,000 runs and to read the curves of 20 of them, beside TensorBoard on the same numbers.

    python -m benchmarks.run_list
    python -m benchmarks.run_list --tensorboard PYTHON     a Python that can import tensorboard

Synthetic runs of 10,000 metric rows are written into a temporary folder (3 GB; ``--folder`` keeps them). Every reading
is a fresh process; the operating system's cache is left as it is. Ours and TensorBoard take turns. On a shared machine
processor seconds vary less.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import turns
from workbench.store import SPARKLINE

PREPARE = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[1])
def took(call):
    wall, cpu = time.perf_counter(), time.process_time()
    value = call()
    return time.perf_counter() - wall, time.process_time() - cpu, value
"""
SLOW = """
import builtins, io, os
def late(call):
    def wrapped(*args, **options):
        time.sleep(0.001)
        return call(*args, **options)
    return wrapped
builtins.open = io.open = late(open)
for name in ("open", "stat", "lstat", "scandir", "listdir"):
    setattr(os, name, late(getattr(os, name)))
"""
LIST = """
from workbench.store import list_summaries
for _ in range(2):
    wall, cpu, summaries = took(lambda: list_summaries(folder))
    print(wall, cpu, len(summaries))
"""
CURVES = """
from app import main
from app.reading.files import metrics_of
from workbench.store import Run
paths = sorted(path for path in folder.iterdir())[:20]
wall, cpu, curves = took(lambda: metrics_of([Run(path) for path in paths]))
print(wall, cpu, sum(len(columns["loss"]) for columns in curves))
"""
ACCUMULATOR = """
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
paths = sorted(path for path in folder.iterdir())[: int(sys.argv[2])]
size = {SCALARS: 0}
wall, cpu, events = took(lambda: [EventAccumulator(str(path), size_guidance=size).Reload() for path in paths])
print(wall, cpu, sum(len(event.Scalars("loss")) for event in events))
"""
EVENTS = """
import json
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
for run in sorted(path for path in folder.iterdir())[: int(sys.argv[3])]:
    writer = EventFileWriter(str(Path(sys.argv[2]) / run.name))
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        values = [Summary.Value(tag=key, simple_value=value) for key, value in row.items() if key != "step"]
        writer.add_event(Event(step=row["step"], wall_time=row["seconds"], summary=Summary(value=values)))
    writer.close()
"""


def write_runs(folder: Path, count: int, n_rows: int) -> None:
    """Write synthetic finished runs; 50 at a time share their metrics."""
    text = ""
    for index in range(count):
        if index % 50 == 0:
            rng = np.random.default_rng(index)
            text = "".join(json.dumps(row) + "\n" for row in rows(n_rows, rng))
        run = folder / f"2026{index % 12 + 1:02d}01-{index:06d}-mocov3-shapes-{index:04x}"
        run.mkdir(parents=True)
        identity = {"id": run.name, "name": None, "owner": "lab", "method": "mocov3", "family": "contrastive"}
        identity |= {"seed": index % 5, "status": "finished", "created": "2026-01-01T00:00:00+00:00"}
        data = {"name": "shapes", "fingerprint": "invented", "size": 32, "channels": 3, "classes": None, "factors": []}
        curve = list(np.linspace(20, 70, SPARKLINE))
        summary = {"data": "shapes", "step": n_rows, "steps": n_rows, "epoch": 45.0, "epochs": 45.0, "loss": 1.96}
        summary |= {"knn_monitor": 70.1, "knn": 69.4, "linear": 75.2, "images_per_second": 300.1, "seconds": 1248.6}
        summary |= {"parameters": 1036448, "sparkline": curve, "group": f"{index // 5:016x}", "heartbeat": 1.8e9}
        (run / "run.json").write_text(json.dumps({"format": 1, **identity, "data": data}))
        (run / "summary.json").write_text(json.dumps(identity | summary, indent=1))
        (run / "config.yaml").write_text(f"method: mocov3\ndata: shapes\nseed: {index % 5}\n")
        (run / "metrics.jsonl").write_text(text)


def rows(count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Rows as training writes them, a tenth of them with a reading of the monitor."""
    noise = rng.normal(1, 0.05, (count, 6)).tolist()
    written = []
    for step in range(1, count + 1):
        common = {"step": step, "epoch": step / 70, "images": step * 128, "seconds": step * 0.396531}
        a, b, c, d, e, f = noise[step - 1]
        values = {"loss": a * 2, "feature_std": b, "lr": 1e-3 * c, "images_per_second": 300 * d, "grad_norm": 2 * e}
        values |= {"grad_norm/first": 1.5 * f, "grad_norm/last": 0.1 * e, "memory_mb": 1064.4765625}
        written.append(common | ({"knn": 60 * a} if step % 10 == 0 else values))
    return written


def measure(python: str, code: str, *words: str) -> list[float]:
    """The output of a fresh process: wall-clock seconds, processor seconds and amount read, in turn."""
    process = subprocess.run([python, "-c", PREPARE + code, *words], capture_output=True, text=True, check=True)
    return [float(word) for word in process.stdout.split()]


def main() -> None:
    parser = turns.parser(__doc__, runs=1000, rows=10_000, rounds=5)
    parser.add_argument("--folder", type=Path, help="folder of the synthetic runs, which is kept")
    parser.add_argument("--tensorboard", metavar="PYTHON", help="a Python that can import tensorboard")
    parser.add_argument("--tensorboard-runs", type=int, default=20, metavar="N", help="runs that TensorBoard reads")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "runs"
        if not folder.exists():
            write_runs(folder, options.runs, options.rows)
        events = folder.with_name(folder.name + "-events")
        if options.tensorboard and not events.exists():
            measure(options.tensorboard, EVENTS, str(folder), str(events), str(options.tensorboard_runs))
        report(options, folder, events)


def report(options: argparse.Namespace, folder: Path, events: Path) -> None:
    """Measure in turns and print a table."""
    here, number = str(folder), str(options.tensorboard_runs)
    taken: dict[str, list[list[float]]] = {}
    for _ in range(options.rounds):
        both = measure(sys.executable, LIST, here)
        cold, warm, late = both[:3], both[3:], measure(sys.executable, SLOW + LIST, here)[:3]
        curves = measure(sys.executable, CURVES, here)
        readings = {
            f"list of {cold[2]:.0f} runs, nothing read before": cold,
            "the same again": warm,
            "nothing read before, 1 ms more a file call": late,
            f"curves of 20 runs, {curves[2]:,.0f} rows": curves,
        }
        if options.tensorboard:
            theirs = measure(options.tensorboard, ACCUMULATOR, str(events), number)
            readings[f"TensorBoard's EventAccumulator, {number} runs, {theirs[2]:,.0f} rows"] = theirs
        for name, reading in readings.items():
            taken.setdefault(name, []).append(reading)
    print(f"{'':<60} {'median s (range)':>26} {'processor s':>12}")
    for name, rounds in taken.items():
        wall, cpu, _ = zip(*rounds, strict=True)
        span = f"{statistics.median(wall):.3f} ({min(wall):.3f} to {max(wall):.3f})"
        print(f"{name:<60} {span:>26} {statistics.median(cpu):12.3f}")


if __name__ == "__main__":
    main()
