"""Lists of runs, and what people add to runs: notes, tags, names, the archive and the trash."""

import builtins
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from workbench import annotations, store
from workbench.errors import WorkbenchError
from workbench.files import read_json, replacing
from workbench.run import seed_group
from workbench.store import Run, create_run, find_run, list_runs, list_summaries


def make(runs: Path, config: str = "method: vae\nwidth: 8\n", seed: int = 0, **info: Any) -> Run:
    content = {"method": "vae", "family": "generative", "data": {"name": "digits", "fingerprint": "f"}, "seed": seed}
    run = create_run(runs, config + f"seed: {seed}\n", content | info)
    run.update_summary(status="finished")
    return run


def test_the_list_is_the_runs_summaries(tmp_path: Path) -> None:
    runs = [make(tmp_path, seed=seed) for seed in range(3)]
    (tmp_path / "holiday").mkdir()
    (tmp_path / ".trash").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text("[1")
    found = list_summaries(tmp_path)
    assert found == [run.summary() for run in list_runs(tmp_path)]
    assert {one["id"] for one in found} == {run.id for run in runs} | {"foreign"}
    assert next(one for one in found if one["id"] == "foreign")["status"] == "unreadable"
    assert list_summaries(tmp_path / "nowhere") == []


def test_a_slow_disk_is_read_by_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(tmp_path)
    for number in range(199):
        shutil.copytree(first.path, tmp_path / f"run-{number:03d}")
    expected, calls, slow = list_summaries(tmp_path), [0], open

    def late(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        time.sleep(0.005)
        return slow(*args, **options)

    monkeypatch.setattr(builtins, "open", late)
    began = time.perf_counter()
    assert list_summaries(tmp_path) == expected
    assert calls[0] == 400  # summary.json and marks.json, and nothing else
    assert time.perf_counter() - began < 400 * 0.005 * 0.75


def test_seeds_of_one_recipe_are_a_group(tmp_path: Path) -> None:
    same = [make(tmp_path, seed=seed, name=str(seed)) for seed in range(2)]
    other = make(tmp_path, config="method: vae\nwidth: 16\n")
    groups = [run.summary()["group"] for run in (*same, other)]
    assert groups[0] == groups[1] != groups[2] and all(groups)
    assert same[0].seed_group() == groups[0]
    assert seed_group("method: vae\nepochs: 3\nname: x\n", "f") == seed_group("method: vae\nepochs: 5\n", "f")
    assert seed_group("method: vae\n", "f") != seed_group("method: vae\n", "g")
    assert seed_group("", "f") == ""


def test_marks_survive_a_training_run_that_rewrites_its_summary(tmp_path: Path) -> None:
    run = make(tmp_path, name="first")
    assert annotations.change_tags(run, ["good", " good ", "for  paper"]) == ["good", "for paper"]
    annotations.archive(run)
    annotations.rename(run, "second")
    run.update_summary(step=3, status="running")
    run.update_info(status="finished")
    summary = run.summary()
    assert (summary["tags"], summary["archived"], summary["name"]) == (["good", "for paper"], True, "second")
    assert run.info()["name"] == "second" and find_run("second", tmp_path).id == run.id
    annotations.archive(run, False)
    annotations.rename(run, "")
    assert annotations.change_tags(run, remove=["good", "for paper", "never"]) == []
    for shown in (run.summary(), run.info()):
        assert shown["name"] == "first" and not {"tags", "archived"} & shown.keys()
    annotations.rename(run, "third")
    (run.path / "summary.json").unlink()
    run.update_summary()
    assert read_json(run.path / "summary.json")["name"] == read_json(run.path / "run.json")["name"] == "first"


@pytest.mark.parametrize("text", ["", "  ", "a,b", "x" * 61])
def test_a_tag_that_could_not_be_told_apart_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorkbenchError, match="cannot be a tag"):
        annotations.change_tags(make(tmp_path), [text])


def test_torn_marks_are_no_marks(tmp_path: Path) -> None:
    run = make(tmp_path, name="first")
    for content in ('{"tags": ["a', '["a"]', '{"tags": "a", "archived": "yes", "name": 3}'):
        (run.path / "marks.json").write_text(content)
        assert run.summary()["name"] == "first" and not {"tags", "archived"} & run.summary().keys()


