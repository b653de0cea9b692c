"""Image files in a folder, perhaps sorted into class folders and into ``train`` and ``test``."""

import os
from pathlib import Path

import numpy as np

from workbench.data.hashing import text_hash
from workbench.data.sources import HELD_OUT, Part, Source
from workbench.errors import WorkbenchError

EXTENSIONS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"))


def path_id(relative: str) -> int:
    """The id of an image known by its path within the data: 52 bits, exact in JSON and JavaScript."""
    return text_hash(relative) % 2**52


def image_files(folder: Path) -> list[Path]:
    """The image files under a folder, by extension: paths relative to it, sorted, without hidden ones."""
    paths: list[str] = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = os.path.relpath(where, folder)
        paths += [
            os.path.normpath(os.path.join(place, name))
            for name in names
            if os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith(".")
        ]
    return [Path(name) for name in sorted(paths)]


def folder_parts(folder: Path) -> dict[str, list[Path]]:
    """The image files of a folder, relative to it, as ``"train"`` and, if it has such a folder, ``"test"``.

    Raises:
        WorkbenchError: there are none.
    """
    files = image_files(folder)
    by_top: dict[str, list[Path]] = {}
    for path in files:
        by_top.setdefault(path.parts[0] if len(path.parts) > 1 else "", []).append(path)
    if not files:
        raise WorkbenchError(
            f"There are no images in {folder}; it needs files such as .jpg, .png or .webp, perhaps in class folders, "
            "or .parquet files."
        )
    if "train" not in by_top:
        return {"train": files}
    held_out = next((name for name in HELD_OUT if name in by_top), None)
    return {"train": by_top["train"]} | ({"test": by_top[held_out]} if held_out else {})


def folder_source(folder: Path, parts: dict[str, list[Path]]) -> Source:
    """The images of a folder; classes are the names of the folders within a part.

    The images are unlabelled if any lies outside class folders, or if there are fewer than two classes.
    """
    unsplit = any(len(path.parts) == 1 or path.parts[0] != "train" for path in parts["train"])
    depth = dict.fromkeys(parts, 0 if unsplit else 1)  # of class folders
    in_classes = all(len(path.parts) > depth[part] + 1 for part, paths in parts.items() for path in paths)
    classes = sorted({path.parts[depth[part]] for part, paths in parts.items() for path in paths})
    labelled = in_classes and len(classes) > 1

    def part_of(name: str, paths: list[Path]) -> Part:
        labels = [classes.index(path.parts[depth[name]]) for path in paths] if labelled else None
        return Part(
            ids=np.array([path_id(path.as_posix()) for path in paths], dtype=np.int64),
            labels=None if labels is None else np.array(labels, dtype=np.int64),
            read=lambda: (folder / path for path in paths),
            describe=lambda index: str(folder / paths[index]),
            names=[path.as_posix() for path in paths],
        )

    return Source({name: part_of(name, paths) for name, paths in parts.items()}, classes if labelled else None)
