"""The dashboard's image holds what the app imports; torch is not in it."""

import json
import re
import subprocess
import sys
from ast import Import, ImportFrom, parse, walk
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DOCKERFILE = Path(__file__).parents[1] / "docker" / "Dockerfile"
# Imports every module that the app may load, and prints the files of those that are ours.
IMPORTS = """
import importlib, json, pkgutil, sys
import app.main, workbench.cli.serve, workbench.cli.report
for name in ("app", "workbench.comparison", "workbench.figures", "workbench.report"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        importlib.import_module(module.name)
ours = [module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] in ("app", "workbench")]
print(json.dumps([file for file in ours if file]))
"""


def imported(source: str) -> set[str]:
    """Outermost names of what a module imports, within functions, too."""
    names = [alias.name for node in walk(parse(source)) if isinstance(node, Import) for alias in node.names]
    names += [node.module or "" for node in walk(parse(source)) if isinstance(node, ImportFrom)]
    return {name.partition(".")[0] for name in names}


def with_requirements(names: set[str]) -> set[str]:
    """Distributions and, as far as they are installed, all that they require."""
    known: set[str] = set()
    left = set(map(canonicalize_name, names))
    while left:
        known.add(name := left.pop())
        try:
            lines = requires(name) or ()
        except PackageNotFoundError:
            continue
        needed = list(map(Requirement, lines))
        left |= {canonicalize_name(need.name) for need in needed if not need.marker or need.marker.evaluate()} - known
    return known


def test_the_dashboard_image_installs_what_the_app_imports() -> None:
    line = re.search(r"uv pip install (cyclopts .*) -c constraints", DOCKERFILE.read_text())
    assert line is not None
    installed = with_requirements(set(line[1].split()))
    assert "torch" not in installed
    output = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout
    names = set[str]().union(*(imported(Path(file).read_text()) for file in json.loads(output)))
    owners = packages_distributions()
    needed = {canonicalize_name(owners[name][0]) for name in names if name in owners}
    assert {"numpy", "scipy", "streamlit"} <= needed
    assert needed - installed <= {"representation-workbench"}
