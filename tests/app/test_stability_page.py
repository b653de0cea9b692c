"""The page Stability: spikes, dips and collapse of runs that recorded them, and what it says of those that did not."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import gradient_map
from app.diagnosis import diagnose, layer_name
from tests.app.app_fixture import make_run, make_runs, set_status
from workbench.run import GRADIENTS
from workbench.store import Run

LAYERS = ["backbone.cls_token", "backbone.patch_embed", *(f"backbone.blocks.{k}" for k in range(12))]
LAYERS += ["backbone.norm", "projector", "predictor"]
Show = Callable[..., AppTest]


def unstable(
    runs: Path, method: str = "mocov3", name: str = "unstable", collapsing: bool = False, seed: int = 0
) -> Run:
    """A run of 4,000 steps with spikes at 1,503 and 2,803 that start in patch_embed, each before a dip of the kNN."""
    run = make_run(runs, method, lr=1e-3, name=name, seed=seed)
    set_status(run, "finished")
    rng, rows, gradients = np.random.default_rng(3 + seed), [], []
    shared = rng.normal(0, 0.1, 400)
    for index in range(400):
        step = 10 * (index + 1)
        norms = np.linspace(2, 0.5, len(LAYERS)) * np.exp(-step / 4000 + shared[index])
        norms = norms * np.exp(rng.normal(0, 0.1, len(LAYERS)))
        ago = rng.integers(0, 10, len(LAYERS) + 2)
        for place in (150, 280):
            ago[:2] = 7 if index == place else ago[:2]
            for k in range(len(LAYERS)):
                if 0 <= index - place - k // 5 < 3:
                    norms[k] *= 9
                    ago[k + 2] = 7 if k == 1 else 4
        total, first = float(np.hypot.reduce(norms)), float(norms[1])
        common = {"step": step, "epoch": step / 100, "images": step * 128, "seconds": step / 3}
        rows.append(common | {"loss": 1 + np.exp(-step / 900), "grad_norm": total, "grad_norm/first": first})
        gradients.append({"step": step, "norm": norms.tolist(), "max": [total, first, *norms], "ago": ago.tolist()})
        if step % 100 == 0:
            knn = 70 - 40 * np.exp(-step / 900) + rng.normal(0, 0.4)
            knn -= sum(18 * np.exp(-(step - dip) / 200) for dip in (1600, 2900) if dip <= step < dip + 500)
            flat = collapsing and step >= 3500
            spread = 1e-4 if flat else 0.7 - 0.3 * np.exp(-step / 700)
            rows.append(
                common
                | {"knn": 10.0 if flat else knn, "linear_monitor": knn + 4, "effective_rank": 1.0 if flat else 60.0}
                | {"normalised_std": spread, "uniformity": -3 * spread, "alignment": 0.4}
            )
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run.path / GRADIENTS).write_text("".join(json.dumps(row) + "\n" for row in gradients))
    run.update_info(gradients={"layers": LAYERS, "first": "backbone.patch_embed"})
    return run


def text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.code, app.get("html"))
    return "\n".join(str(getattr(element, "value", None) or element.proto) for kind in kinds for element in kind)


def figures(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


def test_dips_are_told_with_the_spike_before_them(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path)
    found = diagnose(run)
    assert [dip.start for dip in found.dips] == [1600, 2900]
    assert [spike.start for spike in found.spikes] == [1503, 2803]
    assert [spike.layer for spike in found.spikes] == ["patch embed", "patch embed"]
    assert found.dips[0].spike == found.spikes[0] and found.collapses == []
    app = show(tmp_path, "stability", [run.id])
    assert not app.exception
    said = text(app)
    assert "Step 1,600: kNN fell by 1" in said and "back at step 1,800" in said
    assert "first in patch embed, the first trained layer, from step 1,503 (97 steps before)" in said
    # kNN, two norms, the map of the layers, five readings.
    assert len(figures(app)) == 9 and "workbench train" not in said
    (chosen,) = app.selectbox
    assert chosen.options == ["the whole training", *(f"unstable: the dip at step {at}" for at in ("1,600", "2,900"))]
    chosen.select(chosen.options[1]).run()
    assert not app.exception
    low, high = figures(app)[0]["layout"]["xaxis"]["range"]
    assert 1000 < low < 1503 and 1900 < high < 2900


def test_a_collapse_is_marked_and_told(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path, collapsing=True)
    app = show(tmp_path, "stability", [run.id])
    assert not app.exception
    assert "Step 3,600: collapse, the features of all images are nearly the same" in text(app)
    crosses = [trace for trace in figures(app)[0]["data"] if trace.get("marker", {}).get("symbol") == "x"]
    assert len(crosses) == 1


def test_a_map_shows_the_highest_norm_of_each_stretch(tmp_path: Path) -> None:
    found = diagnose(unstable(tmp_path))
    assert found.gradients is not None
    edges, values = gradient_map.binned(found.gradients, None)
    assert values.shape == (len(LAYERS), gradient_map.COLUMNS) and len(edges) == gradient_map.COLUMNS + 1
    np.testing.assert_allclose(values.max(axis=1), [norms.max() for norms in found.gradients.layers.values()])
    figure: Any = gradient_map.gradient_map(found, "#0072B2", (1400.0, 2000.0))
    assert figure.layout.yaxis2.ticktext[1:3] == ("patch embed", "block 1")
    assert sum(shape.type == "line" for shape in figure.layout.shapes) == 2
    assert gradient_map.gradient_map(found, "#0072B2", (9000.0, 9100.0)) is None


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


def test_a_run_from_before_layers_were_kept_says_how_to_get_them(show: Show, tmp_path: Path) -> None:
    run = make_run(tmp_path, "mocov3", lr=1e-3)
    set_status(run, "finished")
    app = show(tmp_path, "stability", [run.id])
    assert not app.exception
    said = text(app)
    assert "mocov3: no gradient norms by layer and readings of the features" in said
    assert f"workbench train --config {run.path / 'config.yaml'}" in said
    assert len(figures(app)) == 3  # kNN and the two norms of metrics.jsonl


def test_torn_and_foreign_files_are_survived(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path)
    whole = (run.path / GRADIENTS).read_text()
    rows = whole.splitlines()
    rows[5:8] = ["[1, 2]", '{"step": 60, "max": [1], "ago": [0]}', '{"step": 70, "max": "many"}']
    rows[9] = json.dumps(json.loads(rows[9]) | {"max": [None] * (len(LAYERS) + 2)})
    (run.path / GRADIENTS).write_text("\n".join(rows) + '\n{"step": 4010, "no')
    assert [spike.start for spike in diagnose(run).spikes] == [1503, 2803]
    assert not show(tmp_path, "stability", [run.id]).exception
    for content in ("", "\x00\x00", "[]\n{}\n", whole[:300]):
        (run.path / GRADIENTS).write_text(content)
        assert not show(tmp_path, "stability", [run.id]).exception
    (run.path / GRADIENTS).write_text(whole)
    for foreign in ("text", {"layers": 5}, {"layers": [1, 2]}, {"layers": LAYERS[:3], "first": ["x"]}):
        run.update_info(gradients=foreign)
        assert not show(tmp_path, "stability", [run.id]).exception
    metrics = (run.path / "metrics.jsonl").read_text()
    for content in ("", metrics[:500], metrics.replace('"effective_rank": 60.0', '"effective_rank": "many"')):
        (run.path / "metrics.jsonl").write_text(content)
        assert not show(tmp_path, "stability", [run.id]).exception


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for role, run_id in make_runs(folder).items():
        print(f"{role}\t{run_id}")
    print(
        "unstable", unstable(folder).id, "collapsing", unstable(folder, name="collapsing", collapsing=True, seed=2).id
    )