def test_of_two_people_who_edit_a_note_the_second_is_told_and_loses_nothing(tmp_path: Path) -> None:
    run = make(tmp_path)
    _, version = annotations.note(run)
    annotations.write_note(run, "hers", version)
    with pytest.raises(annotations.NoteConflict, match="changed by somebody else") as caught:
        annotations.write_note(run, "his", version)
    assert caught.value.theirs == "hers" == annotations.note(run)[0]
    annotations.write_note(run, "hers and his", caught.value.version)
    assert (run.path / "notes.md").read_text() == "hers and his"
    annotations.write_note(run, " \n", annotations.note(run)[1])
    assert not (run.path / "notes.md").exists() and annotations.note(run) == ("", "")


def test_deleted_runs_come_back_whole_until_the_trash_is_emptied(tmp_path: Path) -> None:
    runs = [make(tmp_path, seed=seed) for seed in range(2)]
    content = {file.name: file.read_bytes() for file in runs[0].path.glob("*.*")}
    for run in runs:
        annotations.delete(run)
    assert list_runs(tmp_path) == [] and len(annotations.in_trash(tmp_path)) == 2
    restored = annotations.restore(runs[0].id, tmp_path)
    assert {file.name: file.read_bytes() for file in restored.path.glob("*.*")} == content
    with pytest.raises(WorkbenchError, match="Unknown run"):
        annotations.restore("nothing", tmp_path)
    assert annotations.empty_trash(tmp_path, annotations.in_trash(tmp_path)) == 1
    assert [run.id for run in list_runs(tmp_path)] == [restored.id] and not (tmp_path / ".trash").exists()
    with pytest.raises(WorkbenchError, match="is empty"):
        annotations.restore(runs[1].id, tmp_path)


def test_what_came_into_the_trash_unseen_stays_there(tmp_path: Path) -> None:
    runs = [make(tmp_path, seed=seed) for seed in range(3)]
    for run in runs[:2]:
        annotations.delete(run)
    listed = annotations.in_trash(tmp_path)
    annotations.delete(runs[2])
    annotations.restore(runs[0].id, tmp_path)
    (tmp_path / ".trash" / "hers").mkdir()
    assert annotations.empty_trash(tmp_path, listed) == 1
    assert [run.id for run in annotations.in_trash(tmp_path)] == [runs[2].id] and runs[0].path.is_dir()
    assert (tmp_path / ".trash" / "hers").is_dir()


def test_a_restored_run_overwrites_nothing(tmp_path: Path) -> None:
    run = make(tmp_path)
    whole = (run.path / "run.json").read_text()
    annotations.delete(run)
    run.path.mkdir()
    (run.path / "run.json").write_text(whole)
    with pytest.raises(WorkbenchError, match="exists already"):
        annotations.restore(run.id, tmp_path)
    with pytest.raises(WorkbenchError, match=r"The trash already has a run .* --restore"):
        annotations.delete(run)
    shutil.rmtree(run.path)
    run.path.write_text("a file")
    with pytest.raises(WorkbenchError, match="exists already"):
        annotations.restore(run.id, tmp_path)


def test_a_leftover_folder_is_kept_in_the_restored_run(tmp_path: Path) -> None:
    run = make(tmp_path)
    step = run.summary()["status"]
    for content in ({}, {"summary.json": "{}", "run.json": '{"status": "finished"}'}):
        annotations.delete(run)
        run.path.mkdir()
        for name, text in content.items():
            (run.path / name).write_text(text)
        assert annotations.restore(run.id, tmp_path).summary()["status"] == step
        kept = {file.name: file.read_text() for file in run.path.glob("leftover-*/*")}
        assert kept == content and run.info()["id"] == run.id


def writers(run: Run) -> dict[str, Callable[[], object]]:
    return {
        "evaluation": lambda: run.write_evaluation("knn", {"rows": []}),
        "array": lambda: run.write_array("a", np.zeros(3)),
        "summary": lambda: run.update_summary(step=3),
        "info": lambda: run.update_info(status="finished"),
        "metrics": lambda: run.log({"step": 1}),
        "resume": lambda: run.drop_metrics_after(0),
        "tags": lambda: annotations.change_tags(run, ["x"]),
        "note": lambda: annotations.write_note(run, "x"),
    }


