"""One answer: wherever the headline number of a group of seeds stands, it is the same number."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.app.pages import Show, figures, text
from workbench import report
from workbench.cli import main
from workbench.comparison.differences import group_differences
from workbench.comparison.seeds import group_runs
from workbench.comparison.table import comparison_table
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


def test_the_report_has_them(headlines: dict[str, tuple[float, float, float]]) -> None:
    runs = list_runs(EXAMPLES)[::-1]
    page = report.render(runs, ".md").replace("\\", "")
    for model, (value, low, high) in headlines.items():
        first = next(line for line in page.splitlines() if line.startswith(f"| {model} (3 seeds) |"))
        assert f"| {value:.1f} [{low:.1f}, {high:.1f}] |" in first
        assert f"{value:.1f} %" in page.split("##")[1]  # the conclusions


def test_the_linear_probe_page_draws_them(show: Show, headlines: dict[str, tuple[float, float, float]]) -> None:
    newest = {run.info()["method"]: run.id for run in list_runs(EXAMPLES)}
    app = show(EXAMPLES, "linear_probe", [newest[method] for method in METHODS])
    large = [trace for trace in figures(app)[0]["data"] if (trace.get("meta") or {}).get("drawn") == "large"]
    drawn = {trace["name"].partition(" (")[0]: trace["x"][0] for trace in large if trace["xaxis"] == "x"}
    assert drawn == pytest.approx({model: value for model, (value, _, _) in headlines.items()})
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
