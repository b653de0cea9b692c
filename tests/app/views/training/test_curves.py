"""The page Curves."""

import json
from pathlib import Path

import pytest

from tests.app.pages import Copies, Show, figures, numbers, text
from workbench.store import Run


def log_rows(run: Run, **columns: list[float]) -> None:
    """Replace the metrics of a run."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_curves_by_time_smoothed_and_logarithmic(page: Show) -> None:
    app = page("curves", "mocov3", "running")
    app.segmented_control(key="x").set_value("seconds")
    app.toggle(key="log").set_value(True).run()
    assert not app.exception
    drawn = figures(app)
    assert {figure["layout"]["xaxis"]["title"]["text"] for figure in drawn} == {"minutes"}
    assert drawn[1]["layout"]["yaxis"]["type"] == "log"
    assert "updates" in text(app)


@pytest.mark.parametrize("zoom", [{}, {"zoom": "step:20.00-40.00"}, {"zoom": "step:1.2.3-4"}])
def test_a_loss_below_zero_has_a_linear_axis_and_says_so(show: Show, copied: Copies, zoom: dict[str, str]) -> None:
    folder, (_, run, _) = copied
    log_rows(run, step=[10, 20, 30, 40], loss=[-5.0, -60.0, -90.0, -95.0])
    app = show(folder, "curves", [run.id], **zoom)
    assert not app.exception and "axis is linear" not in text(app)
    app.toggle(key="log").set_value(True).run()
    assert not app.exception and "no positive values, so the axis is linear" in text(app)
    (loss,) = figures(app)
    assert loss["layout"]["yaxis"]["type"] == "linear"


def test_only_changed_metrics_are_read_again(show: Show, copied: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, (_, *runs) = copied
    parsed, read = [], Path.read_bytes

    def noted(path: Path) -> bytes:
        if path.name == "metrics.jsonl":
            parsed.append(path.parent.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    app = show(folder, "curves", [run.id for run in runs])
    assert sorted(parsed) == sorted(run.id for run in runs)
    app.run()
    assert len(parsed) == 2
    runs[1].log({"step": 410, "loss": 123.0})
    app.run()
    assert parsed[2:] == [runs[1].id]
    assert not app.exception and any(123.0 in numbers(trace["y"]) for f in figures(app) for trace in f["data"])
