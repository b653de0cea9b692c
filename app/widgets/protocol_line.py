"""How the numbers of a figure were measured, in one line."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from workbench.comparison.likelihood import in_bits
from workbench.comparison.seeds import Group

PARTS = re.compile(r"(?<=\.) (?=[A-Z]|95 %)|(?<=;) ")  # between sentences, and between their clauses


def describe(evaluations: Iterable[tuple[str, dict[str, Any]]], *more: str, groups: Sequence[Group] = ()) -> str:
    """Protocol, split, n, training seeds and checkpoint of evaluations, each once.

    Args:
        evaluations: with the label of the run; what only some of them say of their protocol follows their labels.
        more: further parts of the line.
        groups: the groups of seeds whose means the figure shows; by default it shows the runs that were evaluated.
    """
    evaluations = list(evaluations)
    texts = {label: in_bits(str(evaluation.get("protocol") or "")) for label, evaluation in evaluations}
    parts = once({label: text for label, text in texts.items() if text})
    for part in (_split, _n):
        parts.append(_each(part, evaluations))
    parts.append(group_sizes(groups) if groups else _seeds(evaluations))
    parts.append(_each(_checkpoint, evaluations))
    return " · ".join(part for part in (*parts, *more) if part)


def _each(part: Callable[[dict[str, Any]], str], evaluations: Iterable[tuple[str, dict[str, Any]]]) -> str:
    return " / ".join(dict.fromkeys(filter(None, (part(evaluation) for _, evaluation in evaluations))))


def _split(evaluation: dict[str, Any]) -> str:
    split = evaluation.get("split")
    return {"probe": "probe set", "none": "", None: ""}.get(split, f"{split} split")


def _n(evaluation: dict[str, Any]) -> str:
    return f"n = {evaluation['n']:,}" if isinstance(evaluation.get("n"), int) else ""


def group_sizes(groups: Sequence[Group]) -> str:
    """How many networks, each trained with a seed of its own, a group's number is the mean of."""
    sizes = {len(group) for group in groups}
    if len(sizes) == 1:
        size = sizes.pop()
        return f"mean of {size} training seeds" if size > 1 else "1 training seed"
    return "training seeds: " + ", ".join(f"{group.label} {len(group)}" for group in groups)


def _seeds(evaluations: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """The seeds with which the evaluated runs were trained."""
    listed = [seeds for _, evaluation in evaluations if isinstance(seeds := evaluation.get("seeds"), list)]
    names = [str(seed) for seed in sorted({seed for seeds in listed for seed in seeds if isinstance(seed, int)})]
    return f"training seed{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""


def _checkpoint(evaluation: dict[str, Any]) -> str:
    return f"checkpoint {evaluation['checkpoint']}" if evaluation.get("checkpoint") else ""


def once(protocols: Mapping[str, str]) -> list[str]:
    """What all protocols say, then what only some do, with the names of those that do.

    Args:
        protocols: by a model's name, sentences of clauses that end in semicolons; equal clauses are said once.
    """
    models_of: dict[str, list[str]] = {}
    ends: dict[str, str] = {}
    for model, text in protocols.items():
        for part in filter(None, PARTS.split(text.strip())):
            clause = part.rstrip(".;")
            ends.setdefault(clause, part[len(clause) :])
            if model not in models_of.setdefault(clause, []):
                models_of[clause].append(model)
    every = tuple(protocols)
    lines: dict[tuple[str, ...], str] = {every: ""}
    for clause, models in models_of.items():
        lines[tuple(models)] = f"{lines.get(tuple(models), '')} {clause}{ends[clause]}"
    return [
        ("" if models == every else f"{', '.join(models)}: ") + text.strip().rstrip(".;")
        for models, text in lines.items()
        if text
    ]
