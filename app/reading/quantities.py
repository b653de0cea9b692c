"""Whatever a table of runs may have as a column and a scatter plot as an axis: settings, costs and results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.reading import files
from app.reading.files import ReadOnce
from workbench.comparison.table import cell_of
from workbench.format import finite_number, format_interval
from workbench.headline import best_space
from workbench.run import settings_text
from workbench.store import Run

RESULTS = {  # by evaluation, the label and the unit of its number
    "knn": ("kNN", "%"),
    "linear": ("linear probe", "%"),
    "retrieval": ("retrieval, mAP@10", "%"),
    "similarity": ("rows of the similarity matrix whose diagonal is largest", "%"),
    "linear_sgd": ("linear probe by SGD", "%"),
    "finetune": ("fine-tuning", "%"),
    "transfer": ("transfer", "%"),
    "transfer_finetune": ("transfer by fine-tuning", "%"),
    "reconstruction": ("reconstruction", "dB"),
    "decoder": ("common decoder", "dB"),
    "likelihood": ("likelihood, upper bound or estimate", "bits/dim"),
}
COSTS = {
    "parameters": "parameters",
    "flops_per_image": "FLOPs per image",
    "images_seen": "images seen",
    "steps": "steps",
    "seconds": "training time, s",
    "peak_memory_mb": "peak memory, MB",
}
NO_SETTINGS = ("method", "data", "runs", "name", "init")  # columns of their own, or places


@dataclass(frozen=True)
class Quantity:
    """A setting, a cost or a result of runs.

    Attributes:
        key: ``setting:optim.lr``, ``cost:seconds`` or ``result:linear``; it stands in URLs.
        label: in words, with the unit.
    """

    key: str
    label: str

    @property
    def kind(self) -> str:
        return self.key.partition(":")[0]

    @property
    def name(self) -> str:
        return self.key.partition(":")[2]


@dataclass(frozen=True)
class Value:
    """A number of a run or group of seeds with its 95 % interval where it has one, or a setting in words."""

    value: float | str
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return self.value
        return f"{self.value:.4g}" if self.low is None else format_interval(self.value, self.low, self.high)


def settings_of(run: Run) -> dict[str, str]:
    """A run's settings as text by key; none where its configuration cannot be read."""
    path = run.path / "config.yaml"
    try:
        return _settings(path, path.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=4096)
def _settings(path: Path, modified: int) -> dict[str, str]:
    return settings_text(path.read_text(encoding="utf-8", errors="replace"))


def quantities(runs: Iterable[Run]) -> list[Quantity]:
    """All quantities that runs may have: results, costs, then settings, those in which the runs differ first."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, value in settings_of(run).items():
            values.setdefault(key, set()).add(value)
    keys = sorted((key for key in values if key not in NO_SETTINGS), key=lambda key: (len(values[key]) < 2, key))
    names = {"result": RESULTS, "cost": COSTS, "setting": keys}
    return [quantity_of(f"{kind}:{name}") for kind, some in names.items() for name in some]


def quantity_of(key: str) -> Quantity:
    """The quantity with a key."""
    kind, _, name = key.partition(":")
    label = ", ".join(RESULTS[name]) if kind == "result" else COSTS[name] if kind == "cost" else name
    return Quantity(key, label)


def value_of(quantity: Quantity, runs: Sequence[Run]) -> Value | None:
    """A quantity of a run or of a group of seeds, or None where it is not known or differs between the seeds.

    Results are read as everywhere: in the group's best space by validation, as mean and interval over seeds.
    """
    if quantity.kind == "result":
        return _result(quantity.name, runs)
    if quantity.kind == "cost":
        numbers = [finite_number(files.section(run.info(), "cost").get(quantity.name)) for run in runs]
        known = [number for number in numbers if number is not None]
        return Value(sum(known) / len(known)) if known else None
    values = [settings_of(run).get(quantity.name) for run in runs]
    if not values or values[0] is None or any(value != values[0] for value in values):
        return None
    try:
        return Value(float(values[0]))
    except ValueError:
        return Value(values[0])


def _result(evaluation: str, runs: Sequence[Run]) -> Value | None:
    contents = [content for run in runs if (content := run.evaluation(evaluation))]
    default = next((files.default_row(content) for content in contents), None)
    if default is None:
        return None
    where = {key: default[key] for key in ("metric", "variant") if key in default}
    spaces = [best_space(runs), default.get("space")] if "space" in default else [None]
    for space in spaces:
        place = {"space": space} if space is not None else {}
        if cell := cell_of(runs, evaluation, model="run", **where, **place):
            return Value(cell["value"], cell["low"], cell["high"])
    return None


def reading(folder: Path, ids: Iterable[str]) -> list[Run]:
    """Runs whose evaluations are read once."""
    return [ReadOnce(folder / run_id) for run_id in ids]
