"""Start and resume training runs."""

from workbench.training.loop import resume, start

__all__ = ["resume", "start"]
