"""The predictions, samplers and observation models by name. No torch."""

from typing import Literal, get_args

Prediction = Literal["eps", "x0", "v", "score"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)
Sampler = Literal["ancestral", "ddim", "dpm-solver++"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
ObservationName = Literal["gaussian", "bernoulli", "logistic", "logistic_mixture"]
