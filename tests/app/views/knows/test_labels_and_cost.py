"""The page "Labels and cost", the figures on it, and the common decoder among the reconstructions."""

import json

import numpy as np
import pytest

from app.figures import accuracy_cost
from app.figures.accuracy_cost import LabelCurve, Point
from tests.app.pages import THREE, Copies, Folder, Show, figures, plain, text
from tests.app.probes_fixture import LABELS, write_price
from workbench.store import Run


def point(label: str, x: float, value: float) -> Point:
    return Point(label, "#000000", x, value, value - 2, value + 3)


def test_the_front_holds_what_nothing_cheaper_beats() -> None:
    points = [point("dear", 100, 70), point("cheap", 1, 40), point("worse", 10, 30), point("as dear", 100, 60)]
    assert [one.label for one in accuracy_cost.pareto(points)] == ["cheap", "dear"]
    assert accuracy_cost.pareto([]) == []


def test_intervals_of_a_price_reach_from_low_to_high() -> None:
    drawn = accuracy_cost.accuracy_by_cost([point("a", 10, 50), point("b", 1000, 60)], [], {"pixels": 30}, "parameters")
    figure = drawn.to_dict()
    bars = [trace["error_y"] for trace in figure["data"] if trace["mode"] == "markers"]
    assert [(bar["array"][0], bar["arrayminus"][0]) for bar in bars] == [(3, 2), (3, 2)]
    assert figure["layout"]["xaxis"]["type"] == "log"
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < 1 and high > 3
    assert figure["layout"]["yaxis"]["range"][0] < 30  # the reference line is seen


def test_an_unknown_interval_is_none_and_not_of_no_width() -> None:
    alone = Point("a", "#000000", 10, 50, None, None)
    line = LabelCurve("a", "#000000", [alone])
    for figure in (
        accuracy_cost.accuracy_by_cost([alone], [], {}, "parameters"),
        accuracy_cost.accuracy_by_labels([line], {}),
    ):
        bars = [trace["error_y"] for trace in figure.to_dict()["data"] if "error_y" in trace]
        assert [(list(bar["array"]), list(bar["arrayminus"])) for bar in bars] == [([None], [None])]


def test_curves_of_labels_keep_their_order_on_a_log_axis() -> None:
    named = {name: [point(name, n, value) for _, n, value in LABELS] for name in ("a", "pixels")}
    lines = [LabelCurve(name, "#000000", points, name == "pixels") for name, points in named.items()]
    figure = accuracy_cost.accuracy_by_labels(lines, {30: "30", 3000: "3,000"}).to_dict()
    for trace in figure["data"]:
        np.testing.assert_allclose(trace["x"], [30, 300, 3000], rtol=0.02)
        assert list(trace["y"]) == [20, 40, 70]
    assert [plain(note["text"]) for note in figure["layout"]["annotations"]] == ["a", "pixels"]


@pytest.fixture
def measured(copied: Copies) -> Folder:
    """Two runs with label curves, prices, fine-tuning and a common decoder; the third without."""
    folder, runs = copied
    for run, method in zip(runs[:2], THREE, strict=False):
        write_price(run, method)
    return folder, dict(zip(THREE, (run.id for run in runs), strict=True))


def test_labels_prices_and_what_takes_training(show: Show, measured: Folder) -> None:
    folder, ids = measured
    app = show(folder, "labels_and_cost", [ids["mocov3"], ids["vae"], ids["ddpm"]])
    assert [title.value for title in app.title] == ["Labels and cost"]
    labels, price = figures(app)
    curves = [trace for trace in labels["data"] if trace["mode"] == "lines+markers"]
    assert len(curves) == 5  # two models, the untrained network of each, pixels once
    assert {"mocov3", "vae", "pixels"} <= {plain(note["text"]) for note in labels["layout"]["annotations"]}
    assert sum("<b>" in note["text"] for note in price["layout"]["annotations"]) == 3
    (table,) = app.dataframe
    assert table.value.set_index("model").loc["mocov3", "fine-tuned"] == "81.2 [79.2, 83.2]"
    assert table.value.set_index("model").loc["untrained mocov3", "fine-tuned"] == "63.0 [61.0, 65.0]"
    assert table.value.set_index("model").loc["pixels", "transfer to digits"] == "83.0 [81.0, 85.0]"
    said = text(app)
    assert "more accurate when fine-tuned from its weights than from random weights" in said and "p < 0.001" in said
    assert f"workbench evaluate {ids['ddpm']}" in said
    assert "--only linear_sgd --only finetune --only transfer" in said


def test_a_price_is_switched(show: Show, measured: Folder) -> None:
    folder, ids = measured
    app = show(folder, "labels_and_cost", [ids["mocov3"], ids["vae"]], price="time")
    seconds = Run(folder / ids["vae"]).info()["cost"]["seconds"]
    xs = [trace["x"][0] for trace in figures(app)[1]["data"] if trace["mode"] == "markers"]
    assert any(x == pytest.approx(seconds / 60) for x in xs)
    assert "minutes" in json.dumps(figures(app)[1]["layout"]["xaxis"])
    app = show(folder, "labels_and_cost", [ids["mocov3"], ids["vae"]], price="memory")
    assert len(figures(app)) == 1 and "not recorded in run.json" in text(app)


def test_the_page_survives_torn_and_foreign_files(show: Show, measured: Folder) -> None:
    folder, ids = measured
    run = Run(folder / ids["vae"])
    for foreign in ({"rows": "none"}, {"rows": [{"model": "run", "value": 3.0, "metric": "top1", "n_labels": "x"}, 4]}):
        for name in ("few_labels", "linear", "linear_sgd", "finetune", "transfer", "decoder"):
            run.write_evaluation(name, foreign | {"difference": [], "p_value": 0.5})
        run.update_info(cost=[])
        assert not show(folder, "labels_and_cost", [run.id]).exception
        assert not show(folder, "reconstructions", [run.id], decoder="common decoder (frozen encoder)").exception
    for name in ("few_labels", "finetune", "transfer"):
        (run.path / "evaluations" / f"{name}.json").write_text('{"rows": [')
    assert not show(folder, "labels_and_cost", [run.id]).exception


def test_the_common_decoder_draws_what_an_encoder_kept(show: Show, measured: Folder) -> None:
    folder, ids = measured
    own = show(folder, "reconstructions", [ids["mocov3"], ids["vae"]])
    assert "Select the common decoder" in text(own) and "32 values" not in text(own)
    every = [ids[role] for role in THREE]
    common = show(folder, "reconstructions", every, decoder="common decoder (frozen encoder)")
    said = text(common)
    assert "cannot generate" not in said and "32 values" in said and "pca-32" in said
    assert f"workbench evaluate {ids['ddpm']}" in said and "--only decoder" in said
