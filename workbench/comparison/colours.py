"""The colour of every group of seeds in a runs folder, the same in app, figures of sweeps and reports. No torch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.comparison.seeds import partition
from workbench.palette import run_colours
from workbench.store import Run, list_summaries

METHODS = ("mocov3", "vae", "ddpm", "supervised", "hvae", "vdm", "score")
"""The methods with a colour of their own: the first ones of the palette."""


def colour_indices(methods: Sequence[str]) -> list[int]:
    """Indices for :func:`~workbench.palette.run_colour` of groups of seeds, by their methods, oldest first.

    A group takes its method's colour, or else the first colour that no built-in method and no older group has. Where
    these are used up, it takes a further shade of the one of them that is used least. The colour depends on older
    groups only, so it stays when groups are added.
    """
    colours = len(run_colours())
    taken: Counter[int] = Counter()
    indices = []
    for method in methods:
        own = [METHODS.index(method)] if method in METHODS else []
        candidates = [*own, *range(len(METHODS), colours)]
        place = min(candidates, key=lambda index: taken[index])  # at a tie the first
        indices.append(place + colours * taken[place])
        taken[place] += 1
    return indices


def folder_colours(groups: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, int]:
    """Colour indices by run id of the groups of a folder; see :func:`~workbench.comparison.seeds.partition`."""
    indices = colour_indices([str(group[0].get("method")) for group in groups])
    return {summary["id"]: index for group, index in zip(groups, indices, strict=True) for summary in group}


def colours_of(runs: Sequence[Run]) -> dict[str, int]:
    """Colour indices of runs, by id, as their folders give them."""
    indices: dict[str, int] = {}
    for folder in dict.fromkeys(run.path.parent for run in runs):
        indices |= folder_colours(partition(list_summaries(folder), folder))
    return indices
