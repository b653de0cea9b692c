"""What several evaluations say of how they were made, each thing once."""

import re
from collections.abc import Mapping

PARTS = re.compile(r"(?<=\.) (?=[A-Z]|95 %)|(?<=;) ")  # between sentences, and between their clauses


def once(protocols: Mapping[str, str]) -> list[str]:
    """What all protocols say, then what only some do, with the names of those that do.

    Args:
        protocols: by a model's name, sentences of which clauses end in semicolons; the same ones say the same thing.
    """
    who: dict[str, list[str]] = {}
    ends: dict[str, str] = {}
    for model, text in protocols.items():
        for part in filter(None, PARTS.split(text.strip())):
            said = part.rstrip(".;")
            ends.setdefault(said, part[len(said) :])
            if model not in who.setdefault(said, []):
                who[said].append(model)
    told: dict[tuple[str, ...], str] = {tuple(protocols): ""}
    for said, models in who.items():
        told[tuple(models)] = f"{told.get(tuple(models), '')} {said}{ends[said]}"
    return [
        ("" if models == tuple(protocols) else f"{', '.join(models)}: ") + text.strip().rstrip(".;")
        for models, text in told.items()
        if text
    ]
