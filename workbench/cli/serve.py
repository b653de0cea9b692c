"""``workbench app``: the Streamlit app."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import workbench
from workbench.cli.options import RUNS, Flag, RunsFolder
from workbench.errors import WorkbenchError
from workbench.store import list_runs, owner

FIRST_PORT = 8501
CHECKOUT = Path(workbench.__file__).parent.parent
EXAMPLES = CHECKOUT / "examples" / "runs"
LOCAL = ("127.0.0.1", "localhost", "::1")


def app(
    *,
    runs: RunsFolder = RUNS,
    port: Annotated[int | None, Parameter(help="Port; by default the first free one from 8501.")] = None,
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 accepts other machines.")] = "127.0.0.1",
    allow_actions: Flag = False,
    jobs: Annotated[int, Parameter(help="With --allow-actions: commands that run at the same time.")] = 1,
) -> None:
    """Serve the app, which shows the runs in a browser. Without --allow-actions it only reads.

    Args:
        allow_actions: Let anybody who opens it annotate, archive and delete runs and start evaluations.
    """
    if jobs < 1:
        raise WorkbenchError(f"--jobs must be at least 1, not {jobs}.")
    if port is None:
        ports = range(FIRST_PORT, FIRST_PORT + 100)
        port = next((candidate for candidate in ports if _is_free(host, candidate)), FIRST_PORT)
    if not _is_free(host, port):
        raise WorkbenchError(f"Port {port} on {host} is not available; choose another with --port.")
    if runs == RUNS and EXAMPLES.is_dir() and not list_runs(runs):
        print(f"The folder {runs} has no runs yet; showing the example runs, which have no weights.")
        runs, allow_actions = EXAMPLES, False
    from app.launch import command

    argv, environment = command(port, runs, host, allow_actions, jobs)
    if allow_actions and host not in LOCAL:
        print(f"Anyone who can reach {host}:{port} can delete runs and start commands as {owner()}.", file=sys.stderr)
    sys.stdout.flush()
    os.execve(argv[0], argv, environment)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError):
            return False
    return True
