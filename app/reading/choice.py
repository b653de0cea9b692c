"""A group of seeds chosen for comparison, with its colour and its label."""

from dataclasses import dataclass, replace
from typing import Any

from workbench.comparison.seeds import Row, pooled
from workbench.store import Run


@dataclass(frozen=True, eq=False)
class Choice:
    """A group of seeds chosen for comparison; a run without other seeds is a group of its own.

    Attributes:
        run: the one that represents the group where a page shows a single network.
        index: place of the run in its folder; different for every run.
        colour: the group's in every figure, as ``#rrggbb``.
        label: its name among the chosen ones.
        summary: of the run.
        members: the runs that numbers are read from, by their seeds: all seeds of the group, or the ticked ones; by
            default ``run`` alone.
        single: whether ``run`` is shown alone, so that its evaluations are its own.
        ticked: those of the group's runs that are ticked, ``run`` first; by default ``run`` alone.
    """

    run: Run
    index: int
    colour: str
    label: str
    summary: dict[str, Any]
    members: tuple[Run, ...] = ()
    ticked: tuple[Run, ...] = ()
    single: bool = False

    def __post_init__(self) -> None:
        for name in ("members", "ticked"):
            object.__setattr__(self, name, getattr(self, name) or (self.run,))

    @property
    def status(self) -> str:
        return str(self.summary["status"])

    def evaluation(self, task: str) -> Row:
        """An evaluation of all :attr:`members` that have it: a row's value is the mean over them; see
        :func:`~workbench.comparison.seeds.pooled`."""
        if self.single:
            return self.run.evaluation(task)
        return pooled([content for run in self.members if (content := run.evaluation(task))])

    def with_run(self, run: Run, index: int) -> "Choice":
        """The group, represented by another of its runs.

        Args:
            index: of the run.
        """
        return replace(self, run=run, index=index, summary=run.summary())

    def alone(self, run: Run, index: int, label: str) -> "Choice":
        """One network of the group.

        Args:
            index: of the run.
            label: to tell it from the group's others.
        """
        return replace(self.with_run(run, index), label=label, ticked=(run,), single=True)
