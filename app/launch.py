"""How the dashboard is started: the command line and environment of its own process."""

import os
import sys
from pathlib import Path


def command(
    port: int = 8501, runs: Path | str = "runs", host: str = "127.0.0.1", allow_actions: bool = False, jobs: int = 1
) -> tuple[list[str], dict[str, str]]:
    """The process that serves the dashboard; the theme comes from ``.streamlit/config.toml`` beside ``server.py``.

    Args:
        port: TCP port.
        runs: folder of the runs; it is only read, unless actions are allowed.
        host: address to bind to; the default is reachable from this machine only.
        allow_actions: let people in the browser mark and delete runs and start commands.
        jobs: how many of these commands may run at the same time.

    Returns:
        argv, and a complete environment.
    """
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.enableWebsocketCompression": "true",
        "browser.gatherUsageStats": "false",
    }
    server = Path(__file__).with_name("server.py")
    flags = [word for key, value in options.items() for word in (f"--{key}", value)]
    return [sys.executable, "-m", "streamlit", "run", str(server), *flags], {
        **os.environ,
        "WORKBENCH_APP_RUNS": str(Path(runs).expanduser().absolute()),
        "WORKBENCH_ALLOW_ACTIONS": "1" if allow_actions else "0",
        "WORKBENCH_JOBS": str(jobs),
    }
