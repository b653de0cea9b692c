"""What people add to runs: notes, tags, a name, the archive, and the trash. Nothing here touches what was measured.

Marks stand in ``marks.json`` and ``notes.md``, which training never writes, so a running run can be marked too.
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
from workbench.store import Run, list_runs

TRASH = ".trash"
LOCK = ".marks.lock"
LONGEST = 60  # characters of a tag or a name
_threads = threading.Lock()  # two browsers of one app, where files cannot be locked


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
    """``notes.md`` and its version, a hash of the content; two empty strings where there is none.

    Raises:
        WorkbenchError: there is one that cannot be read.
    """
    content = _content(run.path / "notes.md")
    if content is None:
        return "", ""
    try:
        return content.decode(), hashlib.sha256(content).hexdigest()[:16]
    except UnicodeDecodeError:
        raise WorkbenchError(
            f"The note {run.path / 'notes.md'} is not UTF-8 text; convert it, or move it away."
        ) from None


def write_note(run: Run, text: str, version: str | None = None) -> None:
    """Write ``notes.md``; an empty text removes it.

    Args:
        version: of the note that the text was made from, see :func:`note`; None overwrites whatever is there.

    Raises:
        NoteConflict: the note is not the one that the text was made from.
        WorkbenchError: the run cannot be written, or has a note that cannot be read.
    """
    path = run.path / "notes.md"

    def write() -> None:
        theirs, present = note(run)
        if version is not None and present != version:
            raise NoteConflict(run, theirs, present)
        if not text.strip():
            path.unlink(missing_ok=True)
            return
        with replacing(path, within=run.path) as file:
            file.write(text.encode())

    with _alone(run):
        _changing(run, write)


def tags(run: Run) -> list[str]:
    """The run's tags."""
    return list(run.summary().get("tags", []))


def change_tags(run: Run, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
    """Give a run tags and take others away, whatever other people change meanwhile; returns those it has then."""
    wanted, unwanted = [_short(name, "tag") for name in add], set(remove)

    def changed(marks: dict[str, Any]) -> dict[str, Any]:
        present = marks["tags"] if isinstance(marks.get("tags"), list) else []
        return {"tags": [name for name in dict.fromkeys([*map(str, present), *wanted]) if name not in unwanted]}

    return _mark(run, changed)["tags"]


def rename(run: Run, name: str) -> None:
    """Give a run another name; an empty one takes the name given here back."""
    short = _short(name, "name") if name.strip() else None
    _mark(run, lambda _: {"name": short})


def archive(run: Run, archived: bool = True) -> None:
    """Hide a run from lists, or show it again; nothing else changes."""
    _mark(run, lambda _: {"archived": archived or None})


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
        raise WorkbenchError(
            f"The trash has a run {run.id} already; bring it back with `workbench trash --restore {run.id}`, "
            "or empty the trash with `workbench trash --empty`."
        )

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

    What stands in its place and is no run, since something still wrote into the folder after the run was deleted, is
    kept in a folder ``leftover-…`` of the run.

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
    if target.exists() and (not target.is_dir() or "id" in read_json(target / "run.json")):
        raise WorkbenchError(f"{target} exists already; move it away, then restore the run.")

    def move() -> None:
        with suppress(OSError):  # where it is missing, or not empty
            target.rmdir()
        if target.exists():
            os.rename(target, found[0].path / f"leftover-{secrets.token_hex(2)}")
        os.rename(found[0].path, target)

    _changing(found[0], move)
    return Run(target)


def empty_trash(runs: Path, listed: Sequence[Run]) -> int:
    """Delete runs in the trash for good; returns how many that were.

    Args:
        runs: the folder of the runs.
        listed: of :func:`in_trash`, as the person was shown it; what came into the trash since then stays.

    Raises:
        WorkbenchError: one of them cannot be deleted.
    """
    gone = [run for run in listed if run.path.is_dir()]
    for run in gone:
        _changing(run, lambda run=run: shutil.rmtree(run.path))
    with suppress(OSError):  # not empty
        os.rmdir(Path(runs) / TRASH)
    return len(gone)


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    files = (os.path.join(root, name) for root, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(file).st_size for file in files if os.path.lexists(file))


def _mark(run: Run, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Change entries of ``marks.json``, given the present ones; None takes one away. Returns the changed ones."""
    path, changes = run.path / "marks.json", dict[str, Any]()

    def write() -> None:
        marks = _marks(path)
        changes.update(changed(marks))
        write_json(path, {key: value for key, value in (marks | changes).items() if value is not None}, run.path)

    with _alone(run):
        _changing(run, write)
    return changes


def _marks(path: Path) -> dict[str, Any]:
    """``marks.json``, to be written again, so that one that cannot be read is an error and not empty."""
    content = _content(path)
    try:
        marks = {} if content is None else json.loads(content)
    except ValueError:
        marks = None
    if not isinstance(marks, dict):
        raise WorkbenchError(f"The marks in {path} are damaged; mend that file, or move it away.")
    return marks


def _content(path: Path) -> bytes | None:
    """What people wrote into a file; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkbenchError(
            f"Cannot read {path} ({error.strerror or error}), so it is left as it is; ask whose file it is for access."
        ) from None


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Keep everybody else from changing what people wrote about a run, in this process and in others."""
    with _threads, ExitStack() as stack:
        with suppress(OSError):  # some file systems have no locks; what may not be written is told by the change itself
            file = stack.enter_context(open(run.path / LOCK, "a"))
            with suppress(OSError):  # it is a colleague's; all who may write into the folder are to share it
                os.fchmod(file.fileno(), run.path.stat().st_mode & 0o666)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _changing(run: Run, change: Callable[[], object]) -> None:
    """Change something in a run, or say in one sentence why that is not possible."""
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
