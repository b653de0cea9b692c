"""One answer: wherever the headline number of a group of seeds stands, it is the same number."""

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.app.pages import Show, figures, numbers, text
from workbench import report
from workbench.cli import main
from workbench.comparison.differences import group_differences
from workbench.comparison.seeds import group_runs
from workbench.comparison.table import comparison_table
from workbench.report.answers import answers
from workbench.store import list_runs

EXAMPLES = Path(__file__).parents[2] / "examples" / "runs"
METHODS = ("mocov3", "vae", "ddpm")


@pytest.fixture(scope="module")
def headlines() -> dict[str, tuple[float, float, float]]:
    """Of each method's three seeds, accuracy and interval of the linear probe, as the comparison has it."""
    rows = comparison_table(list_runs(EXAMPLES)[::-1])
    cells = {row["model"]: row["linear"] for row in rows if row["kind"] == "run"}
    assert set(cells) == set(METHODS) and all(len(cell["values"]) == 3 for cell in cells.values())
    return {model: (cell["value"], cell["low"], cell["high"]) for model, cell in cells.items()}


def test_paired_tests_have_the_accuracies_of_the_table(headlines: dict[str, tuple[float, float, float]]) -> None:
    for pair in group_differences(group_runs(list_runs(EXAMPLES))):
        assert pair.accuracy == pytest.approx(headlines[pair.name][0], abs=2e-3)
        if pair.other_name in headlines:
            assert pair.other_accuracy == pytest.approx(headlines[pair.other_name][0], abs=2e-3)
            assert f"{pair.accuracy:.1f} % against {pair.other_accuracy:.1f} %" in str(pair)


