"""Batches, augmentation and encoding, for the evaluations that train a model."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.data import keyed
from workbench.data.arrays import channels_first
from workbench.data.augment import Augmentation, to_float
from workbench.data.datasets import Dataset
from workbench.methods.base import evaluation_mode
from workbench.model import TrainedModel

SEED = 0
READ = 128  # images encoded at a time
SMALL = 64  # pixels
UNMIRRORED = ("digits", "mnist")  # whose mirror images mean something else or nothing
Encoder = Callable[[Tensor], Tensor]  # float images (B, C, H, W) in [0, 1] -> features (B, D)


def crop_and_flip(dataset: Dataset) -> Augmentation:
    """Random resized crops and, where a mirror image keeps its class, flips: what the paper's probe is trained with.

    The paper's crops keep at least 8 % of an image of 224 px; of a small one that would be a few pixels.
    Whether images are mirrored depends on the data and not on a run's own ``flip``, so that all runs on the same data
    are probed alike.
    """
    flip = 0.0 if dataset.name in UNMIRRORED else 0.5
    crop_min = 0.08 if dataset.size > SMALL else 0.3
    return Augmentation(size=dataset.size, crop_min=crop_min, flip=flip, jitter=0.0, grey=0.0)


def describe(augmentation: Augmentation) -> str:
    """The augmentation in words, for a protocol."""
    flips = "flips" if augmentation.flip else "no flips, which change what these images mean"
    return f"random resized crops of at least {100 * augmentation.crop_min:.0f} % of the area and {flips}"


def tensor(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 images (n, H, W, C) as (n, C, H, W) on a device."""
    return channels_first(images).to(device)


def keys_of(ids: NDArray[np.int64], epoch: int, device: torch.device) -> Tensor:
    """Random keys (n,) of images in an epoch, from their ids."""
    return keyed.fork(keyed.sample_keys(SEED, epoch, torch.from_numpy(np.array(ids)).to(device)), "fitting")


def schedule(n: int, batch: int, epochs: int) -> list[tuple[int, Tensor]]:
    """Epoch and rows (B,) of each step, reshuffled every epoch; an incomplete last batch is dropped if not alone."""
    batch = min(batch, n)
    orders = [keyed.permutation(SEED, epoch, n) for epoch in range(epochs)]
    starts = range(0, n - batch + 1, batch)
    return [(epoch, order[start : start + batch]) for epoch, order in enumerate(orders) for start in starts]


def cosine(step: int, steps: int) -> float:
    """The share of the peak learning rate at a step, counted from 0: a cosine to zero (Loshchilov and Hutter 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * step / steps))


def default_encoder(model: TrainedModel) -> Encoder:
    """The features of a model's default space, without gradient."""

    def encode(images: Tensor) -> Tensor:
        with evaluation_mode(model.method):
            return model.method.encode(images)[model.default].float()

    return encode


def encode(encoder: Encoder, images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Features (n, D) float32 of images without augmentation, on the device."""
    starts = range(0, len(images), READ)
    parts = [encoder(to_float(tensor(images[start : start + READ], device))) for start in starts]
    return torch.cat(parts).clone()  # outside of inference mode, so that gradients may pass through
