"""The configuration of a training run: one complete, frozen dataclass.

Every method extends :class:`TrainConfig` by its own fields, so one object describes a run. A configuration file is a
flat list of the command line's flags (``optim.lr: 1e-3``), which is also what a run stores; nested mappings are
flattened. Every field's docstring is its help text.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

import yaml
from cyclopts import Group, Parameter

from workbench.errors import WorkbenchError, unknown


@dataclass(frozen=True)
class Range:
    """Bounds of a number, or of each number of a list, in a field's annotation."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, number: float) -> bool:
        return (
            (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        bounds = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)


COMPLETERS: dict[str, Callable[[Any], Any]] = {}
"""What the shell completes, by kind; the command line enters them, as they read folders of runs and of images."""


def _completed(kind: str) -> Parameter:
    return Parameter(completer=lambda context: COMPLETERS[kind](context) if kind in COMPLETERS else ())


COMMON = Parameter(group=Group("Common options", sort_key=1))
MODEL = Parameter(group=Group("Model", sort_key=2))
METHOD_KEY = 3  # the place of a method's own options among the groups of its help
AUGMENTATION = Parameter(group=Group("Augmentation", sort_key=4))
DATA = Parameter(group=Group("Data", sort_key=5))
TRAINING = Parameter(group=Group("Training", sort_key=6))
OPTIMISER = Parameter(group=Group("Optimiser", sort_key=7))
RUN = Parameter(group=Group("Run", sort_key=8))
Probability = Annotated[float, Range(0, 1)]
Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
C = TypeVar("C", bound="TrainConfig")


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How the images are read (``--data.…``)."""

    limit: int | None = None
    """Train on a stratified subset of this many images."""
    image_size: int | None = None
    """Side in pixels to which images are resized and cropped; by default the data set's own."""
    split: Literal["train", "unlabelled"] = "train"
    """Split to train on; only stl10 has an unlabelled one."""
    skip_corrupt: bool = False
    """Leave out any number of images that cannot be decoded; without it, up to 1 % of them."""
    memory_mb: Annotated[int | None, Range(0)] = None
    """MB of images to hold on the device; larger data sets are streamed. By default a quarter of the free memory."""
    cache: Path | None = None
    """Folder of downloads and decoded images; by default $WORKBENCH_CACHE or ~/.cache/workbench."""


@dataclass(frozen=True, kw_only=True)
class OptimOptions:
    """How the weights are updated (``--optim.…``)."""

    name: Literal["adamw", "lars", "lamb", "sgd"] = "adamw"
    """Optimiser."""
    lr: Annotated[float, COMMON, Parameter(alias="--lr"), Range(0)] = 1.5e-4
    """Base learning rate; with lr scaling, for a batch of 256."""
    scale_lr: bool = True
    """Multiply the base learning rate by batch size / 256."""
    weight_decay: Annotated[float, Parameter(alias="--wd"), Range(0)] = 0.1
    """Weight decay, decoupled in AdamW."""
    decay_vectors: bool = True
    """Decay biases and norm scales, too; LARS never does."""
    beta2: Annotated[float, Range(0, below=1)] = 0.999
    """Decay rate of the second moment, in AdamW and LAMB."""
    momentum: Probability = 0.9
    """Momentum of LARS and SGD."""
    trust: Annotated[float, Range(above=0)] = 0.001
    """Trust coefficient of LARS."""
    warmup_epochs: Annotated[float, Parameter(alias="--warmup"), Range(0)] = 1.0
    """Epochs of linear warm-up from zero."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Learning rate after the warm-up."""
    clip: Annotated[float | None, Range(above=0)] = None
    """Largest norm of the gradient; larger gradients are scaled down."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The options of every method."""

    data: Annotated[str, COMMON, _completed("data")] = "shapes"
    """Images to train on: a built-in name (see `workbench datasets`), a folder or a Parquet file."""
    download: Annotated[bool, DATA] = False
    """Allow the data set to be downloaded."""
    data_options: Annotated[DataOptions, DATA, Parameter(name="--data")] = DataOptions()
    """How the images are read."""
    epochs: Annotated[int, COMMON, Range(1)] = 20
    """Passes over the training images."""
    max_steps: Annotated[int | None, COMMON, Range(1)] = None
    """Stop after this many steps, even within an epoch."""
    batch_size: Annotated[int, COMMON, Range(1)] = 128
    """Images per step, over all devices."""
    seed: Annotated[int, COMMON, Range(0, 2**31 - 1)] = 0
    """Random seed."""
    preset: Annotated[Literal["auto", "cpu", "published"], TRAINING] = "auto"
    """Model size and recipe: the published ones, or small ones for a CPU; auto decides by the device."""
    device: Annotated[Device, COMMON] = "auto"
    """Where to compute."""
    precision: Annotated[Precision, TRAINING] = "auto"
    """Precision of the forward pass; auto is bf16 if the hardware supports it, else fp32."""
    accumulate: Annotated[int, TRAINING, Range(1)] = 1
    """Compute each batch in this many parts, to save memory; the loss is that of the whole batch."""
    recompute: Annotated[bool, TRAINING] = False
    """Recompute activations of ViT blocks instead of storing them: less memory, a third more time."""
    compile: Annotated[bool, TRAINING] = False
    """Compile the networks with torch.compile: faster steps after a minute or more of compilation."""
    init: Annotated[str | None, TRAINING, _completed("run")] = None
    """Run from whose weights training starts."""
    optim: Annotated[OptimOptions, OPTIMISER] = OptimOptions()
    """How the weights are updated."""
    runs: Annotated[Path, COMMON, Parameter(env_var="WORKBENCH_RUNS")] = Path("runs")
    """Folder of the runs."""
    name: Annotated[str | None, COMMON] = None
    """Name of the run, besides its id."""
    log_every: Annotated[int, RUN, Range(1)] = 10
    """Steps between two rows of metrics."""
    monitor_every: Annotated[int, RUN, Range(0)] = 1
    """Epochs between two readings of the kNN monitor; 0 turns it off."""
    checkpoint_every: Annotated[int, RUN, Range(1)] = 1
    """Epochs between two checkpoints; the last one and the best one are kept."""
    snapshots: Annotated[int, RUN, Range(0)] = 4
    """Snapshots of the weights during training, for maps of its course; each half the size of a checkpoint."""

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        """A method's settings by preset name and key, for images of ``size`` pixels."""
        return {"cpu": {}, "published": {}}

    def for_classes(self, classes: int | None, data: str) -> Self:
        """This configuration for training images of ``data`` with ``classes`` classes, None without labels.

        Raises:
            WorkbenchError: the method needs labels.
        """
        return self


def option_name(field_name: str) -> str:
    """The flag or key of a field: ``data_options`` is written ``data``, so its fields read ``data.limit``."""
    return field_name.removesuffix("_options")


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """All settings of a configuration by key, as written to a file: ``{"data": "shapes", "optim.lr": 1e-3, …}``."""
    flat: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        key = prefix + option_name(field.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, key + ".")
        else:
            flat[key] = str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
    return flat


def replace_flat(config: C, values: Mapping[str, Any], where: str = "") -> C:
    """A copy of ``config`` with settings replaced by key.

    Args:
        values: settings by key, as returned by :func:`flatten`.
        where: the file they come from, for error messages.

    Raises:
        WorkbenchError: a key that does not exist, or a value of the wrong type.
    """
    known = set(flatten(config))
    for key in values:
        if key not in known:
            raise unknown("key", key, known, where)
    return _replace(config, values, "", where)


def _replace(config: Any, values: Mapping[str, Any], prefix: str, where: str) -> Any:
    hints = typing.get_type_hints(type(config), include_extras=True)
    changes: dict[str, Any] = {}
    for field in fields(config):
        key = prefix + option_name(field.name)
        if dataclasses.is_dataclass(getattr(config, field.name)):
            changes[field.name] = _replace(getattr(config, field.name), values, key + ".", where)
        elif key in values:
            changes[field.name] = _coerce(values[key], hints[field.name], key, where)
    return dataclasses.replace(config, **changes)


def _coerce(value: Any, hint: Any, key: str, where: str) -> Any:
    """A value from YAML, converted to the field's type."""
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        coerced = _coerce(value, hint, key, where)
        numbers = coerced if isinstance(coerced, tuple) else () if coerced is None else (coerced,)
        for allowed in (note for note in notes if isinstance(note, Range)):
            if not all(number in allowed for number in numbers):
                raise _wrong(str(allowed), value, key, where)
        return coerced
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        hint = next(option for option in get_args(hint) if option is not type(None))
        origin = get_origin(hint)
    if origin is Literal:
        if value in get_args(hint):
            return value
        expected = "one of " + ", ".join(str(option) for option in get_args(hint))
    elif origin is tuple:
        item, *more = get_args(hint)
        length = None if more == [...] else 1 + len(more)
        if isinstance(value, list | tuple) and value and length in (None, len(value)):
            return tuple(_coerce(part, item, key, where) for part in value)
        expected = f"a list of {length} values" if length else "a list with at least one value"
    else:
        expected = {int: "a whole number", float: "a number", bool: "true or false"}.get(hint, "text")
        if hint is bool or isinstance(value, bool):
            if hint is bool and isinstance(value, bool):
                return value
        elif hint is int and (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            return int(value)
        elif hint is float and isinstance(value, int | float | str):
            try:  # YAML 1.1 reads 1e-3 as text
                return float(value)
            except ValueError:
                pass
        elif hint in (str, Path) and isinstance(value, str | int | float):
            return hint(str(value))
    raise _wrong(expected, value, key, where)


def _wrong(expected: str, value: Any, key: str, where: str) -> WorkbenchError:
    place = f" in {where}" if where else ""
    return WorkbenchError(f'The value of "{key}"{place} must be {expected}, not {value!r}.')


def read_yaml(path: Path) -> dict[str, Any]:
    """A configuration file as settings by key; see :func:`read_mapping` and :func:`flat`."""
    return flat(read_mapping(path))


def read_settings(path: Path, method: str) -> dict[str, Any]:
    """A configuration file's settings for a method, without the method's name.

    Raises:
        WorkbenchError: the file cannot be read, or is for another method.
    """
    settings = read_yaml(path)
    named = settings.pop("method", method)
    if named != method:
        raise WorkbenchError(f'{path} is for the method "{named}", not "{method}"; correct one of them.')
    return settings


def flat(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """Settings by key: nested mappings are flattened, hyphens and underscores are the same."""
    return dict(_flat_items(mapping, ""))


def read_mapping(path: Path) -> dict[Any, Any]:
    """A configuration file's content.

    Raises:
        WorkbenchError: the file is missing or is not YAML that maps keys to values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WorkbenchError(f"There is no configuration file {path}; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise WorkbenchError(f"The configuration file {path} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise WorkbenchError(f"The configuration file {path} is not valid YAML{line}; correct it.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise WorkbenchError(
            f"The configuration file {path} must map keys to values, one per line, such as `epochs: 20`."
        )
    return content


def _flat_items(mapping: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        name = prefix + str(key).replace("-", "_")
        if isinstance(value, dict):
            yield from _flat_items(value, name + ".")
        else:
            yield name, value


def write_yaml(method: str, config: TrainConfig) -> str:
    """The text of a run's ``config.yaml``: the method and all resolved settings."""
    return yaml.safe_dump({"method": method} | flatten(config), sort_keys=False, allow_unicode=True)
