"""Processes of their own, forked from a server that has imported torch and the workbench once.

`python -m workbench` spends seconds on imports. These begin where the imports end, and are real processes, too: a pid,
signals, an exit code, nothing shared with the test. Each start that people use (`python -m workbench`, torchrun,
`accelerate launch`) has a test without them.
"""

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from workbench.methods import METHODS

_CONTEXT: Any = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.processes", "tests.training.whole_batch", "workbench.studies.runner", "workbench.cli"]
    + [f"workbench.methods.{method}" for method in METHODS]
)


def begin(target: Callable[..., Any], *arguments: Any, log: Path | None = None, **environment: str) -> BaseProcess:
    """Start a function of a module; what it prints goes to a file, or nowhere.

    Args:
        target: the function; what it returns is the exit code.
        arguments: of the function.
        log: the file.
        environment: variables beside those of this process.
    """
    variables = {**os.environ, **environment}
    words = (target, arguments, log or os.devnull, variables, torch.get_num_threads())
    process = _CONTEXT.Process(target=_run, args=words)
    process.start()
    return process


def workbench(words: Sequence[str]) -> int:
    """A command, as a target."""
    from workbench.cli import main

    return main(words)


def train(method: str, settings: dict[str, Any]) -> None:
    """A training, as a target."""
    from workbench.training import start

    start(method, settings)


def ended(*processes: BaseProcess, seconds: float = 300) -> list[int | None]:
    """Exit codes, once all have ended."""
    deadline = time.monotonic() + seconds
    for process in processes:
        process.join(max(0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            raise AssertionError(f"process {process.pid} has not ended in {seconds} s")
    return [process.exitcode for process in processes]


def two_ranks(target: Callable[..., Any], *arguments: Any, log: Path) -> list[int | None]:
    """Run a function in two processes that know one another as torchrun's do; exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    return ended(*[begin(target, *arguments, log=log, **common, **rank) for rank in ranks])


def _run(
    target: Callable[..., Any], arguments: tuple, log: str | Path, variables: dict[str, str], threads: int
) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(variables)
    torch.set_num_threads(threads)
    sys.exit(target(*arguments))
