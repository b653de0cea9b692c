"""The picture of the layers in the documentation is that of the contracts."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    specification = importlib.util.spec_from_file_location("draw_layers", ROOT / "scripts" / "draw_layers.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "draw_layers", module)
    specification.loader.exec_module(module)
    return module


def words(picture: Path) -> list[str]:
    """The text of an SVG, in order."""
    return [text for element in ElementTree.parse(picture).iter() if (text := (element.text or "").strip())]


def test_the_committed_picture_has_the_layers_of_the_contracts(script: ModuleType) -> None:
    modules = [module for layer in script.layers() for module in layer]
    labels = [word for word in words(script.PICTURE) if word.startswith(("workbench.", "app"))]
    assert labels == modules, "run `.venv/bin/python scripts/draw_layers.py`"


def test_every_package_of_the_house_is_in_the_picture(script: ModuleType) -> None:
    packages = {f"workbench.{path.parent.name}" for path in (ROOT / "workbench").glob("*/__init__.py")} | {"app"}
    assert packages <= {module for layer in script.layers() for module in layer}
    assert {"app", "workbench.comparison", "workbench.figures", "workbench.report"} <= script.torch_free()


def test_it_is_drawn_anew_alike(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = words(script.PICTURE)
    monkeypatch.setattr(script, "PICTURE", tmp_path / "layers.svg")
    script.main()
    assert words(tmp_path / "layers.svg") == committed
