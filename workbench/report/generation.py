"""What models draw, in a report: reconstructions, the common decoder, likelihood."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.comparison import table
from workbench.comparison.seeds import Group
from workbench.comparison.table import Row, mapping_of
from workbench.figures.heat_map import Strip
from workbench.report.document import Block, Figure
from workbench.report.entries import Entry, entries
from workbench.report.tables import section
from workbench.store import Run, probe_of

SHOWN = 12
"""Images in the strip of reconstructions."""


def reconstruction(groups: Sequence[Group]) -> list[Block]:
    names = {"reconstruction": "PSNR, dB"}
    found = {"reconstruction": entries(groups, "reconstruction", "variant")}
    blocks = section(
        "What it draws", groups, found, names, ("model", "variant"), caption="Reconstruction of test images"
    )
    rows = _strip_rows(groups)
    if blocks and len(rows) > 1:
        caption = "The same images in every row; nothing is picked out."
        blocks.insert(1, Figure("reconstructions", Strip("Reconstructions of test images", rows), caption))
    return blocks


def _strip_rows(groups: Sequence[Group]) -> dict[str, np.ndarray]:
    """The originals and each group's reconstructions of the same probe images, of its first run."""
    rows: dict[str, np.ndarray] = {}
    shown: np.ndarray | None = None
    for group in groups:
        run = group.runs[0]
        variant = str(run.evaluation("reconstruction").get("default") or "")
        drawn, ids = run.array(f"reconstruction-run-{variant}"), run.array("reconstruction-ids")
        probe = probe_of(run.path.parent, str(mapping_of(run, "data").get("fingerprint")))
        known, images = probe.ids(), probe.images()
        if drawn is None or ids is None or known is None or images is None or len(drawn) != len(ids) or drawn.ndim != 4:
            continue
        if shown is None:
            places = {int(image): index for index, image in enumerate(known)}
            step = max(1, len(ids) // SHOWN)
            shown = np.array([int(image) for image in ids[::step] if int(image) in places][:SHOWN])
            rows["original"] = np.stack([images[places[int(image)]] for image in shown]) if len(shown) else drawn[:0]
        at = {int(image): index for index, image in enumerate(ids)}
        if len(shown) and all(int(image) in at for image in shown):
            taken = [at[int(image)] for image in shown]
            rows[f"{group.label} {variant}".strip()] = np.asarray(drawn)[taken]
            models = [str(row.get("model")) for row in table.rows_of(run, "reconstruction")]
            pca = next((model for model in models if model.startswith("pca")), "")
            other = run.array(f"reconstruction-{pca}-")
            if other is not None and len(other) == len(ids):
                rows.setdefault(pca, np.asarray(other)[taken])
    return {name: images for name, images in rows.items() if len(images)}


def decoder(groups: Sequence[Group]) -> list[Block]:
    found = {"decoder": _told_apart(entries(groups, "decoder", "space", shared=("width",)))}
    title = "What its features allow to draw"
    caption = "Reconstruction by a decoder of one fixed design, trained on frozen features"
    return section(title, groups, found, {"decoder": "PSNR, dB"}, ("model", "space"), caption=caption)


def _told_apart(found: Sequence[Entry]) -> list[Entry]:
    """Pixels are reduced to each run's width; where there are several, their names tell them."""
    widths = Counter(entry.model for entry in found if entry.kind == "shared")
    return [
        replace(entry, model=f"{entry.model}, {entry.row.get('width')} numbers") if widths[entry.model] > 1 else entry
        for entry in found
    ]


def likelihood(groups: Sequence[Group]) -> list[Block]:
    def whole(_run: Run, row: Row) -> bool:
        return row.get("metric") == "bits_per_dim" and "term" not in row

    found = entries(groups, "likelihood", "kind", keep=whole)
    names = {"likelihood": "bits per dimension"}
    return section(
        "Likelihood",
        groups,
        {"likelihood": found},
        names,
        ("model", "kind"),
        caption="Negative log-likelihood",
        digits=2,
    )
