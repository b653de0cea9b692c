"""``workbench doctor``: a check of the installation and the machine, with advice on what is missing."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workbench import __version__
from workbench.cli.options import RUNS, RunsFolder
from workbench.data.cache import cache_root

GB = 1e9
PACKAGES = ("accelerate", "diffusers", "pyarrow", "safetensors", "sklearn", "timm", "streamlit", "plotly")
# Run in a process of its own, so that a broken build of torch is reported rather than fatal.
PROBE = """
import json, torch, torchvision
cuda = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps({
    "torch": torch.__version__, "torchvision": torchvision.__version__, "threads": torch.get_num_threads(),
    "build": f"CUDA {torch.version.cuda}" if torch.version.cuda else "ROCm" if torch.version.hip else "CPU",
    "cuda": [[device.name, device.total_memory / 1e9] for device in cuda],
    "mps": torch.backends.mps.is_available(),
}))
"""


class Finding(NamedTuple):
    """One line of the report; ``advice`` says what to do where ``ok`` is false."""

    ok: bool
    what: str
    state: str
    advice: str = ""


def doctor(*, runs: RunsFolder = RUNS) -> int:
    """Check this machine: packages, devices, folders and free space. Exits with 1 if training would not work."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    versions = f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    packages = "missing: " + ", ".join(missing) if missing else "all installed"
    findings = [
        Finding(True, "workbench", versions),
        *_torch(),
        Finding(not missing, "packages", packages, "Run `make setup`, or `pip install -e . -c constraints.txt`."),
        Finding(True, "processor", f"{_cores()} cores, {_memory() / GB:.1f} GB of memory"),
        _folder("data cache", cache_root(None), "Set WORKBENCH_CACHE or --data.cache to a writable folder."),
        _folder("runs", runs, "Choose another folder with --runs."),
    ]
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        mark = "[green]✓[/]" if finding.ok else "[red]✗[/]"
        table.add_row(mark, finding.what, escape(finding.state + ("" if finding.ok else f". {finding.advice}")))
    Console().print(table, highlight=False)
    return 0 if all(finding.ok for finding in findings) else 1


def _torch() -> list[Finding]:
    advice = "Reinstall: `rm -rf .venv`, then `make setup`; see https://pytorch.org/get-started for other builds."
    try:
        probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return [Finding(False, "torch", "could not be imported within two minutes", advice)]
    if probe.returncode:
        lines = probe.stderr.strip().splitlines() or [f"ended with code {probe.returncode}"]
        return [Finding(False, "torch", f"cannot be imported: {lines[-1]}", advice)]
    report = json.loads(probe.stdout.splitlines()[-1])
    devices = [f"{name} ({memory:.0f} GB)" for name, memory in report["cuda"]] + ["Apple GPU (mps)"] * report["mps"]
    build = f"{report['torch']}, built for {report['build']}, torchvision {report['torchvision']}"
    hint = "none; training runs on the CPU with the cpu presets"
    gpu = Finding(True, "GPU", ", ".join(devices) or hint)
    if not devices and report["build"] == "CPU" and shutil.which("nvidia-smi"):
        gpu = Finding(False, "GPU", "there is an NVIDIA driver, but torch is a CPU build", advice)
    return [Finding(True, "torch", build), gpu]


def _cores() -> int:
    """Processors that this process may use; in a container, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> float:
    """Bytes of memory, within a container's limit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(memory, float(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no limit: the file is absent or says "max"
        return memory


def _folder(what: str, folder: Path, advice: str) -> Finding:
    """Whether a folder can be written or created; nothing is left in it."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()
        free = shutil.disk_usage(nearest).free
    except OSError as error:
        return Finding(False, what, f"{folder} cannot be written ({error.strerror})", advice)
    state = "" if nearest == folder.absolute() else " (will be created)"
    return Finding(free > GB, what, f"{folder}{state}, {free / GB:.1f} GB free", "Free some space. " + advice)
