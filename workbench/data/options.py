"""The options of methods that compare two views of an image. No torch."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from cyclopts import Parameter

from workbench.config import AUGMENTATION, TrainConfig

Transformation = Literal["crop", "cutout", "colour", "sobel", "noise", "blur", "rotation"]
TRANSFORMATIONS: tuple[Transformation, ...] = get_args(Transformation)  # in the order of the paper's figure


@dataclass(frozen=True, kw_only=True)
class TwoViewConfig(TrainConfig):
    """The options of every method that compares two views of an image."""

    composition: Annotated[tuple[Transformation, ...] | None, AUGMENTATION, Parameter(consume_multiple=True)] = None
    """Apply only these transformations, in this order, to one view and leave the other plain (SimCLR's study)."""
