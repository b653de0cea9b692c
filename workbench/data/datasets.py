"""Data sets: a name, a folder or a Parquet file -> train, validation and test images, decoded once.

Every image has a stable id, which decides everything that must be the same for all runs: the validation split (a
tenth of train), the test split of sources without one (a fifth), the probe set and a limited training set.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.config import DataOptions
from workbench.data import shapes
from workbench.data.cache import Entry, cache_root, stored
from workbench.data.hashing import hash_ids
from workbench.errors import WorkbenchError, unknown

PROBE_SIZE = 1000
VALIDATION_PART, TEST_PART = 0.1, 0.2
_DEFAULTS = DataOptions()
_VERSION = 3  # of decoding and splitting; a change invalidates older cache entries


class CatalogueEntry(NamedTuple):
    """Facts about a named data set that are known without opening it.

    Attributes:
        size: default side of an image in pixels.
        n_train: published number of training images, from which the validation split is taken.
        download: whether it has to be downloaded.
    """

    summary: str
    size: int
    classes: int
    n_train: int
    download: bool


CATALOGUE = {
    "shapes": CatalogueEntry("generated colour shapes with known factors", 32, 6, 10_000, False),
    "digits": CatalogueEntry("scikit-learn's handwritten digits", 8, 10, 1_438, False),
    "cifar10": CatalogueEntry("small colour photos of animals and vehicles", 32, 10, 50_000, True),
    "cifar100": CatalogueEntry("small colour photos of a hundred classes", 32, 100, 50_000, True),
    "mnist": CatalogueEntry("handwritten digits", 28, 10, 60_000, True),
    "fashion_mnist": CatalogueEntry("grey pictures of clothes", 28, 10, 60_000, True),
    "stl10": CatalogueEntry("colour photos, and 100,000 more without labels", 96, 10, 5_000, True),
    "flowers102": CatalogueEntry("photos of flowers", 224, 102, 2_040, True),
    "pets": CatalogueEntry("photos of cats and dogs by breed", 224, 37, 3_680, True),
}


@dataclass(frozen=True)
class Split:
    """The images of one split.

    Attributes:
        images: (N, H, W, C) uint8, memory-mapped.
        labels: (N,) int64, positions in the data set's classes; None without labels.
        factors: known factors, (N,) float32 by name; None if there are none.
        ids: (N,) int64, stable from run to run and machine to machine.
        names: (N,) file names as :func:`~workbench.files.encoded_names` gives them; None where images have none.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    factors: dict[str, NDArray[np.float32]] | None
    ids: NDArray[np.int64]
    names: NDArray[np.bytes_] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64] | slice) -> "Split":
        """The samples at some positions, in that order; a slice copies nothing."""
        return Split(
            self.images[rows],
            None if self.labels is None else self.labels[rows],
            None if self.factors is None else {name: values[rows] for name, values in self.factors.items()},
            self.ids[rows],
            None if self.names is None else self.names[rows],
        )


@dataclass(frozen=True)
class Dataset:
    """A data set with training, validation and test images.

    Attributes:
        name: of the data set, or of its folder or file.
        fingerprint: 16 hexadecimal digits, a hash of all images, ids and labels, independent of the limit.
        channels: 1 or 3.
        size: side of the images in pixels.
        classes: their names, or None for unlabelled images.
        train, val, test: the splits; labels are None in a split without them.
        periods: the period of each circular factor, such as an angle.
        skipped: corrupt images that were left out.
        levels: number of values that a pixel can have; level k is stored as round(255 k / (levels - 1)).
    """

    name: str
    fingerprint: str
    channels: int
    size: int
    classes: list[str] | None
    train: Split
    val: Split
    test: Split
    periods: dict[str, float] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    levels: int = 256

    def described(self) -> dict[str, Any]:
        """The entry ``data`` of ``run.json``."""
        keys = ("name", "fingerprint", "size", "channels", "levels", "classes", "factors")
        counts = {name: len(getattr(self, name)) for name in ("train", "val", "test")}
        return {name: getattr(self, name) for name in keys} | counts

    @property
    def factors(self) -> list[str]:
        """Names of the known factors."""
        return list(self.test.factors or {})


