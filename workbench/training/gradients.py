"""Gradient norms of every layer at every step, kept on the device and read once per row of metrics."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from workbench.methods.base import Method

NORMS = (nn.LayerNorm, nn.BatchNorm1d)
TOTAL, FIRST, LAST = 0, 1, 2  # rows before those of the layers


class GradientRow(NamedTuple):
    """Euclidean norms of the gradient, before clipping.

    Attributes:
        norms: ``grad_norm``, ``grad_norm/first`` and ``grad_norm/last`` of the last step.
        layers: a row of ``gradients.jsonl``: ``norm``, of the last step by layer; ``max``, the highest since the last
            row of the whole gradient, the first block and each layer; ``ago``, how many steps ago each of these was.
    """

    norms: dict[str, float]
    layers: dict[str, list[float]]


class GradientWatch:
    """Records gradient norms of a method's layers; only :meth:`pop` and :meth:`state` wait for the device."""

    def __init__(self, method: Method, device: torch.device) -> None:
        by_layer = layers(method)
        self.names = list(by_layer)
        self.parameters = [parameter for group in by_layer.values() for parameter in group]
        place = {id(parameter): index for index, parameter in enumerate(self.parameters)}
        first, last = (submodule(method, path).parameters() for path in (method.first_block, method.last_block))
        groups = [[place[id(p)] for p in group if id(p) in place] for group in (self.parameters, first, last)]
        groups += [[place[id(parameter)] for parameter in group] for group in by_layer.values()]
        widest, padding = max(map(len, groups)), len(self.parameters)
        rows = [group + [padding] * (widest - len(group)) for group in groups]
        self.groups = torch.tensor(rows, device=device)  # (groups, parameters in the widest)
        self.zero = torch.zeros((), device=device)
        self._begin()

    def _begin(self) -> None:
        self.steps = 0
        self.norms = torch.zeros(len(self.groups), device=self.zero.device)
        self.highest, self.at = torch.zeros_like(self.norms), torch.ones_like(self.norms)

    @torch.no_grad()
    def update(self) -> None:
        """Record the gradients of one more step."""
        grads = [parameter.grad for parameter in self.parameters]
        computed = iter(torch._foreach_norm([grad for grad in grads if grad is not None]))  # pyright: ignore[reportPrivateImportUsage]
        norms = [self.zero if grad is None else next(computed).float() for grad in grads]
        squares = torch.stack([*norms, self.zero]).square()
        self.steps += 1
        self.norms = squares[self.groups].sum(dim=1).sqrt()
        higher = self.norms > self.highest
        self.highest = torch.where(higher, self.norms, self.highest)
        self.at = self.at.masked_fill(higher, self.steps)

    def pop(self) -> GradientRow:
        """The row since the last one; begins a new one. Waits for the device."""
        moved, steps = torch.stack([self.norms, self.highest, self.at]).tolist(), self.steps
        self._begin()
        now, highest, at = moved
        norms = {"grad_norm": now[TOTAL], "grad_norm/first": now[FIRST], "grad_norm/last": now[LAST]}
        rows = [TOTAL, FIRST, *range(LAST + 1, len(now))]
        row = {
            "norm": [_short(value) for value in now[LAST + 1 :]],
            "max": [_short(highest[index]) for index in rows],
            "ago": [steps - int(at[index]) for index in rows],
        }
        return GradientRow(norms, row)

    def state(self) -> dict[str, Any]:
        """The state between two rows as plain numbers, for a resume."""
        return {"steps": self.steps, "highest": self.highest.tolist(), "at": self.at.tolist()}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`; the state of other layers is ignored."""
        if len(state["highest"]) == len(self.groups):
            self.steps = int(state["steps"])
            self.highest, self.at = (torch.tensor(state[key], device=self.zero.device) for key in ("highest", "at"))


def layers(method: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trained parameters by layer, each in exactly one, in the networks' order.

    A layer is a part of a network (``backbone.patch_embed``, ``unet.conv_in``), a numbered block
    (``backbone.blocks.3``, ``encoder.2``), a whole MLP head (``projector``), or a parameter by itself
    (``backbone.cls_token``).
    """
    by_layer: dict[str, list[nn.Parameter]] = {}
    assigned = set[int]()
    for path, part in _parts("", method, 0):
        own = [part] if isinstance(part, nn.Parameter) else list(part.parameters())
        own = [parameter for parameter in own if parameter.requires_grad and id(parameter) not in assigned]
        assigned.update(map(id, own))
        if own:
            by_layer[path] = own
    return by_layer


def _parts(path: str, module: nn.Module, depth: int) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """Split a method (depth 0) into its networks (1), these into parts (2), and lists of blocks into blocks (3)."""
    children = dict(module.named_children())
    numbered = isinstance(module, nn.Sequential | nn.ModuleList) and not _is_mlp(module)
    whole = isinstance(module, nn.Sequential | nn.ModuleList) or depth == 2
    if not children or depth == 3 or (whole and not numbered):
        yield path, module
        return
    if "up_blocks" in children:  # diffusers registers the middle block after up_blocks
        for name in ("up_blocks", "conv_norm_out", "conv_out"):
            children[name] = children.pop(name)
    dot = f"{path}." if path else ""
    for name, parameter in module.named_parameters(recurse=False):
        yield dot + name, parameter
    for name, child in children.items():
        yield from _parts(dot + name, child, 3 if numbered else depth + 1)


def _is_mlp(module: nn.Module) -> bool:
    """Whether the trained parts of a chain are linear layers and norms only."""
    trained = [child for child in module.children() if any(True for _ in child.parameters())]
    return all(isinstance(child, (nn.Linear, *NORMS)) for child in trained)


def submodule(method: nn.Module, path: str) -> nn.Module:
    """A submodule by dotted path; unlike torch's, an index may be negative."""
    module: nn.Module = method
    for part in path.split("."):
        module = module[int(part)] if part.lstrip("-").isdigit() else getattr(module, part)  # type: ignore[index]
    return module


def _short(value: float) -> float:
    """Four significant digits, to keep the file small and legible."""
    return float(f"{value:.4g}")
