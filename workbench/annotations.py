"""Notes, tags, names, the archive and the trash. Nothing here touches results.

They are stored in ``marks.json`` and ``notes.md``, which training never writes, so a run can be annotated while it is
trained.
"""

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError, unknown
from workbench.files import read_json, replacing, write_json
from workbench.hints import command
from workbench.store import Run, list_runs

TRASH = ".trash"
LOCK = ".marks.lock"
LONGEST = 60  # characters of a tag or a name
_threads = threading.Lock()  # for two browsers of one app, if files cannot be locked


class NoteConflict(WorkbenchError):
    """Somebody else changed the note meanwhile.

    Attributes:
        theirs: the current note.
        version: its version, with which a merged note can be saved.
    """

    def __init__(self, run: Run, theirs: str, version: str) -> None:
        super().__init__(
            f"The note of {run.id} has been changed by somebody else meanwhile, so yours was not saved; "
            "merge the two and save again."
        )
        self.theirs, self.version = theirs, version


def note(run: Run) -> tuple[str, str]:
    """``notes.md`` and its version, a hash of the content; two empty strings without a note.

    Raises:
        WorkbenchError: the note cannot be read.
    """
    content = _content(run.path / "notes.md")
    if content is None:
        return "", ""
    try:
        return content.decode(), hashlib.sha256(content).hexdigest()[:16]
    except UnicodeDecodeError:
        raise WorkbenchError(f"The note {run.path / 'notes.md'} is not UTF-8 text; convert or move it.") from None


def write_note(run: Run, text: str, version: str | None = None) -> None:
    """Write ``notes.md``; an empty text removes it.

    Args:
        version: of the note that was edited, see :func:`note`; None overwrites any note.

    Raises:
        NoteConflict: the note has another version by now.
        WorkbenchError: the run cannot be written, or its note cannot be read.
    """
    path = run.path / "notes.md"

    def write() -> None:
        theirs, current = note(run)
        if version is not None and current != version:
            raise NoteConflict(run, theirs, current)
        if not text.strip():
            path.unlink(missing_ok=True)
            return
        with replacing(path, within=run.path) as file:
            file.write(text.encode())

    with _locked(run):
        _change(run, write)


def tags(run: Run) -> list[str]:
    """The run's tags."""
    return list(run.summary().get("tags", []))


