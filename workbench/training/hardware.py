"""Choice of device and precision, memory, and descriptions of hardware and versions."""

import ctypes
import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from workbench.config import Device, Precision
from workbench.errors import WorkbenchError

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1


def pick_device(wanted: Device) -> torch.device:
    """The device to compute on; ``auto`` prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        WorkbenchError: the device is not available.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if available[name]))
    if not available[wanted]:
        names = ", ".join(name for name, is_available in available.items() if is_available)
        raise WorkbenchError(
            f"There is no {wanted} device that this PyTorch ({torch.__version__}) can use; it has: {names}. "
            "Choose one with --device, or see `workbench doctor`."
        )
    return torch.device(wanted)


def pick_precision(wanted: Precision, device: torch.device) -> str:
    """``fp32`` or ``bf16``. Without instructions for bf16 (AMX or AVX512-BF16) a CPU emulates it, some twenty times
    slower than fp32 for a ViT step."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bf16" if device.type == "cpu" and native else "fp32"


@contextmanager
def memory_to_spare(advice: str) -> Iterator[None]:
    """Context that turns running out of memory, on device or host, into a WorkbenchError with this advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        words = ("out of memory", "can't allocate memory")
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not any(w in str(error) for w in words):
            raise
        raise WorkbenchError(f"Out of memory: {advice}.") from error


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks instead of returning each to the system.

    Activations are large, and by default each is mapped, faulted in page by page and unmapped at every step, which
    costs about a fifth of a CPU training step. Does nothing without glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, 2**30)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory so far in MB: the allocator's on a GPU, the process's resident set elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    scale = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def describe_hardware(device: torch.device) -> dict[str, Any]:
    """The entry ``hardware`` of ``run.json``."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, memory = properties.name, properties.total_memory / 2**20
    else:
        name = _processor_name()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    return {"device": device.type, "name": name, "threads": torch.get_num_threads(), "memory_mb": round(memory)}


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def describe_versions() -> dict[str, str]:
    """The entry ``versions`` of ``run.json``."""
    versions = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "timm", "diffusers", "accelerate", "numpy", "representation-workbench"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return versions


def rank() -> int:
    """This process's number among those that torchrun or `accelerate launch` started; 0 without either."""
    return int(os.environ.get("RANK", 0))
