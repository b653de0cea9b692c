"""The answers of Overview and the report: the numbers of `workbench compare`, ranked, and tested where possible."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from workbench.comparison.differences import group_differences
from workbench.comparison.likelihood import CAUTION
from workbench.comparison.seed_tests import seed_differences
from workbench.comparison.seeds import Group, group_runs
from workbench.comparison.table import group_table, interval_text
from workbench.report.answers import Answer, answers
from workbench.report.sentences import Score, verdict
from workbench.store import Run, list_runs

EXAMPLES = Path(__file__).parents[2] / "examples" / "runs"


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    return group_runs(list_runs(EXAMPLES)[::-1])


@pytest.fixture(scope="module")
def measured(groups: list[Group]) -> dict[str, Answer]:
    return answers(groups, group_differences(groups))


def test_every_measure_is_ranked_with_the_numbers_of_the_comparison(
    groups: list[Group], measured: dict[str, Answer]
) -> None:
    assert [key for key, answer in measured.items() if not answer.scores] == ["samples"]
    rows = [row for row in group_table(groups) if row["kind"] == "run"]
    for key, unit in (("linear", "%"), ("knn", "%"), ("reconstruction", "dB")):
        values = [score.value for score in measured[key].scores]
        assert values == sorted(values, reverse=True)
        texts = {score.name: score.text.replace(f" {unit}", "") for score in measured[key].scores}
        assert texts == {row["model"]: interval_text(row[key]) for row in rows if row[key]}
        assert all(score.text in measured[key].sentence for score in measured[key].scores)
    assert [score.name for score in measured["cost"].scores] == ["vae", "mocov3", "ddpm"]


def test_a_verdict_follows_the_tests(measured: dict[str, Answer]) -> None:
    assert measured["linear"].sentence.startswith("ddpm is ahead of vae: 91.6 % [77.6, 100.0] against 42.5 %")
    assert "No significant difference from mocov3 (79.9 % [78.8, 81.0])" in measured["linear"].sentence
    assert measured["reconstruction"].sentence.startswith("ddpm is ahead of vae: 38.2 dB")
    for key in ("linear", "knn", "factors", "reconstruction"):
        for pair in measured[key].tests:
            low, high = pair.simultaneous[1:]
            assert pair.significant == (not low <= 0 <= high) and pair.p_value >= 0
            assert str(pair).startswith("No significant difference") != pair.significant


def test_tests_over_seeds_are_those_of_welch(groups: list[Group]) -> None:
    values = [[70.0, 71.0, 75.0], [60.0, 64.0, 63.0], [59.0, 40.0, 66.0]]
    tests = seed_differences("knn", groups, values)
    assert len(tests) == 3
    expected: Any = ttest_ind(values[0], values[1], equal_var=False)
    interval, together = (expected.confidence_interval(level) for level in (0.95, 1 - 0.05 / 3))
    assert tests[0].difference == pytest.approx((72.0 - 187 / 3, interval.low, interval.high))
    assert tests[0].simultaneous[1:] == pytest.approx((together.low, together.high))
    assert tests[0].p_value == pytest.approx(min(1.0, 3 * expected.pvalue))
    assert f"The kNN classifier of {groups[0].label} is more accurate than that of {groups[1].label}: 72.0 %" in str(
        tests[0]
    )
    assert "; 3 seeds each)" in str(tests[0])


def test_too_few_seeds_or_equal_ones_are_not_tested(groups: list[Group]) -> None:
    assert seed_differences("knn", groups, [[70.0, 71.0], [60.0, 61.0, 62.0], []]) == []
    assert seed_differences("knn", groups, [[70.0] * 3, [60.0] * 3, [0.1 + 0.2, 0.3, 0.3]]) == []


def test_two_bounds_are_compared_with_a_caution_said_once(groups: list[Group], tmp_path: Path) -> None:
    (vae,) = [group for group in groups if group.label == "vae"]
    first = vae.runs[0]
    other = Run(shutil.copytree(first.path, tmp_path / "other"))
    other.update_summary(name="other")
    content = other.evaluation("likelihood")
    rows = [
        row | {"value": row["value"] - 1, "low": row["low"] - 1, "high": row["high"] - 1} for row in content["rows"]
    ]
    other.write_evaluation("likelihood", content | {"rows": rows})
    two = [Group("vae", (first,), (0,)), Group("other", (other,), (0,))]
    answer = answers(two)["likelihood"]
    assert (
        answer.sentence.startswith("Lowest: other with \N{LESS-THAN OR EQUAL TO} ")
        and answer.sentence.count(CAUTION) == 1
    )
    assert "upper bound" in answer.note and "lower bound" not in answer.note
    assert CAUTION not in answers(two[:1])["likelihood"].sentence


def test_a_measure_outside_the_headline_space_says_so(groups: list[Group], tmp_path: Path) -> None:
    (ddpm,) = [group for group in groups if group.label == "ddpm"]
    run = Run(shutil.copytree(ddpm.runs[0].path, tmp_path / "run"))
    for name in ("knn", "factors"):
        content = run.evaluation(name)
        rows = [row for row in content["rows"] if row["model"] != "run" or row["space"] == content["default"]]
        run.write_evaluation(name, content | {"rows": rows})
    given = answers([Group("ddpm", (run,), (0,))])
    for name in ("knn", "factors"):
        assert "ddpm in up_1@t=100, its default space; not measured in up_0@t=100" in given[name].note
        assert given[name].scores


def test_without_tests_models_are_only_ranked() -> None:
    scores = [Score(0, "a", "a", "2.0 [1.0, 3.0]", 2.0, 1.0, 3.0), Score(1, "b", "b", "1.5 [0.5, 2.5]", 1.5, 0.5, 2.5)]
    sentence = verdict(scores, [])
    assert (
        sentence
        == "Highest: a with 2.0 [1.0, 3.0], against 1.5 [0.5, 2.5] for b. The intervals of the first two overlap."
    )
    assert verdict([], []) == "" and np.isfinite(scores[0].value)
