"""The words and units of what models are compared by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A measure in sentences.

    Attributes:
        noun, plural: what of a model is measured.
        more, less: how a larger and a smaller value compare.
        unit: of a value.
        step: unit of a difference.
        digits: after the point.
    """

    noun: str
    plural: str
    more: str
    less: str
    unit: str
    step: str
    digits: int = 1


ACCURATE = ("more accurate", "less accurate", "%", "points")
SENTENCES = {
    "linear": Measure("linear probe", "linear probes", *ACCURATE),
    "knn": Measure("kNN classifier", "kNN classifiers", *ACCURATE),
    "factors": Measure("mean factor score", "mean factor scores", "higher", "lower", "%", "points"),
    "reconstruction": Measure("reconstruction PSNR", "reconstruction PSNRs", "higher", "lower", "dB", "dB"),
    "likelihood": Measure(
        "number of bits per dimension", "numbers of bits per dimension", "higher", "lower", "bits/dim", "bits/dim", 2
    ),
}
"""By key of a measure, as in ``workbench compare`` where it has it."""
