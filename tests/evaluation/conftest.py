"""What evaluations write of tiny models."""

from types import ModuleType
from typing import Any

import pytest

from tests.conftest import LIMITS
from workbench.evaluation import runner
from workbench.evaluation.context import Context
from workbench.evaluation.features import Material


@pytest.fixture
def evaluation_of(make_context):
    """A context and what an evaluation wrote of it: ``evaluation_of(module, **options)``, those of ``make_context``."""

    def evaluate(evaluation: ModuleType, **options: Any) -> tuple[Context, dict[str, Any]]:
        context = make_context(**options)
        evaluation.evaluate(context)
        return context, context.run.evaluation(evaluation.__name__.rpartition(".")[2])

    return evaluate


@pytest.fixture
def evaluate(make_model, make_dataset, monkeypatch):
    """Evaluate runs whose model is a tiny one, each with its own random weights."""
    seeds: dict[str, int] = {}

    def load(run, device, checkpoint):
        return make_model(run, seed=seeds.setdefault(run.id, len(seeds)))

    monkeypatch.setattr(runner, "load", load)
    monkeypatch.setattr(Material, "load", lambda config, limits: Material(make_dataset(), limits))
    return lambda runs, **options: runner.evaluate(runs, **{"limits": LIMITS, "quiet": True} | options)


def rows_with(written: dict[str, Any], **values: Any) -> list[dict[str, Any]]:
    """Rows of an evaluation that have these values."""
    return [row for row in written["rows"] if all(row.get(key) == value for key, value in values.items())]
