"""Who is ahead, measure by measure: the numbers of groups of seeds, ranked, and what may be said of them. No torch.

The page Overview and the report show the same answers, so that a sentence and its numbers are the same in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from workbench.comparison.differences import Difference
from workbench.comparison.likelihood import CAUTION, SIGNS, in_bits, total
from workbench.comparison.measures import SENTENCES
from workbench.comparison.seed_tests import seed_differences
from workbench.comparison.seeds import Group, over_seeds
from workbench.comparison.table import (
    Row,
    baseline_value,
    cell_of,
    cost_text,
    group_table,
    interval_text,
    mapping_of,
    of_seeds,
)
from workbench.format import finite_number, format_interval, is_number
from workbench.headline import elsewhere, rows_of, space_in
from workbench.metrics.intervals import Interval
from workbench.report.sentences import Score, ranking, verdict, with_unit
from workbench.store import Run

TITLES = {
    "linear": "Linear probe",
    "knn": "kNN",
    "factors": "Factors",
    "reconstruction": "Reconstruction",
    "samples": "Samples",
    "likelihood": "Likelihood",
    "cost": "Cost",
}


@dataclass(frozen=True)
class Answer:
    """What may be said of all groups in one measure.

    Attributes:
        sentence: the verdict; where nothing is measured, what there is instead, or nothing.
        scores: the best first; empty where nothing is measured.
        reference: value of raw pixels.
        note: how the numbers are measured.
        tests: of every pair of groups, as far as they can be tested.
        zero: whether an axis should begin at 0.
    """

    sentence: str
    scores: Sequence[Score] = ()
    reference: float | None = None
    note: str = ""
    tests: Sequence[Difference] = ()
    zero: bool = False


def answers(groups: Sequence[Group], probes: Sequence[Difference] = ()) -> dict[str, Answer]:
    """The answers by key of :data:`TITLES`.

    Args:
        groups: trained on the same data.
        probes: the tests of their linear probes; see :func:`~workbench.comparison.differences.group_differences`.
    """
    table = group_table(groups)
    rows = [row for row in table if row["kind"] == "run"]
    labels = {group.label for group in groups}
    own = [pair for pair in probes if {pair.name, pair.other_name} <= labels]
    return {
        "linear": linear(groups, table, rows, own),
        "knn": knn(groups, table, rows),
        "factors": factors(groups),
        "reconstruction": reconstruction(groups, table, rows),
        "samples": samples(groups),
        "likelihood": likelihood(groups),
        "cost": cost(groups, rows),
    }


def linear(groups: Sequence[Group], table: Sequence[Row], rows: Sequence[Row], tests: Sequence[Difference]) -> Answer:
    """The linear probe, tested image by image."""
    scores, _ = scores_of(groups, [row["linear"] for row in rows], "linear", table, rows)
    note = "best space by validation, test split"
    return Answer(verdict(scores, tests), scores, baseline_value(table, "pixels", "linear"), note, tests)


def knn(groups: Sequence[Group], table: Sequence[Row], rows: Sequence[Row]) -> Answer:
    """kNN in the space of the linear probe, or in the default one where it was not measured there."""
    spaces = [space_in(group.runs, "knn") for group in groups]
    cells = [
        row["knn"] or cell_of(group.runs, "knn", model="run", space=space)
        for group, row, space in zip(groups, rows, spaces, strict=True)
    ]
    scores, tests = scores_of(groups, cells, "knn", table, rows)
    note = "; ".join(["best space of the linear probe by validation, test split", *other_spaces(groups, "knn")])
    return Answer(verdict(scores, tests), scores, baseline_value(table, "pixels", "knn"), note, tests)


def reconstruction(groups: Sequence[Group], table: Sequence[Row], rows: Sequence[Row]) -> Answer:
    """PSNR of reconstructions."""
    scores, tests = scores_of(groups, [row["reconstruction"] for row in rows], "reconstruction", table, rows)
    return Answer(verdict(scores, tests), scores, note="PSNR on held-out images", tests=tests)


def scores_of(
    groups: Sequence[Group], cells: Sequence[Row | None], key: str, table: Sequence[Row], rows: Sequence[Row]
) -> tuple[list[Score], list[Difference]]:
    """Scores of cells of ``workbench compare``, the highest first, and the tests of groups of several seeds."""
    scores, values = [], []
    for index, (group, cell, row) in enumerate(zip(groups, cells, rows, strict=True)):
        values.append(cell.get("values", []) if cell else [])
        if cell is None or finite_number(cell["value"]) is None:
            continue
        method = group.runs[0].info().get("method")
        untrained = baseline_value(table, f"untrained:{method}", key, row["parameters"])
        text = with_unit(interval_text(cell), SENTENCES[key].unit)
        ends = cell["value"], cell["low"], cell["high"]
        scores.append(Score(index, group.title, group.label, text, *ends, untrained))
    return sorted(scores, key=lambda score: -score.value), seed_differences(key, groups, values)


def other_spaces(groups: Sequence[Group], evaluation: str) -> list[str]:
    """The groups that were not measured in the space of their headline numbers, in words."""
    return [line for group in groups if (line := elsewhere(group.label, group.runs, evaluation))]


def factors(groups: Sequence[Group]) -> Answer:
    """The mean over factors of the share of what can be read beyond chance."""
    scores, values = [], []
    for index, group in enumerate(groups):
        space = space_in(group.runs, "factors")
        known, untrained = (
            [value for run in group.runs if (value := mean_share(run, model, space)) is not None]
            for model in ("run", "untrained")
        )
        values.append(known)
        if known:
            interval = over_seeds(known) if len(known) > 1 else Interval(known[0], float("nan"), float("nan"))
            text = with_unit(format_interval(*interval, digits=1), "%") + of_seeds(len(known), len(group))
            base = fmean(untrained) if untrained else None
            scores.append(Score(index, group.title, group.label, text, *interval, base))
    scores.sort(key=lambda score: -score.value)
    shares_of_pixels = (mean_share(run, "pixels", None) for group in groups for run in group.runs)
    raw = next((value for value in shares_of_pixels if value is not None), None)
    tests = seed_differences("factors", groups, values)
    sentence = " ".join(filter(None, [verdict(scores, tests), leaders(groups) if len(scores) > 1 else ""]))
    note = "mean factor score: 0 % at chance, 100 % perfect; best space of the linear probe by validation"
    return Answer(sentence, scores, raw, "; ".join([note, *other_spaces(groups, "factors")]), tests)


def leaders(groups: Sequence[Group]) -> str:
    """Which group is highest on each factor."""
    by_factor: dict[str, dict[str, float]] = {}
    for group in groups:
        own = [shares(run, "run", space_in(group.runs, "factors")) for run in group.runs]
        for name in dict.fromkeys(name for known in own for name in known):
            by_factor.setdefault(name, {})[group.label] = fmean(known[name] for known in own if name in known)
    highest: dict[str, list[str]] = {}
    for name, values in by_factor.items():
        highest.setdefault(max(values, key=values.__getitem__), []).append(name)
    return (
        "Best model by factor: " + "; ".join(f"{label} ({', '.join(names)})" for label, names in highest.items()) + "."
    )


def shares(run: Run, model: str, space: str | None) -> dict[str, float]:
    """By factor, how far a probe comes from chance, 0, to perfect, 1.

    Args:
        model: ``run``, ``untrained`` or ``pixels``, which have one space.
    """
    return {
        str(row["factor"]): share(row)
        for row in rows_of(run, "factors")
        if str(row.get("model")).partition(":")[0] == model
        and (model == "pixels" or row.get("space") == space)
        and row.get("factor")
    }


def share(row: Row) -> float:
    """How far a probe of a factor comes from chance, 0, to perfect, 1."""
    top = 100.0 if row.get("metric") == "accuracy" else 1.0
    chance = min(finite_number(row.get("chance")) or 0.0, 0.999 * top)
    return (row["value"] - chance) / (top - chance)


def mean_share(run: Run, model: str, space: str | None) -> float | None:
    """The mean of :func:`shares`, in percent."""
    values = shares(run, model, space)
    return 100 * fmean(values.values()) if values else None


def likelihood(groups: Sequence[Group]) -> Answer:
    """Bits per dimension of each group's main kind, the fewest first; upper bounds and estimates are named."""
    scores, values, kinds, bounds = [], [], [], 0
    for index, group in enumerate(groups):
        rows = [
            row
            for run in group.runs
            if (row := total(run.evaluation("likelihood"))) and finite_number(row["value"]) is not None
        ]
        own = [float(row["value"]) for row in rows]
        values.append(own)
        if not rows:
            continue
        first, kind = rows[0], str(rows[0].get("kind") or "")
        ends = [finite_number(first.get(end)) for end in ("low", "high")]
        interval = over_seeds(own) if len(set(own)) > 1 else Interval(own[0], *(x or float("nan") for x in ends))
        text = SIGNS.get(kind, "") + with_unit(format_interval(*interval, digits=2, alone=2), "bits/dim")
        scores.append(Score(index, group.title, group.label, text + of_seeds(len(own), len(group)), *interval))
        kinds.append(f"{group.label}: {in_bits(kind)}")
        bounds += kind == "lower bound"
    scores.sort(key=lambda score: score.value)
    tests = seed_differences("likelihood", groups, values)
    sentence = " ".join(filter(None, [verdict(scores, tests, "Lowest", "lower than"), CAUTION if bounds > 1 else ""]))
    note = " \N{MIDDLE DOT} ".join(["lower is better", *kinds])
    pixels = [
        row["value"]
        for run in (run for group in groups for run in group.runs)
        for row in rows_of(run, "likelihood")
        if row.get("model") == "pixels" and row.get("metric") == "bits_per_dim" and "term" not in row
    ]
    return Answer(sentence, scores, min(pixels, default=None), note, tests)


def samples(groups: Sequence[Group]) -> Answer:
    """Who has samples; no number is measured of them."""
    drawing = [group.label for group in groups if any(run.evaluation("samples").get("variants") for run in group.runs)]
    return Answer(f"Samples of {', '.join(drawing)}; not scored by a metric." if drawing else "")


def cost(groups: Sequence[Group], rows: Sequence[Row]) -> Answer:
    """Training time, with the size of the networks."""
    scores, sizes, devices = [], [], set()
    for index, (group, row) in enumerate(zip(groups, rows, strict=True)):
        seconds = row["seconds"]
        if not is_number(seconds):
            continue
        scores.append(Score(index, group.title, group.label, cost_text("seconds", seconds), seconds))
        devices |= {str(mapping_of(run, "hardware").get("name")) for run in group.runs}
        if is_number(row["parameters"]):
            sizes.append(f"{group.label} {cost_text('parameters', row['parameters'])}")
    scores.sort(key=lambda score: score.value)
    size = f" Parameters: {', '.join(sizes)}." if sizes else ""
    note = "training time" + (", on different hardware" if len(devices) > 1 else "")
    return Answer(ranking(scores, "Shortest", "training time") + size, scores, note=note, zero=True)
