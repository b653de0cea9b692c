"""Lists of runs, and what people add to runs: notes, tags, names, the archive and the trash."""

import builtins
import errno
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from workbench import marks, store
from workbench.errors import WorkbenchError
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
    assert marks.set_tags(run, ["good", " good ", "for  paper"]) == ["good", "for paper"]
    marks.archive(run)
    marks.rename(run, "second")
    run.update_summary(step=3, status="running")
    run.update_info(status="finished")
    summary = run.summary()
    assert (summary["tags"], summary["archived"], summary["name"]) == (["good", "for paper"], True, "second")
    assert run.info()["name"] == "second" and find_run("second", tmp_path).id == run.id
    marks.archive(run, False)
    marks.set_tags(run, [])
    assert not {"tags", "archived"} & run.summary().keys()


@pytest.mark.parametrize("text", ["", "  ", "a,b", "x" * 61])
def test_a_tag_that_could_not_be_told_apart_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorkbenchError, match="cannot be a tag"):
        marks.set_tags(make(tmp_path), [text])


def test_torn_marks_are_no_marks(tmp_path: Path) -> None:
    run = make(tmp_path, name="first")
    for content in ('{"tags": ["a', '["a"]', '{"tags": "a", "archived": "yes", "name": 3}'):
        (run.path / "marks.json").write_text(content)
        assert run.summary()["name"] == "first" and not {"tags", "archived"} & run.summary().keys()


def test_of_two_people_who_edit_a_note_the_second_is_told_and_loses_nothing(tmp_path: Path) -> None:
    run = make(tmp_path)
    _, version = marks.note(run)
    marks.write_note(run, "hers", version)
    with pytest.raises(marks.NoteConflict, match="changed by somebody else") as caught:
        marks.write_note(run, "his", version)
    assert caught.value.theirs == "hers" == marks.note(run)[0]
    marks.write_note(run, "hers and his", caught.value.version)
    assert (run.path / "notes.md").read_text() == "hers and his"
    marks.write_note(run, " \n", marks.note(run)[1])
    assert not (run.path / "notes.md").exists() and marks.note(run) == ("", "")


def test_deleted_runs_come_back_whole_until_the_trash_is_emptied(tmp_path: Path) -> None:
    runs = [make(tmp_path, seed=seed) for seed in range(2)]
    content = {file.name: file.read_bytes() for file in runs[0].path.glob("*.*")}
    for run in runs:
        marks.delete(run)
    assert list_runs(tmp_path) == [] and len(marks.in_trash(tmp_path)) == 2
    restored = marks.restore(runs[0].id, tmp_path)
    assert {file.name: file.read_bytes() for file in restored.path.glob("*.*")} == content
    with pytest.raises(WorkbenchError, match="Unknown run"):
        marks.restore("nothing", tmp_path)
    assert marks.empty_trash(tmp_path) == 1
    assert [run.id for run in list_runs(tmp_path)] == [restored.id] and not (tmp_path / ".trash").exists()
    with pytest.raises(WorkbenchError, match="is empty"):
        marks.restore(runs[1].id, tmp_path)


def test_a_restored_run_overwrites_nothing(tmp_path: Path) -> None:
    run = make(tmp_path)
    marks.delete(run)
    run.path.mkdir()
    with pytest.raises(WorkbenchError, match="exists already"):
        marks.restore(run.id, tmp_path)


def test_a_run_in_training_is_not_deleted(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.update_summary(status="running", pid=os.getppid())
    with pytest.raises(WorkbenchError, match=f"being trained by process {os.getppid()}"):
        marks.delete(run)
    assert run.path.is_dir()
    run.update_summary(alive=False, heartbeat=time.time() - 600)
    marks.delete(run)


@pytest.mark.parametrize("change", ["tag", "note", "delete"])
def test_a_run_of_somebody_else_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    run = make(tmp_path, owner="anna")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("workbench.files.os.replace", refuse)
    monkeypatch.setattr("workbench.marks.os.rename", refuse)
    with pytest.raises(WorkbenchError, match="belongs to anna"):
        {
            "tag": lambda: marks.set_tags(run, ["x"]),
            "note": lambda: marks.write_note(run, "x"),
            "delete": lambda: marks.delete(run),
        }[change]()
    assert marks.note(run) == ("", "") and run.path.is_dir() and not list(run.path.glob(".tmp-*"))


def test_a_run_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    run = make(tmp_path)
    shutil.rmtree(run.path)
    with pytest.raises(WorkbenchError, match="is gone"):
        marks.set_tags(run, ["x"])
    assert not run.path.exists()


def test_the_summary_is_small(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.update_summary(sparkline=[1 / 3] * store.SPARKLINE)
    assert len(json.dumps(run.summary())) < 3000
