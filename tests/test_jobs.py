"""Background commands: the queue, the end, cancelling, and what may be started at all. Every command is a process."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench import jobs
from workbench.errors import WorkbenchError
from workbench.jobs import Job, Supervisor
from workbench.store import write_json


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts code in the place of ``workbench``, in this process's children alone."""

    def write(code: str) -> None:
        (tmp_path / "code").mkdir(exist_ok=True)
        (tmp_path / "code" / "workbench_stand_in.py").write_text(code)
        customize = "import os, sys\nif '-m' in sys.orig_argv and 'workbench' in sys.orig_argv:\n"
        customize += "    import workbench_stand_in\n    sys.stdout.flush()\n    os._exit(0)\n"
        (tmp_path / "code" / "sitecustomize.py").write_text(customize)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))

    return write


def wait(job: Job, *statuses: str, seconds: float = 60) -> Job:
    """The job once it has one of the statuses."""
    end, found = time.monotonic() + seconds, job
    while time.monotonic() < end:
        found = next(one for one in jobs.jobs(job.folder.parent.parent) if one.id == job.id)
        if found.status in statuses:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{found.status} instead of {statuses}: {found.lines}")


def test_a_command_runs_and_its_result_and_log_stay(tmp_path: Path) -> None:
    done = wait(jobs.start(tmp_path, ["workbench", "evaluate", "none", "--runs", str(tmp_path)]), "failed", "done")
    assert (done.status, done.state["code"]) == ("failed", 2)
    assert done.lines[-1].startswith("error: ") and '"none"' in done.lines[-1]
    assert not done.live and done.seconds > 0


def test_one_at_a_time_and_cancelled_by_interrupt(tmp_path: Path, script: Callable[[str], None]) -> None:
    script("import time\ntry:\n  print('begun')\n  time.sleep(600)\nexcept KeyboardInterrupt:\n  print('tidied')\n")
    first, second = (jobs.start(tmp_path, ["workbench", "evaluate", name]) for name in "ab")
    running = wait(first, "running")
    assert wait(second, "queued").live
    with pytest.raises(WorkbenchError, match="queued or running already"):
        jobs.start(tmp_path, ["workbench", "evaluate", "a"])
    assert jobs.using(tmp_path, "b") is not None and jobs.using(tmp_path, "c") is None
    deadline = time.monotonic() + 60
    while not Job(running.folder, running.request, running.state).lines and time.monotonic() < deadline:
        time.sleep(0.1)
    first.cancel()
    assert wait(first, "cancelled").lines[-1] == "tidied"
    wait(second, "running")
    second.cancel()
    wait(second, "cancelled")
    with pytest.raises(ProcessLookupError):
        os.kill(running.state["pid"], 0)


def test_a_queued_command_is_cancelled_without_having_run(tmp_path: Path, script: Callable[[str], None]) -> None:
    script("import time\nprint('begun')\ntime.sleep(600)\n")
    first, second = (jobs.start(tmp_path, ["workbench", "evaluate", name]) for name in "ab")
    wait(first, "running")
    second.cancel()
    assert wait(second, "cancelled").lines == []
    first.cancel()
    wait(first, "cancelled")


def test_what_ignores_the_interrupt_is_terminated(
    tmp_path: Path, script: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    script("import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf')\ntime.sleep(600)\n")
    monkeypatch.setattr(jobs, "PATIENCE", 0.5)
    folder = tmp_path / ".jobs" / "1-aa"
    write_json(folder / "job.json", {"command": ["workbench", "evaluate"], "host": "here", "created": time.time()})
    former = {number: jobs.signal.getsignal(number) for number in (jobs.signal.SIGINT, jobs.signal.SIGTERM)}
    try:
        supervisor, log = Supervisor(folder), folder / "log"
        monkeypatch.setattr(supervisor, "cancelled", lambda: log.exists() and "deaf" in log.read_text())
        supervisor.run()
    finally:
        for number, handler in former.items():
            jobs.signal.signal(number, handler)
    assert supervisor.state["status"] == "cancelled" and supervisor.state["code"] == -jobs.signal.SIGTERM


@pytest.mark.parametrize("text", ["rm -rf x", "workbench", "workbench train mocov3", "workbench delete x", "evaluate"])
def test_only_some_commands_can_be_started(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorkbenchError, match="cannot run in the background"):
        jobs.parse(text)
    assert jobs.parse("workbench evaluate 'a;b $(c)'") == ["workbench", "evaluate", "a;b $(c)"]


def test_a_job_without_a_keeper_is_lost_and_foreign_files_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / ".jobs"
    write_json(folder / "2-aa" / "job.json", {"command": ["workbench", "evaluate"], "created": time.time() - 900})
    write_json(folder / "2-aa" / "state.json", {"status": "running", "alive": time.time() - 600})
    (folder / "1-bb").mkdir()
    (folder / "1-bb" / "job.json").write_text("[]")
    (found,) = jobs.jobs(tmp_path)
    assert (found.status, found.live) == ("lost", False)
    assert jobs.jobs(tmp_path / "nowhere") == []


def test_the_last_line_is_what_a_person_would_see(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 9000 + b"\n\x1b[32mknn\x1b[0m  1/9\rlinear  2/9\r\n\n")
    job = Job(tmp_path, {"command": ["workbench"]}, {})
    assert job.lines[-2:] == ["knn  1/9", "linear  2/9"]


def test_old_jobs_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "RETAINED", 2)
    for number in range(5):
        write_json(tmp_path / ".jobs" / f"{number}-aa" / "job.json", {"command": ["workbench", "x"]})
        write_json(tmp_path / ".jobs" / f"{number}-aa" / "state.json", {"status": "done"})
    jobs.tidy(tmp_path)
    assert [job.id for job in jobs.jobs(tmp_path)] == ["4-aa", "3-aa"]
