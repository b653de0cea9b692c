"""Training runs: start one, resume one."""

from workbench.training.loop import resume, start

__all__ = ["resume", "start"]
