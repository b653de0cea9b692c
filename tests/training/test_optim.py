"""Optimisers against the published steps, written out once more in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.config import OptimOptions
from workbench.training.optim import build

SHAPES = ((5, 7), (7,), (3, 2, 3, 3), (2, 2))
STEPS = 6


class Weights(nn.Module):
    """A matrix, a vector, a kernel and a matrix of zeros, on which scaled steps are not defined."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.ParameterList(
            torch.randn(shape, generator=generator, dtype=torch.float64) * (shape != (2, 2)) for shape in SHAPES
        )
        self.frozen = nn.Parameter(torch.ones(3, dtype=torch.float64), requires_grad=False)


def gradients(step: int) -> list[np.ndarray]:
    generator = np.random.default_rng(step)
    return [generator.normal(size=shape) for shape in SHAPES]


def ours(options: OptimOptions) -> list[np.ndarray]:
    module = Weights()
    optimiser = build(module, options, torch.device("cpu"))
    assert id(module.frozen) not in {id(p) for group in optimiser.param_groups for p in group["params"]}
    for step in range(STEPS):
        for weight, gradient in zip(module.weights, gradients(step), strict=True):
            weight.grad = torch.from_numpy(gradient)
        for group in optimiser.param_groups:
            group["lr"] = rate(options, step)
        optimiser.step()
    return [weight.detach().numpy() for weight in module.weights]


def rate(options: OptimOptions, step: int) -> float:
    return options.lr * (1 + step)


def start() -> list[np.ndarray]:
    return [weight.detach().numpy().copy() for weight in Weights().weights]


def lars(options: OptimOptions) -> list[np.ndarray]:
    """facebookresearch/moco-v3 c349e6e, moco/optimizer.py, in words: decay and trust ratio for ndim > 1 alone."""
    weights, velocities = start(), [np.zeros(shape) for shape in SHAPES]
    for step in range(STEPS):
        for i, gradient in enumerate(gradients(step)):
            w = weights[i]
            if w.ndim > 1:
                gradient = gradient + options.weight_decay * w
                norm, size = np.sqrt((w**2).sum()), np.sqrt((gradient**2).sum())
                gradient = gradient * (options.trust * norm / size if norm > 0 and size > 0 else 1.0)
            velocities[i] = options.momentum * velocities[i] + gradient
            weights[i] = w - rate(options, step) * velocities[i]
    return weights


def lamb(options: OptimOptions) -> list[np.ndarray]:
    """You et al. 2020, algorithm 2, with phi the identity."""
    weights, m, v = start(), [np.zeros(s) for s in SHAPES], [np.zeros(s) for s in SHAPES]
    for step in range(STEPS):
        for i, gradient in enumerate(gradients(step)):
            m[i] = 0.9 * m[i] + 0.1 * gradient
            v[i] = options.beta2 * v[i] + (1 - options.beta2) * gradient**2
            ratio = (m[i] / (1 - 0.9 ** (step + 1))) / (np.sqrt(v[i] / (1 - options.beta2 ** (step + 1))) + 1e-6)
            update = ratio + options.weight_decay * weights[i]
            norm, size = np.linalg.norm(weights[i]), np.linalg.norm(update)
            weights[i] = weights[i] - rate(options, step) * update * (norm / size if norm > 0 and size > 0 else 1.0)
    return weights


@pytest.mark.parametrize(("name", "published"), [("lars", lars), ("lamb", lamb)])
def test_steps_are_the_published_ones(name, published) -> None:
    options = OptimOptions(name=name, lr=0.03, weight_decay=0.02, trust=0.01)
    for found, expected in zip(ours(options), published(options), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["adamw", "lamb", "sgd"])
def test_vectors_can_be_left_out_of_the_decay(name) -> None:
    decayed, spared, without = (
        ours(OptimOptions(name=name, lr=0.01, weight_decay=decay, decay_vectors=vectors))
        for decay, vectors in ((0.3, True), (0.3, False), (0.0, True))
    )
    np.testing.assert_array_equal(spared[1], without[1])
    np.testing.assert_array_equal(spared[0], decayed[0])
    assert not np.allclose(spared[1], decayed[1]) and not np.allclose(spared[0], without[0])