def test_the_command_prints_them(
    headlines: dict[str, tuple[float, float, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run.id for run in list_runs(EXAMPLES)]
    assert main(["compare", *runs, "--runs", str(EXAMPLES), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    values = {row["model"]: row["linear"]["value"] for row in rows if row["kind"] == "run"}
    assert values == pytest.approx({model: value for model, (value, _, _) in headlines.items()})
    assert main(["compare", *runs, "--runs", str(EXAMPLES), "--wide"]) == 0
    printed = capsys.readouterr().out
    for value, low, high in headlines.values():
        assert f"{value:.1f} [{low:.1f}, {high:.1f}]" in printed


@pytest.mark.parametrize("suffix", [".md", ".html", ".tex"])
def test_the_report_has_them(headlines: dict[str, tuple[float, float, float]], suffix: str) -> None:
    markup = r"<[^>]+>" if suffix == ".html" else r"\\(?=[^a-z])"
    text = html.unescape(re.sub(markup, "", report.render(list_runs(EXAMPLES)[::-1], suffix)))
    conclusions, _, tables = text.partition("Probes")
    for model, (value, low, high) in headlines.items():
        interval = f"[{low:.1f}, {high:.1f}]"
        assert f"{value:.1f} % {interval}" in " ".join(conclusions.split())
        assert f"{value:.1f} {interval}" in tables and f"{model} (3 seeds)" in tables


def ends(trace: dict[str, Any], axis: str) -> tuple[float, float, float]:
    """The value of a dot and the ends of its interval."""
    bars, value = trace[f"error_{axis}"], float(numbers(trace[axis])[0])
    return value, value - float(numbers(bars["arrayminus"])[0]), value + float(numbers(bars["array"])[0])


@pytest.fixture
def newest() -> list[str]:
    """The newest run of each method: the page adds its other seeds."""
    return [{run.info()["method"]: run.id for run in list_runs(EXAMPLES)}[method] for method in METHODS]


def test_overview_states_them(show: Show, newest: list[str], headlines: dict[str, tuple[float, float, float]]) -> None:
    app = show(EXAMPLES, "overview", newest)
    page = text(app).replace("\\", "")
    for value, low, high in headlines.values():
        assert page.count(f"{value:.1f} % [{low:.1f}, {high:.1f}]") >= 2  # in the sentence and beside the dot


def test_overview_and_report_say_the_same(show: Show, newest: list[str]) -> None:
    groups = group_runs(list_runs(EXAMPLES)[::-1])
    page = text(show(EXAMPLES, "overview", newest)).replace("\\", "")
    printed = report.render(list_runs(EXAMPLES)[::-1], ".md").replace("\\", "")
    shown = text(show(EXAMPLES, "report", newest)).replace("\\", "")
    for answer in answers(groups, group_differences(groups)).values():
        for score in answer.scores:  # the order of models may differ, and with it that of equal parts
            assert score.text in page and score.text in printed and score.text in html.unescape(shown)


def test_the_list_of_runs_shows_them(show: Show, headlines: dict[str, tuple[float, float, float]]) -> None:
    table: Any = show(EXAMPLES, "run_list", [], groups="Seeds").dataframe[0].value
    shown = dict(zip(table["name"], table["linear"], strict=True))
    for model, (value, low, high) in headlines.items():
        assert shown[f"{model} \N{MIDDLE DOT} 3 seeds"] == f"{value:.1f} [{low:.1f}, {high:.1f}]"


def test_accuracy_against_cost_draws_them(
    show: Show, newest: list[str], headlines: dict[str, tuple[float, float, float]]
) -> None:
    app = show(EXAMPLES, "labels_and_cost", newest)
    dots = {
        str(trace.get("name")).partition(" (")[0]: ends(trace, "y")
        for trace in figures(app)[1]["data"]
        if "error_y" in trace and "untrained" not in str(trace.get("name"))
    }
    assert all(dots[model] == pytest.approx(headlines[model]) for model in METHODS)
    (table,) = app.dataframe
    cells: Any = table.value.set_index("model")["linear probe"]
    for model, (value, low, high) in headlines.items():
        assert cells[f"{model} (3 seeds)"] == f"{value:.1f} [{low:.1f}, {high:.1f}]"
    page = text(app)
    assert "ddpm in up_1@t=100, its default space; not measured in up_0@t=100" in page  # the label curves


def test_factors_are_read_in_the_same_space(
    show: Show, newest: list[str], headlines: dict[str, tuple[float, float, float]]
) -> None:
    """The factor `class` is the label, so its probe is the linear probe."""
    app = show(EXAMPLES, "factors", newest)
    for model, name in {"ddpm": "ddpm (3 seeds) up_0@t=100", "vae": "vae (3 seeds) posterior_mean"}.items():
        drawn = [ends(trace, "x") for trace in figures(app)[1]["data"] if str(trace.get("name")) == name]
        assert any(dot == pytest.approx(headlines[model], abs=1e-3) for dot in drawn)


def test_a_run_alone_is_a_group_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs", str(EXAMPLES), "--json"]) == 0
    listed = {summary["id"]: summary for summary in json.loads(capsys.readouterr().out)}
    for run in list_runs(EXAMPLES):
        row = comparison_table([run])[0]
        assert listed[run.id]["linear"] == pytest.approx(row["linear"]["value"], abs=1e-3)
        assert listed[run.id]["knn"] == pytest.approx(row["knn"]["value"], abs=1e-3)


def test_the_demo_ends_with_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    runs = {str(run.info()["method"]): run for run in list_runs(EXAMPLES)}
    monkeypatch.setattr("workbench.training.start", lambda method, *_, **__: runs[method])
    monkeypatch.setattr("workbench.evaluation.runner.evaluate", lambda *_, **__: None)
    assert main(["demo", "--no-serve", "--runs", str(EXAMPLES)]) == 0
    demo = capsys.readouterr().out
    assert main(["compare", *(runs[method].id for method in METHODS), "--runs", str(EXAMPLES)]) == 0
    table = capsys.readouterr().out.partition("\n\n")[0]
    assert table in demo
    cell = comparison_table([runs["ddpm"]])[0]["linear"]
    assert f"{cell['value']:.1f} [{cell['low']:.1f}, {cell['high']:.1f}]" in demo


def test_the_linear_probe_page_draws_them(show: Show, headlines: dict[str, tuple[float, float, float]]) -> None:
    newest = {run.info()["method"]: run.id for run in list_runs(EXAMPLES)}
    app = show(EXAMPLES, "linear_probe", [newest[method] for method in METHODS])
    large = [trace for trace in figures(app)[0]["data"] if (trace.get("meta") or {}).get("drawn") == "large"]
    drawn = {trace["name"].partition(" (")[0]: ends(trace, "x") for trace in large if trace["xaxis"] == "x"}
    assert set(drawn) == set(headlines)
    assert all(drawn[model] == pytest.approx(headlines[model]) for model in METHODS)
    assert f"{headlines['ddpm'][0]:.1f} %" in text(app)  # the sentences below


def test_the_report_page_prints_them(show: Show, headlines: dict[str, tuple[float, float, float]]) -> None:
    newest = {run.info()["method"]: run.id for run in list_runs(EXAMPLES)}
    app = show(EXAMPLES, "report", [newest[method] for method in METHODS])
    shown = app.dataframe[0].value.set_index("model")["linear %"].to_dict()
    for model, (value, low, high) in headlines.items():
        assert shown[f"{model} (3 seeds)"] == f"{value:.1f} [{low:.1f}, {high:.1f}]"


def test_the_long_table_has_the_values_of_its_seeds(headlines: dict[str, tuple[float, float, float]]) -> None:
    rows = list(csv.DictReader(io.StringIO(report.render(list_runs(EXAMPLES), ".csv"))))
    linear = [row for row in rows if row["evaluation"] == "linear" and row["space"] == "up_0@t=100"]
    own = [float(row["value"]) for row in linear if row["model"] == "run"]
    assert len(own) == 3 and sum(own) / 3 == pytest.approx(headlines["ddpm"][0], abs=1e-6)
