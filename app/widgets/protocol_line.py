"""How the numbers of a figure were measured, in one line."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

PARTS = re.compile(r"(?<=\.) (?=[A-Z]|95 %)|(?<=;) ")  # between sentences, and between their clauses


def describe(evaluations: Iterable[tuple[str, dict[str, Any]]], *more: str) -> str:
    """Protocol, split, n, seeds and checkpoint of evaluations, each once.

    Args:
        evaluations: with the label of the run; what only some of them say of their protocol follows their labels.
        more: further parts of the line.
    """
    evaluations = list(evaluations)
    texts = {label: str(evaluation.get("protocol") or "") for label, evaluation in evaluations}
    parts = once({label: text for label, text in texts.items() if text})
    for part in (_split, _n, _seeds, _checkpoint):
        parts.append(" / ".join(dict.fromkeys(filter(None, (part(evaluation) for _, evaluation in evaluations)))))
    return " · ".join(part for part in (*parts, *more) if part)


def _split(evaluation: dict[str, Any]) -> str:
    split = evaluation.get("split")
    return {"probe": "probe set", "none": "", None: ""}.get(split, f"{split} split")


def _n(evaluation: dict[str, Any]) -> str:
    return f"n = {evaluation['n']:,}" if isinstance(evaluation.get("n"), int) else ""


def _seeds(evaluation: dict[str, Any]) -> str:
    seeds = evaluation.get("seeds")
    return f"{len(seeds)} seed{'s' * (len(seeds) > 1)}" if isinstance(seeds, list) and seeds else ""


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
