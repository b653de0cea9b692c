"""Train contrastive and generative models on the same images and compare what each has learnt."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.model import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":  # imports torch
        from workbench.model import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
