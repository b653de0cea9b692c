"""Notes, tags, names and the archive mark when several people write at once, and when what is there cannot be read."""

import builtins
import errno
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench import annotations
from workbench.errors import WorkbenchError
from workbench.store import Run, create_run

TIMES = 25


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path, "method: vae\n", {"method": "vae", "data": {"name": "digits"}})


def at_once(run: Run, change: str) -> None:
    """Do something :data:`TIMES` times in each of two processes, called "a" and "b", that begin together."""
    code = f"""
        import sys
        from pathlib import Path
        from workbench import annotations
        from workbench.store import Run
        run, who = Run(Path(sys.argv[1])), sys.argv[2]
        print(flush=True)
        sys.stdin.readline()
        for number in range({TIMES}):
            {change}
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(run.path)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, who], **pipes) for who in ("a", "b")]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
        assert process.returncode == 0


def test_no_change_of_two_processes_at_once_is_lost(run: Run) -> None:
    at_once(run, 'annotations.change_tags(run, [f"{who}{number}"])')
    assert set(annotations.tags(run)) == {f"{who}{number}" for who in "ab" for number in range(TIMES)}


def test_no_note_of_two_processes_at_once_is_lost(run: Run) -> None:
    append = """
            while True:
                text, version = annotations.note(run)
                try:
                    annotations.write_note(run, f"{text}{who}{number}\\n", version)
                    break
                except annotations.NoteConflict:
                    pass
    """
    at_once(run, append.strip())
    assert set(annotations.note(run)[0].split()) == {f"{who}{number}" for who in "ab" for number in range(TIMES)}


def test_where_files_cannot_be_locked_people_can_still_write(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("workbench.annotations.fcntl.flock", refuse)
    annotations.write_note(run, "hers")
    assert annotations.change_tags(run, ["x"]) == ["x"] and annotations.note(run)[0] == "hers"


def test_all_who_may_write_into_the_folder_share_its_lock(run: Run) -> None:
    run.path.chmod(0o770)
    annotations.archive(run)
    assert (run.path / annotations.LOCK).stat().st_mode & 0o777 == 0o660


CHANGES: dict[str, list[Callable[[Run], object]]] = {
    "notes.md": [
        annotations.note,
        lambda run: annotations.write_note(run, "mine", ""),
        lambda run: annotations.write_note(run, "mine"),
    ],
    "marks.json": [
        lambda run: annotations.change_tags(run, ["x"]),
        annotations.archive,
        lambda run: annotations.rename(run, "x"),
    ],
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_may_not_be_read_is_not_overwritten(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.path / name).write_text("hers")
    reading = builtins.open

    def refuse(file: Any, *args: Any, **options: Any) -> Any:
        if str(file).endswith(name):
            raise PermissionError(errno.EACCES, "Permission denied")
        return reading(file, *args, **options)

    monkeypatch.setattr("io.open", refuse)  # the tests may run as root, who may read everything
    for change in CHANGES[name]:
        with pytest.raises(WorkbenchError, match=rf"Cannot read .*{name} \(Permission denied\)"):
            change(run)
    monkeypatch.undo()
    assert (run.path / name).read_text() == "hers"


@pytest.mark.parametrize(
    ("name", "content"),
    [("notes.md", b"gr\xfcn"), ("marks.json", b'{"tags": ["a'), ("marks.json", b"[1]"), ("marks.json", b"\xff")],
)
def test_what_is_damaged_is_not_overwritten(run: Run, name: str, content: bytes) -> None:
    (run.path / name).write_bytes(content)
    for change in CHANGES[name]:
        with pytest.raises(WorkbenchError, match=r"is not UTF-8 text|are damaged"):
            change(run)
    assert (run.path / name).read_bytes() == content
    assert run.summary()["status"] == "running"  # a reader copes