def change_tags(run: Run, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
    """Add and remove tags, without losing concurrent changes of others; returns the run's tags."""
    added, removed = [_checked(name, "tag") for name in add], set(remove)

    def changed(marks: dict[str, Any]) -> dict[str, Any]:
        present = marks["tags"] if isinstance(marks.get("tags"), list) else []
        return {"tags": [name for name in dict.fromkeys([*map(str, present), *added]) if name not in removed]}

    return _mark(run, changed)["tags"]


def rename(run: Run, name: str) -> None:
    """Rename a run; an empty name restores the original one."""
    new = _checked(name, "name") if name.strip() else None
    _mark(run, lambda _: {"name": new})


def archive(run: Run, archived: bool = True) -> None:
    """Hide a run from lists, or list it again; nothing else changes."""
    _mark(run, lambda _: {"archived": archived or None})


def delete(run: Run) -> Path:
    """Move a run to ``.trash`` beside it; returns its new path.

    Raises:
        WorkbenchError: the run is in training, or cannot be moved.
    """
    where = run.in_training()
    if where:
        raise WorkbenchError(f"The run {run.id} is being trained {where}; then delete it.")
    target = run.path.parent / TRASH / run.id
    if target.exists():
        runs = run.path.parent
        raise WorkbenchError(
            f"The trash already has a run {run.id}; restore it with "
            f"`{command('trash', '--restore', run.id, runs=runs)}`, "
            f"or empty the trash with `{command('trash', '--empty', runs=runs)}`."
        )

    def move() -> None:
        target.parent.mkdir(exist_ok=True)
        os.rename(run.path, target)

    _change(run, move)
    return target


def in_trash(runs: Path) -> list[Run]:
    """The deleted runs, newest first."""
    return list_runs(Path(runs) / TRASH)


def restore(reference: str, runs: Path) -> Run:
    """Move a run from the trash back.

    If a process still wrote into the folder after the run was deleted, those files are moved to a folder ``leftover-…``
    of the run.

    Args:
        reference: an id, or a unique prefix of one.
        runs: the folder of the runs.

    Raises:
        WorkbenchError: the trash has no such run, or its place is taken.
    """
    known = in_trash(runs)
    matches = [run for run in known if run.id.startswith(reference)] if reference else []
    matches = [run for run in matches if run.id == reference] or matches
    if not known:
        raise WorkbenchError(f"The trash of {runs} is empty; there is nothing to restore.")
    if len(matches) != 1:
        raise unknown("run", reference, [run.id for run in known], f"the trash of {runs}")
    run = matches[0]
    target = Path(runs) / run.id
    if target.exists() and (not target.is_dir() or "id" in read_json(target / "run.json")):
        raise WorkbenchError(f"{target} exists already; move it away, then restore the run.")

    def move() -> None:
        with suppress(OSError):  # missing, or not empty
            target.rmdir()
        if target.exists():
            os.rename(target, run.path / f"leftover-{secrets.token_hex(2)}")
        os.rename(run.path, target)

    _change(run, move)
    return Run(target)


def empty_trash(runs: Path, listed: Sequence[Run]) -> int:
    """Delete runs in the trash for good; returns their number.

    Args:
        runs: the folder of the runs.
        listed: the runs of :func:`in_trash` that the user has seen; later ones stay.

    Raises:
        WorkbenchError: a run cannot be deleted.
    """
    gone = [run for run in listed if run.path.is_dir()]
    for run in gone:
        _change(run, lambda run=run: shutil.rmtree(run.path))
    with suppress(OSError):  # not empty
        os.rmdir(Path(runs) / TRASH)
    return len(gone)


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    files = (os.path.join(root, name) for root, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(file).st_size for file in files if os.path.lexists(file))


def _mark(run: Run, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Change entries of ``marks.json``, given the present ones; None removes one. Returns the changed entries."""
    path, changes = run.path / "marks.json", dict[str, Any]()

    def write() -> None:
        marks = _marks(path)
        changes.update(changed(marks))
        write_json(path, {key: value for key, value in (marks | changes).items() if value is not None}, run.path)

    with _locked(run):
        _change(run, write)
    return changes


def _marks(path: Path) -> dict[str, Any]:
    """``marks.json`` before a change: one that cannot be read is an error, so that it is not overwritten."""
    content = _content(path)
    try:
        marks = {} if content is None else json.loads(content)
    except ValueError:
        marks = None
    if not isinstance(marks, dict):
        raise WorkbenchError(f"The marks in {path} are damaged; repair or move that file.")
    return marks


def _content(path: Path) -> bytes | None:
    """A file's content, or None if there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkbenchError(
            f"Cannot read {path} ({error.strerror or error}), so it was not changed; ask its owner for access."
        ) from None


@contextmanager
def _locked(run: Run) -> Iterator[None]:
    """Context in which no other thread or process changes the annotations of a run."""
    with _threads, ExitStack() as stack:
        with suppress(OSError):  # some file systems have no locks; the change itself reports missing permissions
            file = stack.enter_context(open(run.path / LOCK, "a"))
            with suppress(OSError):  # a colleague's file; everybody who may write into the folder needs to open it
                os.fchmod(file.fileno(), run.path.stat().st_mode & 0o666)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _change(run: Run, change: Callable[[], object]) -> None:
    """Change something in a run, or raise a WorkbenchError that says why it is not possible."""
    gone = WorkbenchError(f"The run {run.id} is gone: it was moved or deleted; reload the list of runs.")
    if not run.path.is_dir():
        raise gone
    try:
        change()
    except (OSError, WorkbenchError) as error:
        if not run.path.is_dir():
            raise gone from error
        reason = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(reason, OSError):
            raise
        if reason.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            owner = run.info().get("owner") or "another user"
            raise WorkbenchError(
                f"You may not change {run.path}: it belongs to {owner}; ask for the change or for write permission."
            ) from error
        raise WorkbenchError(f"Cannot change {run.path}: {reason.strerror or reason}.") from error


def _checked(text: str, kind: str) -> str:
    """A tag or a name, with single spaces, if it is valid."""
    text = " ".join(text.split())
    if not text or len(text) > LONGEST or "," in text:
        raise WorkbenchError(f'"{text[:LONGEST]}" cannot be a {kind}: give 1 to {LONGEST} characters without a comma.')
    return text
