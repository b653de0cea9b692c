"""What people add to runs: notes, tags, a name, the archive, and the trash. Nothing here touches what was measured.

Marks stand in ``marks.json`` and ``notes.md``, which training never writes, so a running run can be marked too.
"""

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError, unknown
from workbench.files import read_json, replacing, write_json
from workbench.store import Run, list_runs

TRASH = ".trash"
LONGEST = 60  # characters of a tag or a name
_note_lock = threading.Lock()  # two browsers of one app


class NoteConflict(WorkbenchError):
    """Somebody else changed the note meanwhile.

    Attributes:
        theirs: the note as it stands now.
        version: its version, to save on top of it.
    """

    def __init__(self, run: Run, theirs: str, version: str) -> None:
        super().__init__(
            f"The note of {run.id} has been changed by somebody else meanwhile, so yours was not saved; "
            "put the two together and save again."
        )
        self.theirs, self.version = theirs, version


def note(run: Run) -> tuple[str, str]:
    """``notes.md`` and its version, a hash of the content; two empty strings where there is none."""
    try:
        content = (run.path / "notes.md").read_bytes()
    except OSError:
        return "", ""
    return content.decode("utf-8", "replace"), hashlib.sha256(content).hexdigest()[:16]


def write_note(run: Run, text: str, version: str | None = None) -> None:
    """Write ``notes.md``; an empty text removes it.

    Args:
        version: of the note that the text was made from, see :func:`note`; None overwrites whatever is there.

    Raises:
        NoteConflict: the note is not the one that the text was made from.
        WorkbenchError: the run cannot be written.
    """
    path = run.path / "notes.md"
    with _note_lock:
        theirs, present = note(run)
        if version is not None and present != version:
            raise NoteConflict(run, theirs, present)

        def write() -> None:
            if not text.strip():
                path.unlink(missing_ok=True)
                return
            with replacing(path) as file:
                file.write(text.encode())

        _changing(run, write)


def tags(run: Run) -> list[str]:
    """The run's tags."""
    return list(run.summary().get("tags", []))


def set_tags(run: Run, names: Iterable[str]) -> list[str]:
    """Give a run exactly these tags, each once; returns them."""
    found = list(dict.fromkeys(_short(name, "tag") for name in names))
    _mark(run, tags=found)
    return found


def rename(run: Run, name: str) -> None:
    """Give a run another name; an empty one takes the name given here back."""
    _mark(run, name=_short(name, "name") if name.strip() else None)


def archive(run: Run, archived: bool = True) -> None:
    """Hide a run from lists, or show it again; nothing else changes."""
    _mark(run, archived=archived or None)


def delete(run: Run) -> Path:
    """Move a run to ``.trash`` beside it; returns where it is now.

    Raises:
        WorkbenchError: the run is in training, or cannot be moved.
    """
    where = run.in_training()
    if where:
        raise WorkbenchError(f"The run {run.id} is being trained {where}; then delete it.")
    target = run.path.parent / TRASH / run.id
    if target.exists():
        raise WorkbenchError(f"The trash has a run {run.id} already; empty it with `workbench trash --empty`.")

    def move() -> None:
        target.parent.mkdir(exist_ok=True)
        os.rename(run.path, target)

    _changing(run, move)
    return target


def in_trash(runs: Path) -> list[Run]:
    """The deleted runs, newest first."""
    return list_runs(Path(runs) / TRASH)


def restore(reference: str, runs: Path) -> Run:
    """Move a run from the trash back.

    Args:
        reference: an id, or a unique beginning of one.
        runs: the folder of the runs.

    Raises:
        WorkbenchError: the trash has no such run, or its place is taken.
    """
    known = in_trash(runs)
    found = [run for run in known if run.id.startswith(reference)] if reference else []
    found = [run for run in found if run.id == reference] or found
    if not known:
        raise WorkbenchError(f"The trash of {runs} is empty; there is nothing to restore.")
    if len(found) != 1:
        raise unknown("run", reference, [run.id for run in known], f"the trash of {runs}")
    target = Path(runs) / found[0].id
    if target.exists():
        raise WorkbenchError(f"{target} exists already; move it away, then restore the run.")
    _changing(found[0], lambda: os.rename(found[0].path, target))
    return Run(target)


def empty_trash(runs: Path) -> int:
    """Delete what is in the trash for good; returns how many runs that were.

    Raises:
        WorkbenchError: something in it cannot be deleted.
    """
    gone = in_trash(runs)
    for run in gone:
        _changing(run, lambda run=run: shutil.rmtree(run.path))
    shutil.rmtree(Path(runs) / TRASH, ignore_errors=True)
    return len(gone)


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    files = (os.path.join(root, name) for root, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(file).st_size for file in files if os.path.lexists(file))


def _mark(run: Run, **marks: Any) -> None:
    """Change entries of ``marks.json``; None takes one away."""
    path = run.path / "marks.json"
    content = read_json(path) | marks
    _changing(run, lambda: write_json(path, {key: value for key, value in content.items() if value is not None}))


def _changing(run: Run, change: Callable[[], object]) -> None:
    """Change something in a run, or say in one sentence why that is not possible."""
    if not run.path.is_dir():
        raise WorkbenchError(f"The run {run.id} is gone: it was moved or deleted; reload the list of runs.")
    try:
        change()
    except (OSError, WorkbenchError) as error:
        reason = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(reason, OSError):
            raise
        if reason.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            owner = run.info().get("owner") or "somebody else"
            raise WorkbenchError(
                f"You may not change {run.path}: it belongs to {owner}, who can do it or give you write permission."
            ) from error
        raise WorkbenchError(f"Cannot change {run.path}: {reason.strerror or reason}.") from error


def _short(text: str, kind: str) -> str:
    """A tag or a name as it is stored."""
    text = " ".join(text.split())
    if not text or len(text) > LONGEST or "," in text:
        raise WorkbenchError(f'"{text[:LONGEST]}" cannot be a {kind}: give 1 to {LONGEST} characters without a comma.')
    return text
