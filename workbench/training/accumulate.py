"""Gradient accumulation: a batch is computed in parts, one after the other, with the memory of one part.

A contrastive loss couples all images of a batch, so the mean of the parts' losses would have fewer negatives. Here the
encoder's outputs of all parts are computed without gradient, then the loss of the whole batch and its gradient with
respect to the outputs, and then each part once more, with the gradient of its outputs (Gao et al.,
"Scaling deep contrastive learning batch size under memory limited setup", 2021). Loss and gradients are those of the
whole batch for encoders whose outputs belong to one image alone; BatchNorm in an encoder sees a part as its batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.methods.base import Batch, Method, Step
from workbench.methods.capabilities import Couples


def split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in equal parts.

    Raises:
        WorkbenchError: the batch cannot be divided evenly.
    """
    n = len(batch.keys)
    if n % parts:
        raise WorkbenchError(
            f"A batch of {n} images cannot be divided into {parts} equal parts; choose another --accumulate."
        )

    def chunks(tensor: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None,) * parts if tensor is None else tensor.chunk(parts)

    views = zip(*(view.chunk(parts) for view in batch.views), strict=True)
    return [
        replace(batch, views=view, keys=keys, labels=labels)
        for view, keys, labels in zip(views, batch.keys.chunk(parts), chunks(batch.labels), strict=True)
    ]


def step_in_parts(
    method: Method,
    batch: Batch,
    progress: float,
    parts: int,
    backward: Callable[[Tensor], None],
    reseed: Callable[[int], None],
) -> Step:
    """Loss of a batch, with its gradients added to the parameters'.

    Args:
        backward: computes the gradients of a loss.
        reseed: called with a part's number before its networks run, so that dropout is the same in both passes.
    """
    if isinstance(method, Couples):
        return _coupled(method, batch, parts, backward, reseed)
    steps: list[Step] = []
    for index, part in enumerate(split(batch, parts)):
        reseed(index)
        step = method(part, progress)
        backward(step.loss / parts)
        steps.append(Step(step.loss.detach(), step.logs))
    logs = {name: torch.stack([step.logs[name] for step in steps]).mean() for name in steps[0].logs}
    return Step(torch.stack([step.loss for step in steps]).mean(), logs)


def _coupled(
    method: Couples, batch: Batch, parts: int, backward: Callable[[Tensor], None], reseed: Callable[[int], None]
) -> Step:
    batches = split(batch, parts)
    embeddings = []
    with torch.no_grad(), _frozen_statistics(method):
        for index, part in enumerate(batches):
            reseed(index)
            embeddings.append(method.embed(part.views))
    keys = [method.embed_keys(part.views) for part in batches]
    whole = tuple(torch.cat(of_view).requires_grad_() for of_view in zip(*embeddings, strict=True))
    reseed(parts)
    step = method.objective(batch, whole, tuple(torch.cat(of_view) for of_view in zip(*keys, strict=True)))
    backward(step.loss)
    gradients = zip(*(embedding.grad.chunk(parts) for embedding in whole if embedding.grad is not None), strict=True)
    for index, (part, gradient) in enumerate(zip(batches, gradients, strict=True)):
        reseed(index)
        outputs = method.embed(part.views)
        backward(torch.stack([(output * grad).sum() for output, grad in zip(outputs, gradient, strict=True)]).sum())
    return Step(step.loss.detach(), step.logs)


@contextmanager
def _frozen_statistics(method: object) -> Iterator[None]:
    """Context in which BatchNorm's running statistics do not change, so that a part that runs twice counts once."""
    assert isinstance(method, nn.Module)
    norms = [part for part in method.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [part.momentum for part in norms]
    for part in norms:
        part.momentum = 0.0
    try:
        yield
    finally:
        for part, momentum in zip(norms, momenta, strict=True):
            part.momentum = momentum
