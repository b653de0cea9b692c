"""The page Scatter, and the columns that can be added to the table of runs."""

import re
from pathlib import Path

import pytest

from app.reading import quantities
from app.reading.quantities import Quantity, value_of
from tests.app.pages import Copies, Show, figures, text
from workbench.comparison.seeds import group_runs
from workbench.comparison.table import group_table
from workbench.store import list_runs

EXAMPLES = Path(__file__).resolve().parents[4] / "examples" / "runs"


def test_results_are_the_numbers_of_the_comparison() -> None:
    groups = group_runs(list_runs(EXAMPLES))
    rows = [row for row in group_table(groups) if row["kind"] == "run"]
    for key in ("knn", "linear", "retrieval", "reconstruction"):
        for group, row in zip(groups, rows, strict=True):
            value = value_of(Quantity(f"result:{key}", key), group.runs)
            cell = row[key]
            assert (value and (value.value, value.low, value.high)) == (
                cell and (cell["value"], cell["low"], cell["high"])
            )


def test_settings_and_costs_of_groups() -> None:
    groups = {group.label: group.runs for group in group_runs(list_runs(EXAMPLES))}
    assert value_of(Quantity("setting:optim.lr", ""), groups["mocov3"]) == quantities.Value(0.002)
    assert value_of(Quantity("setting:seed", ""), groups["mocov3"]) is None  # differs
    assert value_of(Quantity("setting:stem", ""), groups["mocov3"]) == quantities.Value("conv")
    assert value_of(Quantity("setting:stem", ""), groups["vae"]) is None  # has none
    seconds = [run.info()["cost"]["seconds"] for run in groups["vae"]]
    assert value_of(Quantity("cost:seconds", ""), groups["vae"]) == quantities.Value(sum(seconds) / 3)


def test_settings_that_differ_come_first() -> None:
    runs = [run for run in list_runs(EXAMPLES) if run.info()["method"] == "vae"]
    settings = [quantity.name for quantity in quantities.quantities(runs) if quantity.kind == "setting"]
    assert settings[0] == "seed" and {"optim.lr", "latent_dim"} <= set(settings)
    assert not {"method", "runs", "name"} & set(settings)


def test_a_point_for_each_group_and_the_others_named(show: Show, copied: Copies) -> None:
    folder, runs = copied
    parameters = {"scatter-x": "optim.lr", "scatter-y": "linear probe, %"}
    app = show(folder, "scatter", **parameters)
    assert not app.exception
    (figure,) = figures(app)
    assert {re.split(" · ", trace["name"])[0] for trace in figure["data"]} == {"mocov3", "vae", "ddpm"}
    assert figure["layout"]["xaxis"]["title"]["text"] == "optim.lr"
    (runs[1].path / "evaluations" / "linear.json").unlink()
    app = show(folder, "scatter", **parameters)
    (figure,) = figures(app)
    assert len(figure["data"]) == 2
    assert f"one of the two values is missing or differs between seeds: vae · {runs[1].id[-4:]}" in text(app)


def test_words_on_the_x_axis_and_a_logarithm_that_cannot_be(show: Show) -> None:
    app = show(EXAMPLES, "scatter", **{"scatter-x": "precision", "scatter-log": "true"})
    assert not app.exception and "The x axis is linear" in text(app)
    (figure,) = figures(app)
    assert figure["layout"]["xaxis"]["type"] == "category"


@pytest.mark.parametrize("groups", ["No groups", "Seeds"])
def test_columns_are_added_and_stand_in_the_url(show: Show, groups: str) -> None:
    app = show(EXAMPLES, "run_list", groups=groups, columns="reconstruction, dB")
    assert not app.exception
    (table,) = (frame.value for frame in app.dataframe)
    values = [value for value in table["reconstruction, dB"] if value is not None and value == value]
    assert len(values) == (2 if groups == "Seeds" else 6)
