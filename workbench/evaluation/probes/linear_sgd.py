"""The linear probe as MoCo v3's authors run it: SGD on the features of cropped and mirrored images.

Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers", ICCV 2021, section 4.1 and
appendix: SGD with momentum 0.9 and no weight decay, cosine, weights drawn from N(0, 0.01^2), the encoder frozen and in
evaluation mode, the base learning rate swept. All learning rates are trained side by side, one head each, on the same
features, so that the encoder runs once. Two things differ, so that one sweep fits features of any scale and small
images: features are standardised with fixed statistics, and crops of small images keep more of the area.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.data.augment import Augmentation
from workbench.evaluation import fitting
from workbench.evaluation.context import Context, Row, accuracy
from workbench.evaluation.features import flat_pixels
from workbench.evaluation.fitting import Encoder

BASE_LRS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
MOMENTUM, INITIAL_DEVIATION = 0.9, 0.01


@dataclass(frozen=True)
class Recipe:
    """How long a probe is trained.

    Attributes:
        epochs: passes over the training images.
        crops: random crops of each image, used in turn; the encoder runs once for each.
        batch: images per step; the learning rate is base lr x batch / 256.
    """

    epochs: int
    crops: int
    batch: int

    @classmethod
    def of(cls, device: torch.device) -> "Recipe":
        """The published 90 epochs of batch 1024; on a CPU a recipe of about two minutes."""
        return cls(40, 4, 128) if device.type == "cpu" else cls(90, 15, 1024)


def evaluate(context: Context) -> None:
    """Write ``linear_sgd.json``."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("linear_sgd", reason)
    recipe = Recipe.of(context.model.device)
    augmentation = fitting.crop_and_flip(material.dataset)
    protocol = (
        f"Linear classifier by SGD (momentum {MOMENTUM}, no weight decay, cosine, no warm-up, batch {recipe.batch}) on "
        f"the frozen default features of {len(material.train):,} training images, {recipe.epochs} epochs over "
        f"{recipe.crops} views of each by {fitting.describe(augmentation)}; features shifted and scaled by mean and "
        f"deviation of the training images, once; base learning rate of {len(BASE_LRS)} chosen on "
        f"{len(material.val):,} validation images; 95 % Wilson interval over test images."
    )
    rows: list[Row] = []
    for name, model in (("run", context.model), (f"untrained:{context.method}", context.untrained_model)):
        row = _measure(context, recipe, augmentation, name, fitting.default_encoder(model))
        rows.append({"model": name, "space": model.default, **row})

    def pixels() -> list[Row]:
        return [{"space": "pixels", **_measure(context, recipe, augmentation, "pixels", flat_pixels)}]

    rows += context.shared_rows("linear_sgd", protocol, pixels)
    context.write("linear_sgd", protocol, len(material.test), rows=rows, default=context.model.default)


def _measure(context: Context, recipe: Recipe, augmentation: Augmentation, name: str, encoder: Encoder) -> Row:
    material, device = context.material, context.model.device
    images = fitting.tensor(material.train.images, device)
    plain = fitting.encode(encoder, material.train.images, device)
    mean, deviation = plain.mean(dim=0), plain.std(dim=0).clamp_min(1e-6)
    views = []
    for crop in context.track(range(recipe.crops), f"views through {name}"):
        keys = fitting.keys_of(material.train.ids, crop, device)
        parts = zip(images.split(fitting.READ), keys.split(fitting.READ), strict=True)
        views.append((torch.cat([encoder(augmentation(*part)) for part in parts]) - mean) / deviation)
    labels = torch.from_numpy(np.array(material.train.labels)).to(device)
    heads = fit_heads(views, labels, material.class_count, recipe)
    val, test = (
        _predict(heads, (fitting.encode(encoder, split.images, device) - mean) / deviation)
        for split in (material.val, material.test)
    )
    scores = (val == np.asarray(material.val.labels)).mean(axis=1)
    best = int(scores.argmax())
    row = accuracy(test[best], np.asarray(material.test.labels))
    return row | {"base_lr": BASE_LRS[best], "validation": 100 * float(scores[best]), "dim": plain.shape[1]}


def fit_heads(
    views: list[Tensor], labels: Tensor, classes: int, recipe: Recipe, base_lrs: tuple[float, ...] = BASE_LRS
) -> list[nn.Linear]:
    """One linear classifier per base learning rate, trained side by side; they do not influence one another.

    Args:
        views: features (n, D) of the same n images in different views, one of which is used per epoch.
        labels: (n,) int64.
    """
    torch.manual_seed(fitting.SEED)
    first = nn.Linear(views[0].shape[1], classes)
    nn.init.normal_(first.weight, std=INITIAL_DEVIATION)
    nn.init.zeros_(first.bias)
    heads = [copy.deepcopy(first).to(labels.device) for _ in base_lrs]
    groups = [{"params": head.parameters()} for head in heads]
    optimiser = torch.optim.SGD(groups, lr=1.0, momentum=MOMENTUM)
    schedule = fitting.schedule(len(labels), recipe.batch, recipe.epochs)
    for step, (epoch, rows) in enumerate(schedule):
        rows = rows.to(labels.device)
        for group, base in zip(optimiser.param_groups, base_lrs, strict=True):
            group["lr"] = base * len(rows) / 256 * fitting.cosine(step, len(schedule))
        features, target = views[epoch % len(views)][rows], labels[rows]
        loss = torch.stack([F.cross_entropy(of_head, target) for of_head in _logits(heads, features)]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return heads


def _logits(heads: list[nn.Linear], features: Tensor) -> tuple[Tensor, ...]:
    """(n, classes) of each head, in one product."""
    weight, bias = torch.cat([head.weight for head in heads]), torch.cat([head.bias for head in heads])
    return F.linear(features, weight, bias).chunk(len(heads), dim=1)


@torch.no_grad()
def _predict(heads: list[nn.Linear], features: Tensor) -> NDArray[np.int64]:
    """Classes (heads, n)."""
    return torch.stack([logits.argmax(dim=1) for logits in _logits(heads, features)]).cpu().numpy()
