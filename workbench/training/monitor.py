"""What is watched while a model trains: kNN accuracy on the validation split, and gradient norms."""

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data import augment, loader
from workbench.data.datasets import Dataset, Split
from workbench.methods.base import Method, evaluation_mode
from workbench.metrics.knn import knn_predict

BANK, QUERIES, NEIGHBOURS, TEMPERATURE = 4000, 1000, 20, 0.07


class KNNMonitor:
    """Weighted kNN of the method's default feature: up to 4,000 training images vote on up to 1,000 validation images.

    Args:
        dataset: needs labels; test images are never touched.
    """

    def __init__(self, dataset: Dataset, batch_size: int, device: torch.device) -> None:
        assert dataset.classes is not None
        self.classes, self.batch_size, self.device = len(dataset.classes), batch_size, device
        self.bank, self.queries = _spread(dataset.train, BANK), _spread(dataset.val, QUERIES)

    def __call__(self, method: Method) -> float:
        """Top-1 accuracy in percent."""
        with evaluation_mode(method):
            bank, queries = self._features(method, self.bank), self._features(method, self.queries)
        assert self.bank.labels is not None and self.queries.labels is not None
        predicted = knn_predict(
            bank, np.asarray(self.bank.labels), queries, self.classes, k=NEIGHBOURS, temperature=TEMPERATURE
        )
        return 100.0 * float((predicted == self.queries.labels).mean())

    def _features(self, method: Method, split: Split) -> np.ndarray:
        parts = [
            method.encode(augment.to_float(images))[method.default_feature].float().cpu()
            for images, _, _ in loader.ordered(split, self.batch_size, self.device)
        ]
        return torch.cat(parts).numpy()


def _spread(split: Split, n: int) -> Split:
    """At most n samples, evenly over the split."""
    chosen = np.linspace(0, len(split) - 1, min(n, len(split))).astype(int)
    return split.take(chosen)


def gradient_norms(method: nn.Module, first: nn.Module, last: nn.Module) -> dict[str, Tensor]:
    """Euclidean norms of the gradient: of everything, of the first and of the last block."""
    names = {"grad_norm": method, "grad_norm/first": first, "grad_norm/last": last}
    norms = {}
    for name, module in names.items():
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        if gradients:
            norms[name] = torch.nn.utils.get_total_norm(gradients)
    return norms


def submodule(method: nn.Module, path: str) -> nn.Module:
    """A submodule by dotted path; unlike torch's, an index may be negative."""
    module: nn.Module = method
    for part in path.split("."):
        module = module[int(part)] if part.lstrip("-").isdigit() else getattr(module, part)  # type: ignore[index]
    return module
