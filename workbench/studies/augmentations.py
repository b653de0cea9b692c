"""SimCLR's study of augmentations for any method of two views: a run per cell of the matrix, and its linear probe.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020, figure 5;
:mod:`workbench.data.composition` describes the cells. A study is a folder: ``runs/`` holds a run per cell, beside it
are the table, rewritten after every cell, and the figure, at most once a minute. Finished cells are not trained again.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import TrainConfig
from workbench.data.composition import Transformation, TwoViewConfig
from workbench.data.options import TRANSFORMATIONS
from workbench.errors import WorkbenchError, unknown
from workbench.evaluation.context import Row, accuracy, measured
from workbench.evaluation.features import Limits, Material, Spaces
from workbench.figures.augmentations import Augmentations
from workbench.figures.drawing import FORMATS, interim_formats
from workbench.files import plain, read_json, replacing, write_json
from workbench.methods import METHODS, load_method
from workbench.metrics.linear_probe import MAX_ITERATIONS, linear_probe
from workbench.model import TrainedModel, load
from workbench.run import Run, now
from workbench.studies import cells
from workbench.training.hardware import pick_device
from workbench.training.loop import resolve

Cell = tuple[Transformation, ...]  # one name on the diagonal, elsewhere the row's and the column's
COLUMNS = ("model", "first", "second", "value", "low", "high", "validation", "dim", "run")


class Study:
    """The cells of a study, their runs, and what has been measured.

    Args:
        method: one that compares two views.
        settings: of every cell, by key.
        where: the file the settings come from, for messages.
        folder: of the study.
        names: the transformations of rows and columns.

    Raises:
        WorkbenchError: a method that has no two views, unknown or too few transformations, wrong settings.
    """

    def __init__(
        self, method: str, settings: Mapping[str, Any], where: str, folder: Path, names: Iterable[str] = TRANSFORMATIONS
    ) -> None:
        if not _compares_two_views(method):
            able = ", ".join(name for name in METHODS if _compares_two_views(name))
            raise WorkbenchError(f"{method} does not compare two views of an image; choose a method that does: {able}.")
        if settings.get("composition") is not None:
            raise WorkbenchError(
                f'The key "composition"{f" in {where}" if where else ""} is varied by this command; leave it out.'
            )
        self.method, self.folder, self.names = method, folder, _chosen(names)
        config, self.dataset = resolve(method, {**settings, "runs": str(folder / "runs")}, where)
        assert isinstance(config, TwoViewConfig)
        if any(split.labels is None for split in (self.dataset.train, self.dataset.val, self.dataset.test)):
            raise WorkbenchError(f"{self.dataset.name} has images without labels, which the linear probe needs.")
        self.config = config
        self.steps = cells.steps_of(config, self.dataset)
        self.cells = _cells(self.names)
        self.runs = self._runs()
        self.rows: list[Row] = self._known_rows()

    def is_trained(self, cell: Cell) -> bool:
        """Whether a cell is trained completely."""
        return cells.is_trained(self.runs.get(cell), self.steps)

    def row(self, cell: Cell) -> Row | None:
        """A cell's result, if it has been measured."""
        return next((row for row in self.rows if row["model"] == "run" and _cell(row) == cell), None)

    def train(self, cell: Cell) -> None:
        """Train a cell, resuming its run if there is one.

        Raises:
            WorkbenchError: as training does.
            KeyboardInterrupt: training was interrupted, and has saved.
        """
        self.runs[cell] = cells.train(self.method, self._config(cell), self.runs.get(cell), self.steps)

    def measure(self, cell: Cell) -> Row:
        """Measure and write the linear probe of a trained cell, and those of the baselines where they are missing."""
        if (known := self.row(cell)) is not None:
            return known
        run = self.runs[cell]
        model = load(run, device=self.config.device)  # pyright: ignore[reportArgumentType]
        space = model.default
        row, predicted = self._probe(self._encode(model), space)
        run.write_array(f"predicted-{space}", predicted)
        run.write_array("predicted-ids", np.asarray(self.material.test.ids))
        run.write_array("predicted-labels", np.asarray(self.material.test.labels))
        if not any(row["model"] != "run" for row in self.rows):
            pixels = self.material.pixels
            pixels_row, _ = self._probe((pixels.train, pixels.val, pixels.test), "pixels")
            untrained_row, _ = self._probe(self._encode(model.untrained(self.config.seed)), space)
            self.rows += [{"model": "pixels", **pixels_row}, {"model": f"untrained:{self.method}", **untrained_row}]
        second = cell[1] if len(cell) == 2 else None
        self.rows.append({"model": "run", "first": cell[0], "second": second, "run": run.id, **row})
        self.write(interim_formats(self.folder / "composition.svg"))
        return self.rows[-1]

    def write(self, formats: Sequence[str] = FORMATS) -> None:
        """Write ``composition.json`` and ``.csv``, and the figure in some formats."""
        record = self.record()
        write_json(self.folder / "composition.json", record)
        with replacing(self.folder / "composition.csv", "w") as file:
            table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
            table.writeheader()
            table.writerows(record["rows"])
            table.writerows({"model": "mean", **row} for row in record["means"])
        Augmentations(record).save(*(self.folder / f"composition{suffix}" for suffix in formats))

    def record(self) -> dict[str, Any]:
        """What ``composition.json`` holds; see docs/run-format.md."""
        order = {cell: place for place, cell in enumerate(_cells(TRANSFORMATIONS))}
        measured = {name for row in self.rows if row["model"] == "run" for name in _cell(row)}
        names = _chosen(measured | set(self.names))  # an earlier, wider study stays
        rows = sorted(self.rows, key=lambda row: order[_cell(row)] if row["model"] == "run" else len(order))
        return {
            "name": "composition",
            "created": now(),
            "data": self.dataset.name,
            **self._same(),
            "split": "test",
            "n": len(self.material.test),
            "seeds": [self.config.seed],
            "transformations": list(names),
            "rows": rows,
            "means": self.means(names),
        }

    @property
    def protocol(self) -> str:
        material = self.material
        return (
            "One view transformed, the other plain. Multinomial logistic regression on standardised features of "
            f"{len(material.train):,} training images (L-BFGS, at most {MAX_ITERATIONS} iterations); L2 "
            f"regularisation chosen on {len(material.val):,} validation images; 95 % Wilson interval "
            "over test images, for this seed; a mean's over its cells' hits on the same images."
        )

    @cached_property
    def material(self) -> Material:
        return Material.load(self.config, Limits.of(pick_device(self.config.device)))

    def _encode(self, model: TrainedModel) -> tuple[Spaces, Spaces, Spaces]:
        train, val, test = (model.encode(split.images) for split in self.material.splits)
        return train, val, test

    def _probe(self, features: tuple[Spaces, Spaces, Spaces], space: str) -> tuple[Row, np.ndarray]:
        train, val, test = (split[space] for split in features)
        train_labels, val_labels, labels = self.material.labels
        probe = linear_probe(train, train_labels, val, val_labels, test)
        row = {"space": space, **accuracy(probe.predicted, labels), "validation": 100 * probe.validation_accuracy}
        row |= {"dim": test.shape[1], "regularisation": probe.regularisation}
        return row, probe.predicted

    def means(self, names: Iterable[Transformation]) -> list[Row]:
        """The means of complete rows (``first``) and columns (``second``), diagonal included, as in the paper."""
        names = tuple(names)
        hits = {_cell(row): self._hits(row) for row in self.rows if row["model"] == "run"}
        means: list[Row] = []
        for side, place in (("first", 0), ("second", -1)):
            for name in names:
                members = [cell for cell in _cells(names) if cell[place] == name]
                known = [hit for cell in members if (hit := hits.get(cell)) is not None]
                if len(known) == len(members):
                    means.append({side: name, **measured("top1", 100.0 * np.mean(known, axis=0))})
        return means

    def _hits(self, row: Row) -> np.ndarray | None:
        """Whether each test image (n,) is classified correctly; None where the run's predictions are of others."""
        run, test = self.runs[_cell(row)], self.material.test
        predicted, ids = run.array(f"predicted-{row['space']}"), run.array("predicted-ids")
        if predicted is None or ids is None or len(predicted) != len(test) or not np.array_equal(ids, test.ids):
            return None
        return np.asarray(predicted) == np.asarray(test.labels)

    def _same(self) -> dict[str, Any]:
        """What all cells share; the rows of a study that differs in it are not reused."""
        return {
            "method": self.method,
            "fingerprint": self.dataset.fingerprint,
            "settings": plain(cells.settings_of(replace(self.config, composition=None))),
            "protocol": self.protocol,
        }

    def _config(self, cell: Cell) -> TrainConfig:
        return replace(self.config, composition=cell, name=", ".join(cell))

    def _runs(self) -> dict[Cell, Run]:
        """By cell, the run trained with these settings on this data: a finished one, or else the newest."""
        wanted = {cell: (self.method, self._config(cell)) for cell in _cells(TRANSFORMATIONS)}
        runs = cells.find_runs(self.folder / "runs", wanted, self.dataset.fingerprint)
        return {cell: run for (cell, seed), run in runs.items() if seed == self.config.seed}

    def _known_rows(self) -> list[Row]:
        """The rows of ``composition.json`` that belong to the present runs."""
        record = read_json(self.folder / "composition.json")
        rows = record.get("rows")
        if not isinstance(rows, list) or any(record.get(key) != value for key, value in self._same().items()):
            return []
        ids = {run.id: cell for cell, run in self.runs.items()}

        def is_present(row: Row) -> bool:
            return ids.get(row["run"]) == _cell(row) and self._hits(row) is not None

        return [row for row in rows if _is_row(row) and (row["model"] != "run" or is_present(row))]


def _compares_two_views(method: str) -> bool:
    return issubclass(load_method(method)[1], TwoViewConfig)


def _chosen(names: Iterable[str]) -> tuple[Transformation, ...]:
    """The selected names, in the figure's order."""
    names = set(names)
    for name in names - set(TRANSFORMATIONS):
        raise unknown("transformation", name, TRANSFORMATIONS)
    return tuple(name for name in TRANSFORMATIONS if name in names)


def _cells(names: Iterable[Transformation]) -> list[Cell]:
    names = tuple(names)
    return [(first,) if first == second else (first, second) for first in names for second in names]


def _is_row(row: Any) -> bool:
    needed = {"model", "space", "value", "low", "high"}
    if isinstance(row, dict) and row.get("model") == "run":
        needed |= {"first", "second", "run"}
    return isinstance(row, dict) and needed <= row.keys()


def _cell(row: Row) -> Cell:
    return (row["first"],) if row["second"] is None else (row["first"], row["second"])
