"""Reconstructions that evaluation has stored, by model and variant, with their errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.reading import files
from app.reading.choice import Choice
from workbench.format import finite_number, format_count
from workbench.store import Probe

ARRAYS = {"reconstruction": "reconstruction", "decoder": "decoded"}  # how their arrays' names begin


@dataclass(frozen=True)
class Reconstruction:
    """One model's reconstructions: images uint8 (m, H, W, C) and their MSE (m,) on the scale [0, 1]."""

    label: str
    small: str
    colour: str
    images: np.ndarray
    mse: np.ndarray


def load(choice: Choice, task: str, model: str, variant: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Images and errors of a model and variant, or None where they are missing or do not fit each other."""
    images = files.pictures(choice.run.array(f"{ARRAYS[task]}-{model}-{variant}"))
    if images is None:
        return None
    mse = files.matrix(choice.run.array(f"{ARRAYS[task]}-error-{model}-{variant}"), (len(images),))
    return None if mse is None else (images, mse)


def variants(choice: Choice, task: str) -> list[str]:
    """The variants of a run that can be drawn, the default first."""
    evaluation = choice.run.evaluation(task)
    names = [row["variant"] for row in files.rows(evaluation, model="run") if isinstance(row.get("variant"), str)]
    return sorted(
        (variant for variant in dict.fromkeys(names) if load(choice, task, "run", variant)),
        key=lambda v: v != evaluation.get("default"),
    )


def originals(choice: Choice, task: str, probe: Probe | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Ids and images that a run was asked to draw."""
    ids, known = choice.run.array(f"{ARRAYS[task]}-ids"), probe.ids() if probe else None
    images = files.pictures(probe.images()) if probe else None
    if ids is None or known is None or images is None:
        return None
    place = {int(image): index for index, image in enumerate(known)}
    complete = all(int(i) in place for i in ids)
    return (np.asarray(ids), np.asarray(images[[place[int(i)] for i in ids]])) if complete else None


def same_ids(choice: Choice, task: str, ids: np.ndarray) -> bool:
    """Whether a run drew the images with these ids."""
    stored = choice.run.array(f"{ARRAYS[task]}-ids")
    return stored is not None and np.array_equal(stored, ids)


def gather(picked: dict[Choice, str], task: str) -> list[Reconstruction]:
    """Every model's reconstructions and those of the baselines, which all runs on the same data share."""
    reconstructions, baselines = [], {}
    for choice, picked_variant in picked.items():
        for row in files.rows(choice.run.evaluation(task)):
            model, variant, size = row["model"], str(row.get("variant", "")), size_of(choice, row)
            own = model == "run"
            if (own and variant != picked_variant) or (model, size) in baselines:
                continue
            arrays = load(choice, task, model, variant)
            if arrays:
                small = ", ".join(filter(None, (variant, size)))
                name, colour = (choice.label, choice.colour) if own else (model, "")
                reconstruction = Reconstruction(name, small, colour, *arrays)
                if own:
                    reconstructions.append(reconstruction)
                else:
                    baselines[model, size] = reconstruction
    shapes = {reconstruction.images.shape for reconstruction in reconstructions}
    same = [reconstruction for reconstruction in baselines.values() if shapes <= {reconstruction.images.shape}]
    return reconstructions + sorted(
        same,
        key=lambda reconstruction: (
            not reconstruction.label.startswith("untrained"),
            reconstruction.label == "mean image",
        ),
    )


def size_of(choice: Choice, row: dict[str, Any]) -> str:
    """What tells the baselines of two runs apart: a random network's size, the numbers that a decoder was given."""
    size = finite_number(choice.summary.get("parameters")) if row["model"].startswith("untrained") else None
    width = finite_number(row.get("width"))
    parts = (f"{format_count(size)} parameters" if size else "", f"{width:.0f} values" if width else "")
    return ", ".join(filter(None, parts))
