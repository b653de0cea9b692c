"""Commands that messages suggest, written so that they can be pasted."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.run import Run


def default_runs() -> Path:
    """The folder of the runs where ``--runs`` is not given: ``$WORKBENCH_RUNS``, or ``runs``."""
    return Path(os.environ.get("WORKBENCH_RUNS", "runs"))


def command(*words: object, runs: Path | str | None = None) -> str:
    """``workbench`` with these words; ``runs`` is named unless commands take that folder by default."""
    named = [] if runs is None or _same(Path(runs), default_runs()) else ["--runs", str(runs)]
    return shlex.join([_program(), *map(str, words), *named])


def on_runs(verb: str, runs: Sequence["Run"], *options: object) -> str:
    """A command on runs: by id and their folder, or by their paths where they lie in several folders."""
    folders = {run.path.parent for run in runs}
    if len(folders) == 1:
        return command(verb, *(run.id for run in runs), *options, runs=folders.pop())
    return command(verb, *(run.path for run in runs), *options)


def _program() -> str:
    """``workbench``, or the path by which it was called where a shell would not find it."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "workbench" and shutil.which("workbench") is None else "workbench"


def _same(folder: Path, other: Path) -> bool:
    return folder.expanduser().absolute() == other.expanduser().absolute()
