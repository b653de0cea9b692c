"""The page Stability: spikes, dips and collapse of runs that recorded them, and what it says of those that did not."""

import json
from dataclasses import replace
from pathlib import Path

from app.figures import gradient_map
from app.reading.choice import Choice
from app.reading.training_health import Series, batches, diagnose, dip_sentence
from app.widgets import incidents
from tests.app.app_fixture import make_run, set_status
from tests.app.pages import Show, figures, text
from tests.app.stability_fixture import LAYERS, keep_batches, unstable
from workbench.run import BATCHES, GRADIENTS

LAYERS += ["backbone.norm", "projector", "predictor"]


def test_dips_are_told_with_the_spike_before_them(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path)
    found = diagnose(run)
    assert [dip.start for dip in found.dips] == [1600, 2900]
    assert [spike.start for spike in found.spikes] == [1503, 2803]
    assert [spike.layer for spike in found.spikes] == ["patch embed", "patch embed"]
    assert found.dips[0].spike == found.spikes[0] and found.collapses == []
    app = show(tmp_path, "stability", [run.id])
    said = text(app)
    assert "Step 1,600: kNN fell by 1" in said and "recovered at step 1,800" in said
    assert "first in patch embed, the first trained layer, from step 1,503 (97 steps before)" in said
    # kNN, two norms, the map of the layers, five readings.
    assert len(figures(app)) == 9 and "workbench train" not in said
    (chosen,) = app.selectbox
    assert chosen.options == ["whole training", *(f"unstable: dip at step {at}" for at in ("1,600", "2,900"))]
    chosen.select(chosen.options[1]).run()
    assert not app.exception
    low, high = figures(app)[0]["layout"]["xaxis"]["range"]
    assert 1000 < low < 1503 and 1900 < high < 2900


def test_a_collapse_is_marked_and_told(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path, collapsing=True)
    app = show(tmp_path, "stability", [run.id])
    assert "Step 3,600: collapse, the features of all images are nearly the same" in text(app)
    crosses = [trace for trace in figures(app)[0]["data"] if trace.get("marker", {}).get("symbol") == "x"]
    assert len(crosses) == 1


def test_the_batch_of_a_spike_is_shown_with_its_ids(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path)
    keep_batches(run)
    keep_batches(run, (3990,), "loss")
    kept = batches(run)
    app = show(tmp_path, "stability", [run.id])
    chosen = app.selectbox(key="batch")
    first, second, third = chosen.options
    assert first.startswith("unstable: step 1,503, start of a spike, ") and first.endswith("in patch embed")
    assert "step 2,803" in second
    assert third == "unstable: step 3,990, whose loss was not finite"
    assert f">{kept[1503].ids[31]}</figcaption>" in text(app)
    assert str(kept[1503].ids)[1:-1] in text(app) and len(kept[1503].ids) == 128
    chosen.select(second).run()
    assert not app.exception and f">{kept[2803].ids[0]}</figcaption>" in text(app)


def test_a_spike_has_the_batches_of_its_beginning_and_its_height(tmp_path: Path) -> None:
    run = unstable(tmp_path)
    found = diagnose(run)
    spike = replace(found.spikes[0], step=1523, height=9.0)
    keep_batches(run, (1503, 1510, 1523))
    told = incidents.unusual(Choice(run, 0, "#0072B2", "unstable", {}), replace(found, spikes=[spike]))
    assert [batch.step for _, batch in told] == [1503, 1523]
    assert told[1][0] == "unstable: step 1,523, peak of a spike, 9 times the median norm, first in patch embed"


def test_spikes_are_marked_on_the_curve_that_they_are_of(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path)
    rows = run.metrics(GRADIENTS)
    rows[220]["max"][1] *= 6  # the first layer alone, which hardly shows in the whole gradient
    (run.path / GRADIENTS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = diagnose(run)
    alone = found.spikes[1]
    assert [spike.of for spike in found.spikes] == ["total", "first", "total"] and alone.layer == "patch embed"
    assert alone.end == 2210 and [spike.of for spike in found.first_spikes] == ["first"] * 3
    app = show(tmp_path, "stability", [run.id])
    for figure, spikes in zip(figures(app)[1:3], ((0, 2), (0, 1, 2)), strict=True):
        (marks,) = [one for one in figure["data"] if one.get("marker", {}).get("symbol") == gradient_map.SPIKE]
        assert len(marks["text"]) == len(spikes)
        of_first = ["(first layer)" in words for words in marks["text"]]
        assert of_first == [len(spikes) == 3] * len(spikes)
    first = figures(app)[2]["data"][-1]["text"]
    assert f"{alone.height:.3g} times the median norm (first layer) at step {alone.step:,}" in first[1]
    assert "1 spike not followed by a dip" in text(app)


def test_every_spike_of_a_dip_has_a_dip_after(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path)
    rows = run.metrics(GRADIENTS)
    for value in (0, *range(2, len(LAYERS) + 2)):
        rows[157]["max"][value] *= 9  # a second one before the same dip
    (run.path / GRADIENTS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = diagnose(run)
    assert len(found.spikes) == 3 and found.dips[0].near == tuple(found.spikes[:2])
    assert "not followed by a dip" not in text(show(tmp_path, "stability", [run.id]))


def test_damaged_batches_are_left_out(show: Show, tmp_path: Path) -> None:
    run = unstable(tmp_path)
    keep_batches(run)
    whole = (run.path / BATCHES).read_text()
    for content in ("", whole[:40], '{"step": 5, "at": "x", "ids": [1]}\n{"step": 6, "at": 6, "ids": "many"}\n'):
        (run.path / BATCHES).write_text(content)
        assert batches(run) == {} and not show(tmp_path, "stability", [run.id]).exception
    (run.path / BATCHES).write_text(whole)
    (run.path / "arrays" / "batch-00001503.npy").write_bytes(b"no array")
    assert batches(run)[1503].images is None and not show(tmp_path, "stability", [run.id]).exception


def test_words_for_what_was_not_followed_and_for_a_spike_after_the_fall_began(tmp_path: Path) -> None:
    run = unstable(tmp_path)
    found = diagnose(run)
    assert incidents.nothing_in(found) == "no spike, no dip, no collapse"
    bare = replace(found, knn=None, health={})
    assert incidents.nothing_in(bare) == "no spike; not recorded: kNN accuracy and feature statistics"
    assert found.knn is not None
    dip = replace(found.dips[0], start=1500, recovered=None)
    said = dip_sentence(dip, "patch embed", Series(found.knn.steps, found.knn.values))
    assert "Gradient spike during the dip: first in patch embed" in said and "not recovered" in said


def test_a_run_from_before_layers_were_kept_says_how_to_get_them(show: Show, tmp_path: Path) -> None:
    run = make_run(tmp_path, "mocov3", lr=1e-3)
    set_status(run, "finished")
    app = show(tmp_path, "stability", [run.id])
    said = text(app)
    assert "mocov3: no gradient norms by layer or feature statistics" in said
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
