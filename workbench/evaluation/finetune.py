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
from workbench.evaluation.context import Context, Row
from workbench.evaluation.model import TrainedModel
from workbench.methods.base import Method
from workbench.metrics.paired import mcnemar, paired_difference

WEIGHT_DECAY, CLIP, WARMUP = 0.05, 1.0, 0.1
RANDOM = "random init"


@dataclass(frozen=True)
class Recipe:
    """How long a network is trained, the same for every method and for random weights.

    Attributes:
        epochs: passes over the training images, for each base learning rate.
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


def evaluate(context: Context) -> None:
    """Write ``finetune.json``, and the classes that both networks tell."""
    material = context.material
    if reason := material.unlabelled():
        return context.skip("finetune", reason)
    recipe = Recipe.of(context.model.device)
    augmentation = fitting.crop_and_flip(material.dataset)
    protocol = (
        f"The whole network and a linear classifier on its default feature trained on {len(material.train):,} labelled "
        f"images for {recipe.epochs} epochs, batch {recipe.batch}, by AdamW (weight decay {WEIGHT_DECAY}, warm-up over "
        f"{100 * WARMUP:.0f} % of the steps, cosine, gradient norm at most {CLIP:g}) with "
        f"{fitting.described(augmentation)}; the same network from random weights beside it; peak learning rate of "
        f"{len(recipe.lrs)} chosen for each on {len(material.val):,} validation images; 95 % bootstrap interval over "
        "test images; p by McNemar's test on the same images."
    )
    labels = np.asarray(material.test.labels)
    rows: list[Row] = []
    predicted: dict[str, NDArray[np.int64]] = {}
    for name, model in (("run", context.model), (RANDOM, context.untrained_model)):
        lr, validation, predicted[name] = _best(context, name, model, recipe, augmentation)
        row: Row = {"model": name, "space": model.default} | fitting.accuracy(predicted[name], labels)
        rows.append(row | {"base_lr": lr, "validation": validation})
    right, random_right = (predicted[name] == labels for name in ("run", RANDOM))
    difference = paired_difference(100.0 * right, 100.0 * random_right)
    for array, values in (
        ("finetuned-predicted", predicted["run"]),
        ("random-init-predicted", predicted[RANDOM]),
        ("finetuned-ids", np.asarray(material.test.ids)),
        ("finetuned-labels", labels),
    ):
        context.run.write_array(array, values)
    context.write(
        "finetune",
        protocol,
        len(labels),
        rows=rows,
        default=context.model.default,
        p_value=mcnemar(right, random_right),
        difference=difference._asdict(),
    )


def _best(
    context: Context, name: str, model: TrainedModel, recipe: Recipe, augmentation: Augmentation
) -> tuple[float, float, NDArray[np.int64]]:
    """The learning rate that validation prefers, its validation accuracy in %, and what it predicts on test images."""
    material = context.material
    found: list[tuple[float, float, NDArray[np.int64]]] = []
    for lr in recipe.lrs:
        network = Classifier(model, len(material.dataset.classes or ()))
        steps = fitting.schedule(len(material.train), recipe.batch, recipe.epochs)
        fit(
            network, material.train, context.track(steps, f"{name}, learning rate {lr:g}"), len(steps), lr, augmentation
        )
        right = network.predict(material.val.images) == np.asarray(material.val.labels)
        found.append((lr, 100.0 * float(right.mean()), network.predict(material.test.images)))
    return max(found, key=lambda one: one[1])


class Classifier(nn.Module):
    """A copy of a model's networks, all of them trainable, and a linear layer on the default feature.

    Args:
        model: what to start from; it is left as it is.
        classes: outputs.
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
        return fitting.encoded(self, images, self.device).argmax(dim=1).cpu().numpy()


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