def stratified_order(ids: NDArray[np.int64], labels: NDArray[np.int64] | None, salt: str) -> NDArray[np.int64]:
    """Positions (N,) in an order of which every prefix has the classes in their proportions.

    A hash of the ids decides which images of a class come first, so nothing else has an influence.
    """
    hashes = hash_ids(ids, salt)
    if labels is None:
        return np.argsort(hashes, kind="stable")
    by_class = np.lexsort((hashes, labels))
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(len(ids)) - np.repeat(starts, counts)
    quantile = (rank + 0.5) / np.repeat(counts, counts)
    return by_class[np.lexsort((hashes[by_class], quantile))]


def load(data: str, options: DataOptions = _DEFAULTS, download: bool = False) -> Dataset:
    """A data set by its name in :data:`CATALOGUE`, or from a folder of images, a Parquet file or a folder of those.

    A folder may have ``train`` and ``test`` (or ``val``) folders, and class folders in these or at its top; images
    outside class folders are unlabelled. Parquet files whose names start with ``train`` and ``test`` are
    these splits. Images of a path keep their size if all have the same square one of at most 64 pixels (rounded
    down to a multiple of four, which networks can halve twice), and are resized to 64 pixels otherwise, unless
    ``options.image_size`` is given. Factors in pixels refer to the data set's own size.

    Raises:
        WorkbenchError: an unknown name, a missing path, no or corrupt images, a data set that is not downloaded, a
            cache folder that cannot be written.
    """
    if options.limit is not None and options.limit < 1:
        raise WorkbenchError(f"--data.limit must be at least 1, not {options.limit}.")
    if options.image_size is not None and options.image_size < 1:
        raise WorkbenchError(f"--data.image-size must be at least 1 pixel, not {options.image_size}.")
    if options.split == "unlabelled" and data != "stl10":
        raise WorkbenchError(f'"{data}" has no unlabelled split, only stl10 has one; leave out --data.split.')
    root = cache_root(options.cache)
    if data in CATALOGUE:
        name, entry = data, _load_named(data, root, options, download)
    else:
        path = Path(data).expanduser()
        if not path.exists():
            if os.sep in data or "/" in data or data.startswith(("~", ".")) or path.suffix:
                raise WorkbenchError(f"There is no file or folder {path}; check the path.")
            raise unknown("data set", data, CATALOGUE)
        name, entry = path.resolve().stem if path.is_file() else path.resolve().name, _load_path(path, root, options)

    splits = {split: _read_split(entry, split) for split in ("train", "val", "test")}
    skipped = tuple(entry.meta["skipped"])
    if skipped:
        from workbench.data.decode import corrupt_error, tolerated

        total = len(skipped) + sum(map(len, splits.values()))
        if len(skipped) > tolerated(total, options.skip_corrupt):
            raise corrupt_error(skipped, total, "as in an earlier reading")
        names = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        print(f"Left out {len(skipped):,} of {total:,} images of {name}, which are corrupt: {names}", file=sys.stderr)
    if options.limit is not None:
        splits["train"] = splits["train"].take(slice(options.limit))
    return Dataset(
        name=name,
        fingerprint=entry.meta["digest"],
        channels=entry.meta["channels"],
        size=entry.meta["size"],
        classes=entry.meta["classes"],
        periods=shapes.PERIODS if name == "shapes" and data == name else {},
        skipped=skipped,
        levels=native_levels(data, entry.meta["size"]) or (2 if _binary(splits) else 256),
        **splits,
    )


def native_levels(data: str, size: int) -> int | None:
    """Grey levels of a named data set at a side of ``size`` pixels if they are known to be fewer than 256."""
    return 17 if data == "digits" and size == CATALOGUE["digits"].size else None


def _binary(splits: dict[str, Split]) -> bool:
    """Whether every pixel is 0 or 255; for most data sets the first images decide it."""
    images = (split.images[start : start + 256] for split in splits.values() for start in range(0, len(split), 256))
    return all(bool(np.isin(part, (0, 255)).all()) for part in images)