def test_whatever_still_writes_into_a_deleted_run_is_told_and_brings_nothing_back(tmp_path: Path) -> None:
    run = make(tmp_path)
    annotations.delete(run)
    for write in writers(run).values():
        with pytest.raises(WorkbenchError, match=f"The run {run.id} is gone: it was moved or deleted"):
            write()
    assert not run.path.exists()
    annotations.restore(run.id, tmp_path)
    shutil.rmtree(run.path / "arrays")  # a run whose folders were deleted is still a run
    for write in writers(run).values():
        write()
    assert run.array("a") is not None and not list(run.path.glob("**/.tmp-*"))


@pytest.mark.parametrize("name", ["notes.md", "marks.json"])
def test_a_run_deleted_while_it_is_marked_stays_deleted(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, read = make(tmp_path), annotations._content

    def deleted(path: Path) -> bytes | None:
        content = read(path)
        annotations.delete(run)
        return content

    monkeypatch.setattr(annotations, "_content", deleted)
    with pytest.raises(WorkbenchError, match=f"The run {run.id} is gone"):
        annotations.write_note(run, "x") if name == "notes.md" else annotations.archive(run)
    assert not run.path.exists()


def test_a_run_deleted_in_the_midst_of_a_write_stays_deleted(tmp_path: Path) -> None:
    run = make(tmp_path)
    with (
        pytest.raises(WorkbenchError, match=r"is gone.*config.yaml was not written.*trash --restore"),
        replacing(run.path / "config.yaml", "w", run.path) as file,
    ):
        file.write("half")
        annotations.delete(run)
    assert not run.path.exists()
    assert (annotations.restore(run.id, tmp_path).path / "config.yaml").read_text() != "half"


def test_a_run_in_training_is_not_deleted(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.update_summary(status="running", pid=os.getppid())
    with pytest.raises(WorkbenchError, match=f"being trained by process {os.getppid()}"):
        annotations.delete(run)
    assert run.path.is_dir()
    run.update_info(host="elsewhere")
    with pytest.raises(WorkbenchError, match="being trained on elsewhere"):
        annotations.delete(run)
    run.update_summary(alive=False, heartbeat=time.time() - 600)
    annotations.delete(run)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Another program that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_a_training_that_is_slow_is_not_deleted(
    tmp_path: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, began = make(tmp_path), psutil.Process(process.pid).create_time()
    run.update_summary(status="running", pid=process.pid)
    monkeypatch.setattr("workbench.run.time.time", lambda: began + 3600)
    run.update_summary(alive=False, heartbeat=began + 3600 - 200)
    assert run.summary()["status"] == "stalled"
    sentence = rf"by process {process.pid}, though .*`kill {process.pid}`.*remove `pid` from"
    with pytest.raises(WorkbenchError, match=sentence):
        annotations.delete(run)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and its number not yet free
    assert run.in_training() is None
    process.wait()
    assert run.in_training() is None
    annotations.delete(run)


def test_a_number_that_another_process_was_given_blocks_nobody(
    tmp_path: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path)
    run.update_summary(status="running", pid=process.pid)
    run.update_summary(alive=False, heartbeat=psutil.Process(process.pid).create_time() - 200)
    assert run.in_training() is None

    def hidden(pid: int) -> None:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr("workbench.run.psutil.Process", hidden)
    told = run.in_training()
    assert told is not None and "shows another program" in told
    run.update_summary(alive=False, pid=None)  # what it says helps
    annotations.delete(run)


@pytest.mark.parametrize("change", ["tags", "note", "delete"])
def test_a_run_of_somebody_else_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    run = make(tmp_path, owner="anna")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("workbench.files.os.replace", refuse)
    monkeypatch.setattr("workbench.annotations.os.rename", refuse)
    changes = writers(run) | {"delete": lambda: annotations.delete(run)}
    with pytest.raises(WorkbenchError, match="belongs to anna"):
        changes[change]()
    assert annotations.note(run) == ("", "") and run.path.is_dir() and not list(run.path.glob(".tmp-*"))


def test_a_run_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    run = make(tmp_path)
    shutil.rmtree(run.path)
    with pytest.raises(WorkbenchError, match="is gone"):
        annotations.change_tags(run, ["x"])
    assert not run.path.exists()


def test_the_summary_is_small(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.update_summary(sparkline=[1 / 3] * store.SPARKLINE)
    assert len(json.dumps(run.summary())) < 3000
