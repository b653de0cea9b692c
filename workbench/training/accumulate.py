"""A step whose batch is computed in parts, one after the other, so that it needs the memory of one part.

A contrastive loss couples all images of a batch, so that the mean of the parts' losses would know fewer negatives.
Here the encoder's outputs of all parts are computed without gradient, the loss and its gradient with respect to them
on the whole batch, and then each part once more, now with the gradient that its outputs were given (Gao et al.,
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
        WorkbenchError: it cannot be cut evenly.
    """
    n = len(batch.keys)
    if n % parts:
        raise WorkbenchError(
            f"A batch of {n} images cannot be cut into {parts} equal parts; choose another --accumulate."
        )

    def cut(tensor: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None,) * parts if tensor is None else tensor.chunk(parts)

    views = zip(*(view.chunk(parts) for view in batch.views), strict=True)
    return [
        replace(batch, views=view, keys=keys, labels=labels)
        for view, keys, labels in zip(views, batch.keys.chunk(parts), cut(batch.labels), strict=True)
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
        backward: what to do with a loss.
        reseed: called with a part's number before its networks run, so that dropout is the same in both passes.
    """
    if isinstance(method, Couples):
        return _coupled(method, batch, parts, backward, reseed)
    found: list[Step] = []
    for index, part in enumerate(split(batch, parts)):
        reseed(index)
        step = method(part, progress)
        backward(step.loss / parts)
        found.append(Step(step.loss.detach(), step.logs))
    logs = {name: torch.stack([step.logs[name] for step in found]).mean() for name in found[0].logs}
    return Step(torch.stack([step.loss for step in found]).mean(), logs)


def _coupled(
    method: Couples, batch: Batch, parts: int, backward: Callable[[Tensor], None], reseed: Callable[[int], None]
) -> Step:
    cut = split(batch, parts)
    embeddings, keys = [], []
    with torch.no_grad(), _statistics_kept(method):
        for index, part in enumerate(cut):
            reseed(index)
            embeddings.append(method.embed(part.views))
    for part in cut:
        keys.append(method.embed_keys(part.views))
    whole = tuple(torch.cat(of_view).requires_grad_() for of_view in zip(*embeddings, strict=True))
    reseed(parts)
    step = method.objective(batch, whole, tuple(torch.cat(of_view) for of_view in zip(*keys, strict=True)))
    backward(step.loss)
    gradients = zip(*(embedding.grad.chunk(parts) for embedding in whole if embedding.grad is not None), strict=True)
    for index, (part, gradient) in enumerate(zip(cut, gradients, strict=True)):
        reseed(index)
        outputs = method.embed(part.views)
        backward(torch.stack([(out * given).sum() for out, given in zip(outputs, gradient, strict=True)]).sum())
    return Step(step.loss.detach(), step.logs)


@contextmanager
def _statistics_kept(method: object) -> Iterator[None]:
    """Context in which BatchNorm follows no batch, so that a part that is run twice counts once."""
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
