"""What every evaluation is given (a run, its model and baselines, and where results go), and how it forms its rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.evaluation.features import Features, Limits, Material, Spaces, default_first
from workbench.metrics.intervals import bootstrap_mean, proportion
from workbench.metrics.linear_probe import LinearProbe, linear_probe
from workbench.model import TrainedModel
from workbench.store import Probe, Run

Row = dict[str, Any]


def measured(metric: str, values: NDArray) -> Row:
    """The mean of a metric's values (n,) over images with its 95 % bootstrap interval, as a part of a row."""
    return {"metric": metric, **bootstrap_mean(values)._asdict()}


def accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> Row:
    """Top-1 in % of predicted classes (n,) with its 95 % interval by Wilson, as a part of a row."""
    return {"metric": "top1", **proportion(predicted == labels)._asdict()}


class Subject(NamedTuple):
    """A model, or a baseline, whose features are evaluated.

    Attributes:
        name: ``run``, ``untrained:<method>`` or ``pixels``.
        features: of the images of the material.
        default: its main space.
    """

    name: str
    features: Features
    default: str


@dataclass
class Context:
    """One run under evaluation.

    Attributes:
        run: where results are written.
        model: its weights.
        material: the images.
        limits: how many of them.
        probe: the probe set that all runs on the same data share.
        track: yields the items of a long loop and shows its progress.
    """

    run: Run
    model: TrainedModel
    material: Material
    limits: Limits
    probe: Probe
    track: Callable[[Sequence, str], Iterable] = field(default=lambda items, what: items)
    _label_probes: dict[tuple[str, str], LinearProbe] = field(default_factory=dict)

    @cached_property
    def method(self) -> str:
        return str(self.run.info().get("method"))

    @cached_property
    def trained(self) -> Subject:
        """The run itself."""
        return Subject("run", self.material.encode(self.model), self.model.default)

    @cached_property
    def untrained(self) -> Subject:
        """The same network with random weights."""
        return Subject(f"untrained:{self.method}", self.material.encode(self.untrained_model), self.model.default)

    @cached_property
    def untrained_model(self) -> TrainedModel:
        """The same network with random weights of the run's own seed, so that seeds differ here too."""
        seed = self.run.info().get("seed")
        return self.model.untrained(seed if isinstance(seed, int) else 0)

    def probe_features(self, rows: NDArray[np.int64]) -> Iterator[tuple[str, Spaces]]:
        """Features of some probe images by name of the subject, encoded anew unless those of all images are there."""
        images = self.material.probe.images[rows]
        for subject, name, model in (
            ("trained", "run", lambda: self.model),
            ("untrained", f"untrained:{self.method}", lambda: self.untrained_model),
        ):
            if subject in self.__dict__:
                features = getattr(self, subject).features.test
                yield name, {space: values[rows] for space, values in features.items()}
            else:
                yield name, default_first(model().encode(images), self.model.default)
        yield "pixels", {"pixels": self.material.pixels.test["pixels"][rows]}

    @property
    def baselines(self) -> Probe:
        """Where the results of pixels are stored."""
        return Probe(self.probe.path / "baselines")

    @property
    def pixels(self) -> Subject:
        return Subject("pixels", self.material.pixels, "pixels")

    def label_probe(self, subject: Subject, space: str) -> LinearProbe:
        """The linear probe of the labels, fitted once."""
        key = subject.name, space
        if key not in self._label_probes:
            train, val, test = subject.features.of(space)
            train_labels, val_labels, _ = self.material.labels
            self._label_probes[key] = linear_probe(train, train_labels, val, val_labels, test)
        return self._label_probes[key]

    def rows(self, evaluation: str, protocol: str, measure: Callable[[Subject], Iterator[Row]]) -> list[Row]:
        """The rows of the run and of its baselines; those of ``pixels`` are computed once."""
        rows = [{"model": s.name, **row} for s in (self.trained, self.untrained) for row in measure(s)]
        return rows + self.shared_rows(evaluation, protocol, lambda: measure(self.pixels))

    def shared_rows(self, evaluation: str, protocol: str, measure: Callable[[], Iterable[Row]]) -> list[Row]:
        """Rows of ``pixels``, the same for every run on the same data: computed once and stored with the probe set."""
        known = self.baselines.evaluation(evaluation)
        if known.get("protocol") != protocol or known.get("limits") != str(self.limits):
            rows = [{"model": "pixels", **row} for row in measure()]
            known = {"protocol": protocol, "limits": str(self.limits), "rows": rows}
            self.baselines.write_evaluation(evaluation, known)
        return known["rows"]

    def keep(self, subject: Subject, name: str, array: np.ndarray) -> None:
        """Write an array of a subject: ``<name>``, ``untrained-<name>``, or, for pixels, with the probe set."""
        if subject.name == "pixels":
            self.baselines.write_array(name, array)
        else:
            self.run.write_array(name if subject.name == "run" else f"untrained-{name}", array)

    def write(self, evaluation: str, protocol: str, n: int, split: str = "test", **content: Any) -> None:
        """Write an evaluation with the fields that all evaluations have."""
        envelope = {"checkpoint": self.model.checkpoint, "protocol": protocol, "split": split, "n": n}
        self.run.write_evaluation(evaluation, envelope | {"seeds": [self.model.config.seed]} | content)

    def skip(self, evaluation: str, reason: str) -> None:
        """Write why an evaluation was left out, in one sentence."""
        self.run.write_evaluation(evaluation, {"skipped": reason})
