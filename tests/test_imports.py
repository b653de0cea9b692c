"""What reads and draws runs loads none of the libraries that train: the app starts fast, and without them installed."""

import json
import subprocess
import sys

import pytest

READERS = ("workbench.comparison", "workbench.figures", "workbench.metrics", "workbench.report")
CODE = """
import importlib, json, pkgutil, sys

def loaded(*packages):
    for name in packages:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(module.name)
    return sorted({name.partition(".")[0] for name in sys.modules})

print(json.dumps({"workbench": loaded(*sys.argv[1:]), "app": loaded("app")}))
"""
TRAINING = {"torch", "torchvision", "timm", "diffusers", "accelerate"}


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Top-level modules of a fresh interpreter that has imported all of the readers, and then all of the app."""
    done = subprocess.run([sys.executable, "-c", CODE, *READERS], capture_output=True, text=True, check=True)
    return {name: set(modules) for name, modules in json.loads(done.stdout).items()}


def test_comparison_metrics_figures_and_report_load_no_torch_and_no_app(loaded: dict[str, set[str]]) -> None:
    assert not loaded["workbench"] & {*TRAINING, "streamlit", "plotly", "app"}


def test_the_app_loads_no_torch(loaded: dict[str, set[str]]) -> None:
    assert {"app", "streamlit", "plotly"} <= loaded["app"]
    assert not loaded["app"] & TRAINING


def test_nothing_loads_matplotlib_before_a_figure_is_drawn(loaded: dict[str, set[str]]) -> None:
    assert "matplotlib" not in loaded["workbench"] | loaded["app"]