def probe(dataset: Dataset, n: int = PROBE_SIZE) -> Split:
    """The fixed test images on which every model is shown: ``n``, stratified, sorted by class, then by id."""
    test = dataset.test
    rows = stratified_order(test.ids, test.labels, "probe")[:n]
    keys = (test.ids[rows],) if test.labels is None else (test.ids[rows], test.labels[rows])
    return test.take(rows[np.lexsort(keys)])


def _read_split(entry: Entry, split: str) -> Split:
    arrays = entry.arrays(f"{split}.")
    factors = {name.removeprefix("factor."): array for name, array in arrays.items() if name.startswith("factor.")}
    return Split(arrays["images"], arrays.get("labels"), factors or None, arrays["ids"], arrays.get("names"))


def _load_named(name: str, root: Path, options: DataOptions, download: bool) -> Entry:
    size = options.image_size or CATALOGUE[name].size
    unlabelled = options.split == "unlabelled"

    def source() -> Any:
        from workbench.data import sources

        if name == "shapes":
            return sources.shapes_source()
        if name == "digits":
            return sources.digits_source()
        return sources.torchvision_source(name, root / "downloads", download, unlabelled)

    key = {"data": name, "size": size, "unlabelled": unlabelled}
    if name == "shapes":
        key["source"] = hashlib.blake2b(Path(shapes.__file__).read_bytes(), digest_size=8).hexdigest()
    return _stored(root, name, key, source, size, options.skip_corrupt)


def _load_path(path: Path, root: Path, options: DataOptions) -> Entry:
    from workbench.data import folder_source, parquet_source

    folder = path.parent if path.is_file() else path
    if path.is_file() and path.suffix != ".parquet":
        raise WorkbenchError(f"{path} is not a Parquet file; give a .parquet file or a folder of images.")
    tables = parquet_source.parquet_parts(path)
    if tables:
        parts = {part: [file.relative_to(folder) for file in files] for part, files in tables.items()}
    else:
        parts = folder_source.folder_parts(path)
    files = [(part, file.as_posix(), *_state(folder / file)) for part, names in parts.items() for file in names]
    listing = hashlib.blake2b(repr(files).encode(), digest_size=16).hexdigest()
    key = {"path": str(path.resolve()), "files": listing, "size": options.image_size}

    def source() -> Any:
        return parquet_source.parquet_source(tables) if tables else folder_source.folder_source(path, parts)

    name = (path.resolve().stem if path.is_file() else path.resolve().name) or "data"
    return _stored(root, name, key, source, options.image_size, options.skip_corrupt)


def _state(file: Path) -> tuple[int, int]:
    """Size and modification time of a file, to notice changes; zeros for a broken link, which decoding reports."""
    try:
        stat = file.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _stored(
    root: Path, name: str, key: dict[str, Any], source: Callable[[], Any], size: int | None, skip_corrupt: bool
) -> Entry:
    def build(folder: Path) -> dict[str, Any]:
        from workbench.data.decode import common_form, decode

        opened = source()
        form = common_form(opened, size)
        meta = decode(opened, _split(opened), form, folder, name, skip_corrupt)
        return meta | {"channels": form.channels, "size": form.size, "classes": opened.classes}

    return stored(root, name, key | {"version": _VERSION}, build)


def _split(source: Any) -> dict[str, Any]:
    """The rows of training, validation and test images.

    The order of train is stratified, so that its first N images are a stratified sample.
    """
    from workbench.data.decode import SplitRows

    train = source.parts["train"]
    order = stratified_order(train.ids, train.labels, "split")
    if len(order) < 3:
        raise WorkbenchError(f"There are only {len(order)} training images; at least 3 are needed.")
    splits = {}
    if "test" in source.parts:
        splits["test"] = SplitRows("test", np.arange(len(source.parts["test"].ids)))
    else:
        n_test = max(1, round(TEST_PART * len(order)))
        splits["test"], order = SplitRows("train", np.sort(order[:n_test])), order[n_test:]
    n_val = max(1, round(VALIDATION_PART * len(order)))
    return splits | {"val": SplitRows("train", np.sort(order[:n_val])), "train": SplitRows("train", order[n_val:])}
