"""Fine-tuning: the whole network trained on labels, from the run's weights and from random ones."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.data.augment import Augmentation
from workbench.data.datasets import Split
from workbench.evaluation import fitting
from workbench.evaluation.context import Context, Row, accuracy
from workbench.evaluation.features import Material
from workbench.methods.base import Method
from workbench.metrics.paired import paired_proportions
from workbench.model import TrainedModel

WEIGHT_DECAY, CLIP, WARMUP = 0.05, 1.0, 0.1
RANDOM = "random init"


@dataclass(frozen=True)
class Recipe:
    """How long a network is trained, the same for every method and for random weights.

    Attributes:
        epochs: passes over the training images, for each peak learning rate.
        batch: images per step.
        lrs: peak learning rates, of which the validation split chooses one.
    """

    epochs: int
    batch: int
    lrs: tuple[float, ...]

    @classmethod
    def of(cls, device: torch.device) -> "Recipe":
        """Long enough for random weights to catch up where a GPU trains, a few minutes on a CPU."""
        return cls(5, 64, (5e-4, 2e-3)) if device.type == "cpu" else cls(50, 128, (2e-4, 1e-3, 5e-3))


@dataclass(frozen=True)
class Outcome:
    """The result of fine-tuning from one initialisation.

    Attributes:
        name: ``run`` or ``random init``.
        lr: the peak learning rate with the best validation accuracy.
        validation: accuracy there in %.
        predicted: (n,) classes of the test images.
    """

    name: str
    lr: float
    validation: float
    predicted: NDArray[np.int64]

    def row(self, labels: NDArray[np.int64]) -> Row:
        """Top-1 on the test images with its interval."""
        row = {"model": self.name, **accuracy(self.predicted, labels)}
        return row | {"base_lr": self.lr, "validation": self.validation}


def evaluate(context: Context) -> None:
    """Write ``finetune.json``, and the predictions of both networks."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("finetune", reason)
    train, val, views = len(material.train), len(material.val), fitting.crop_and_flip(material.dataset)
    protocol = protocol_of(context.model.device, f"{train:,}", f"{val:,}", fitting.describe(views))
    protocol += "; their difference by McNemar's test and Tango's interval on the same images."
    labels = np.asarray(material.test.labels)
    outcomes = finetune_both(context, material)
    own, random = (outcome.predicted for outcome in outcomes)
    difference, p_value = paired_proportions(own == labels, random == labels)
    context.run.write_array("finetuned-predicted", own)
    context.run.write_array("random-init-predicted", random)
    context.run.write_array("finetuned-ids", np.asarray(material.test.ids))
    context.run.write_array("finetuned-labels", labels)
    context.write(
        "finetune",
        protocol,
        len(labels),
        rows=[outcome.row(labels) | {"space": context.model.default} for outcome in outcomes],
        default=context.model.default,
        p_value=p_value,
        difference={key: 100.0 * bound for key, bound in difference._asdict().items()},
    )


def protocol_of(device: torch.device, train: str, val: str, views: str) -> str:
    """The protocol, without a full stop.

    Args:
        train, val: how many images there are.
        views: the augmentation.
    """
    recipe = Recipe.of(device)
    return (
        f"The whole network and a linear classifier on its default feature trained on {train} labelled images for "
        f"{recipe.epochs} epochs, batch {recipe.batch}, by AdamW (weight decay {WEIGHT_DECAY}, warm-up over "
        f"{100 * WARMUP:.0f} % of the steps, cosine, gradient norm at most {CLIP:g}) with {views}; the same network "
        f"from random weights beside it; peak learning rate of {len(recipe.lrs)} chosen for each on {val} validation "
        "images; 95 % Wilson interval over test images"
    )


def finetune_both(context: Context, material: Material) -> tuple[Outcome, Outcome]:
    """Fine-tune the run, and the same network from random weights, on images at the model's size and channels."""
    own = _best(context, "run", context.model, material)
    return own, _best(context, RANDOM, context.untrained_model, material)


def _best(context: Context, name: str, model: TrainedModel, material: Material) -> Outcome:
    """The outcome with the best learning rate on the validation split."""
    recipe, augmentation = Recipe.of(model.device), fitting.crop_and_flip(material.dataset)
    outcomes: list[Outcome] = []
    for lr in recipe.lrs:
        network = Classifier(model, material.class_count)
        steps = fitting.schedule(len(material.train), recipe.batch, recipe.epochs)
        tracked = context.track(steps, f"{name}, learning rate {lr:g}")
        fit(network, material.train, tracked, len(steps), lr, augmentation)
        correct = network.predict(material.val.images) == np.asarray(material.val.labels)
        outcomes.append(Outcome(name, lr, 100.0 * float(correct.mean()), network.predict(material.test.images)))
    return max(outcomes, key=lambda outcome: outcome.validation)


class Classifier(nn.Module):
    """A copy of a model's networks, all of them trainable, and a linear layer on the default feature.

    Args:
        model: the initial weights; it is not changed.
        classes: number of outputs.
    """

    def __init__(self, model: TrainedModel, classes: int) -> None:
        super().__init__()
        self.default, self.device = model.default, model.device
        blank = torch.zeros(1, model.images.channels, model.images.size, model.images.size, device=model.device)
        width = fitting.default_encoder(model)(blank).shape[1]
        self.method: Method = copy.deepcopy(model.method).requires_grad_(True)
        self.head = nn.Linear(width, classes).to(model.device)
        nn.init.zeros_(self.head.weight)  # so that the first gradients leave the features alone
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of float images (B, C, H, W) in [0, 1]."""
        return self.head(self.method.encode(images)[self.default].float())

    @torch.no_grad()
    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Classes (n,) of uint8 images (n, H, W, C)."""
        self.eval()
        return fitting.encode(self, images, self.device).argmax(dim=1).cpu().numpy()


def fit(
    network: Classifier,
    train: Split,
    schedule: Iterable[tuple[int, Tensor]],
    steps: int,
    lr: float,
    augmentation: Augmentation,
) -> None:
    """Train a classifier in place.

    Args:
        schedule: epoch and rows of each step.
        steps: how many there are.
        lr: the peak learning rate.
    """
    network.train()
    device = network.device
    images, labels = fitting.tensor(train.images, device), torch.from_numpy(np.array(train.labels)).to(device)
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=lr)
    warmup = max(1.0, WARMUP * steps)
    for step, (epoch, rows) in enumerate(schedule):
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / warmup) * fitting.cosine(step, steps)
        keys, rows = fitting.keys_of(train.ids[rows.numpy()], epoch, device), rows.to(device)
        loss = F.cross_entropy(network(augmentation(images[rows], keys)), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
