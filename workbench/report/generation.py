"""What models draw, in a report: reconstructions, the common decoder, likelihood."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.comparison.likelihood import in_bits
from workbench.comparison.seeds import Group
from workbench.comparison.table import Row, mapping_of
from workbench.figures.heat_map import Strip
from workbench.headline import rows_of
from workbench.report.document import Block, Figure
from workbench.report.entries import Entry, entries
from workbench.report.tables import section
from workbench.store import Run, probe_of

COLUMNS = 12
"""Images in the strip of reconstructions."""


def reconstruction(groups: Sequence[Group]) -> list[Block]:
    names, caption = {"reconstruction": "PSNR, dB"}, "Reconstruction of test images"
    blocks = section("Reconstruction", groups, names, ("model", "variant"), caption=caption)
    rows = _strip_rows(groups)
    if blocks and len(rows) > 1:
        caption = "The same images in every row, not selected by hand."
        blocks.insert(1, Figure("reconstructions", Strip("Reconstructions of test images", rows), caption))
    return blocks


def _strip_rows(groups: Sequence[Group]) -> dict[str, np.ndarray]:
    """The originals and each group's reconstructions of the same probe images, of its first run."""
    rows: dict[str, np.ndarray] = {}
    probe_ids: list[int] | None = None
    for group in groups:
        run = group.runs[0]
        variant = str(run.evaluation("reconstruction").get("default") or "")
        images_of_run, ids = run.array(f"reconstruction-run-{variant}"), run.array("reconstruction-ids")
        probe = probe_of(run.path.parent, str(mapping_of(run, "data").get("fingerprint")))
        known, images = probe.ids(), probe.images()
        if images_of_run is None or ids is None or known is None or images is None:
            continue
        if len(images_of_run) != len(ids) or images_of_run.ndim != 4:
            continue
        if probe_ids is None:
            places = {image: index for index, image in enumerate(known.tolist())}
            step = max(1, len(ids) // COLUMNS)
            probe_ids = [image for image in ids[::step].tolist() if image in places][:COLUMNS]
            rows["original"] = np.asarray(images)[[places[image] for image in probe_ids]]
        at = {image: index for index, image in enumerate(ids.tolist())}
        if probe_ids and all(image in at for image in probe_ids):
            taken = [at[image] for image in probe_ids]
            rows[f"{group.label} {variant}".strip()] = np.asarray(images_of_run)[taken]
            models = [str(row.get("model")) for row in rows_of(run, "reconstruction")]
            pca = next((model for model in models if model.startswith("pca")), "")
            other = run.array(f"reconstruction-{pca}-")
            if other is not None and len(other) == len(ids):
                rows.setdefault(pca, np.asarray(other)[taken])
    return {name: images for name, images in rows.items() if len(images)}


def decoder(groups: Sequence[Group]) -> list[Block]:
    numbers = {"decoder": _by_width(entries(groups, "decoder", "space", shared=("width",)))}
    names, title = {"decoder": "PSNR, dB"}, "Common decoder"
    caption = "Reconstruction by a decoder of fixed design, trained on frozen features"
    return section(title, groups, names, ("model", "space"), numbers=numbers, caption=caption)


def _by_width(numbers: Sequence[Entry]) -> list[Entry]:
    """Pixels are reduced to each run's width; where there are several, their names tell them."""
    widths = Counter(entry.model for entry in numbers if entry.kind == "shared")
    return [
        replace(entry, model=f"{entry.model}, {entry.row.get('width')} values") if widths[entry.model] > 1 else entry
        for entry in numbers
    ]


def likelihood(groups: Sequence[Group]) -> list[Block]:
    def whole(_run: Run, row: Row) -> bool:
        return row.get("metric") == "bits_per_dim" and "term" not in row

    numbers = [
        replace(entry, row=entry.row | {"kind": in_bits(str(entry.row.get("kind") or ""))})
        for entry in entries(groups, "likelihood", "kind", keep=whole)
    ]
    names, caption = {"likelihood": "bits per dimension"}, "Negative log-likelihood"
    return section(
        "Likelihood", groups, names, ("model", "kind"), numbers={"likelihood": numbers}, caption=caption, digits=2
    )
