"""Spikes, dips and collapses read from what training recorded."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.reading.training_health import diagnose, layer_name
from tests.app.stability_fixture import unstable


def test_collapse_to_nothing_at_all_needs_no_rank(tmp_path: Path) -> None:
    run = unstable(tmp_path)
    rows = [row | {"normalised_std": 0.0, "effective_rank": None} for row in run.metrics() if "knn" in row]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (collapse,) = diagnose(run).collapses
    assert "complete" in collapse.reason


def test_rows_that_were_written_twice_count_once(tmp_path: Path) -> None:
    run = unstable(tmp_path)
    rows = (run.path / "metrics.jsonl").read_text()
    (run.path / "metrics.jsonl").write_text(rows + rows)
    knn = diagnose(run).knn
    assert knn is not None and len(knn.steps) == 40 and (np.diff(knn.steps) > 0).all()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("backbone.blocks.0", "block 1"),
        ("unet.down_blocks.1", "down 1"),
        ("unet.up_blocks.-1", "up -1"),
        ("unet.mid_block", "middle"),
        ("encoder.2", "encoder.2"),
        ("backbone.cls_token", "class token"),
    ],
)
def test_layers_have_names_for_people(path: str, name: str) -> None:
    assert layer_name(path) == name
