"""``workbench app``: Streamlit on the runs."""

import os
import socket
import sys
from typing import Annotated

from cyclopts import Parameter

from workbench.cli.options import RUNS, RunsFolder
from workbench.errors import WorkbenchError

FIRST_PORT = 8501


def app(
    *,
    runs: RunsFolder = RUNS,
    port: Annotated[int | None, Parameter(help="Port; by default the first free one from 8501.")] = None,
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
) -> None:
    """Open the app on the runs in the browser. It reads and never writes."""
    if port is None:
        port = next(
            (candidate for candidate in range(FIRST_PORT, FIRST_PORT + 100) if _is_free(host, candidate)), FIRST_PORT
        )
    if not _is_free(host, port):
        raise WorkbenchError(f"Port {port} of {host} cannot be opened; choose another with --port.")
    from app.launch import command

    argv, environment = command(port, runs, host)
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
