"""The configuration of ``score``."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from workbench.config import Range
from workbench.methods.configs._continuous import ContinuousConfig


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(ContinuousConfig):
    """Options of score matching."""

    sde: Literal["vp", "ve"] = "vp"
    """Noising process: variance-preserving or variance-exploding."""
    sigma_min: Annotated[float, Range(above=0)] = 0.01
    """Least standard deviation of the noise of ve, for pixels in [-1, 1]."""
    sigma_max: Annotated[float | None, Range(above=0)] = None
    """Greatest standard deviation of the noise of ve; by default the square root of pixels times channels."""
    weighting: Literal["simple", "likelihood"] = "simple"
    """Times at which the noise is predicted: uniform in t, or in gamma, which is the bound on the likelihood."""
    dequantise: bool = True
    """Spread every pixel over its bin in training, as the likelihood takes it."""
    corrector_steps: Annotated[int, Range(0)] = 1
    """Langevin steps after each step of the predictor."""
    corrector_snr: Annotated[float, Range(above=0)] = 0.16
    """Signal-to-noise ratio r of a Langevin step."""
    ode_tolerance: Annotated[float, Range(above=0)] = 1e-5
    """Absolute and relative tolerance of a step of the probability-flow ODE."""
    sampler: Literal["pc", "ode"] = "pc"
    """Default sampler: predictor-corrector, or the probability-flow ODE."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        presets = super().presets(size)
        return presets | {"cpu": presets["cpu"] | {"ode_tolerance": 1e-3}}  # a tenth of the evaluations
