"""Evaluations are parsed once, and no page changes what it was handed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.reading import files
from tests.app.pages import THREE, VIEWS, Copies, Folder, Show
from workbench.store import Run, read_json


def test_only_changed_evaluations_are_read_again(show: Show, copied: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, runs = copied
    parsed: list[str] = []

    def noted(path: Path) -> dict[str, Any]:
        parsed.append(f"{path.parent.parent.name}/{path.name}")
        return read_json(path)

    monkeypatch.setattr(files, "read_json", noted)
    app = show(folder, "agreement", [run.id for run in runs])
    assert len(parsed) == len(set(parsed)) and f"{runs[0].id}/agreement.json" in parsed
    parsed.clear()
    app.run()
    assert parsed == []
    runs[1].write_evaluation("agreement", runs[1].evaluation("agreement") | {"rows": []})
    app.run()
    assert parsed == [f"{runs[1].id}/agreement.json"] and not app.exception


def test_who_changes_an_evaluation_changes_it_for_nobody_else(copied: Copies) -> None:
    run = files.ReadOnce(copied[1][0].path)
    run.evaluation("linear")["rows"] = []
    assert run.evaluation("linear") == Run(run.path).evaluation("linear")
    assert run.evaluation("nothing") == {}


@pytest.mark.parametrize("view", VIEWS)
def test_no_page_changes_what_others_read(show: Show, runs_folder: Folder, view: str) -> None:
    folder, ids = runs_folder
    show(folder, view, [ids[role] for role in THREE])
    for role in THREE:
        run = Run(folder / ids[role])
        for name, content in run.evaluations().items():
            assert files.ReadOnce(run.path).evaluation(name) == content


def test_a_damaged_line_costs_that_line_alone(writable: Folder) -> None:
    runs, ids = writable
    run = Run(runs / ids["vae"])
    whole = files.metrics(run)
    text = (run.path / "metrics.jsonl").read_text()
    (run.path / "metrics.jsonl").write_text(text + '{"step": 999, "lo')
    torn = files.metrics(run)
    (run.path / "metrics.jsonl").write_text('{"step": 1, "lo\n' + text + '[2]\n{"loss": 3}\n')
    damaged = files.metrics(run)
    for found in (torn, damaged):
        assert found.keys() == whole.keys() and all(len(found[key]) == len(whole[key]) for key in whole)
        assert (found["loss"][~(found["loss"] != found["loss"])] == whole["loss"][whole["loss"] == whole["loss"]]).all()
    (run.path / "metrics.jsonl").write_text("")
    assert files.metrics(run) == {}


def test_null_in_a_list_of_numbers_is_nan() -> None:
    np.testing.assert_array_equal(files.matrix([50.0, None], (2,)), [50.0, np.nan])
    np.testing.assert_array_equal(files.matrix([[1, None], [2, 3]], (2, None)), [[1, np.nan], [2, 3]])
    for foreign in (None, [[1.0, None], [2.0]], ["a", None], [{}, 1.0], []):
        assert files.matrix(foreign, (None,)) is None
