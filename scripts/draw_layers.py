#!/usr/bin/env python
"""Draw docs/images/layers.svg from import-linter's contracts in pyproject.toml."""

import tomllib
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from workbench import palette

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "layers.svg"
CAPTION = "A module imports only what stands below it. Coloured rooms never import torch; import-linter checks both."
ROW, GAP, WIDTH = 0.62, 0.16, 9.0


def contracts() -> list[dict]:
    """The contracts in the order of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def layers() -> list[list[str]]:
    """Modules by layer, the highest first; those of a layer do not import one another."""
    contract = next(contract for contract in contracts() if contract["type"] == "layers")
    return [[module.strip() for module in layer.replace(":", "|").split("|")] for layer in contract["layers"]]


def torch_free() -> set[str]:
    """Modules that must not import torch."""
    return {
        module
        for contract in contracts()
        if contract["type"] == "forbidden" and "torch" in contract["forbidden_modules"]
        for module in contract["source_modules"]
    }


def draw() -> Figure:
    """A row of boxes for each layer."""
    rows, coloured = layers(), torch_free()
    figure = Figure(figsize=(WIDTH, len(rows) * ROW + 0.4))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, len(rows) * ROW + 0.4))
    axes.axis("off")
    for place, modules in enumerate(rows):
        bottom = (len(rows) - 1 - place) * ROW + 0.4
        width = (WIDTH - GAP * (len(modules) + 1)) / len(modules)
        for column, module in enumerate(modules):
            left = GAP + column * (width + GAP)
            colour = palette.LIGHT[0] if module in coloured else palette.GREY
            box = FancyBboxPatch(
                (left, bottom), width, ROW - GAP, "round,pad=0,rounding_size=0.06", fc=colour, ec=colour, alpha=0.25
            )
            axes.add_patch(box)
            axes.text(left + width / 2, bottom + (ROW - GAP) / 2, module, ha="center", va="center", fontsize=11)
    axes.text(GAP, 0.14, CAPTION, fontsize=9, va="center")
    return figure


def main() -> None:
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "layers", "font.family": "sans-serif"}):
        draw().savefig(PICTURE, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
