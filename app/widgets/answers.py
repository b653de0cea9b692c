"""The answers of the page Overview: numbers of every group of seeds, and what may be said of them in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from app.figures.dot_strip import Score
from app.reading import files
from app.reading.choice import Choice
from app.state.seeds import SeedGroup
from app.widgets import pairs
from workbench.comparison.differences import Difference
from workbench.comparison.seeds import over_seeds
from workbench.comparison.table import Row, baseline_value, cost_text, interval_text, mapping_of
from workbench.format import finite_number, format_interval, is_number
from workbench.report.entries import entries
from workbench.store import Run


@dataclass(frozen=True)
class Answer:
    """What a card says.

    Attributes:
        scores: by group of seeds, the best first; empty where nothing is measured.
        reference: value of raw pixels.
        note: how the numbers are measured.
    """

    sentence: str
    scores: Sequence[Score]
    reference: float | None = None
    note: str = ""
    zero: bool = False


@dataclass(frozen=True)
class Comparison:
    """The groups of seeds that are compared, and their rows of ``workbench compare``."""

    groups: Sequence[SeedGroup]
    choices: Sequence[Choice]
    table: Sequence[Row] = field(repr=False)

    def row(self, group: SeedGroup) -> Row | None:
        """A group's headline row."""
        ids = [run.id for run in group.group.runs]
        return next((row for row in self.table if row["kind"] == "run" and row["ids"] == ids), None)


def of_table(comparison: Comparison, key: str, unit: str) -> list[Score]:
    """Scores of a measure as ``workbench compare`` prints them, the highest first."""
    scores = []
    for seeds in comparison.groups:
        row = comparison.row(seeds)
        cell = row[key] if row else None
        if row is None or cell is None or finite_number(cell["value"]) is None:
            continue
        method = seeds.group.runs[0].info().get("method")
        untrained = baseline_value(comparison.table, f"untrained:{method}", key, row["parameters"])
        text = with_unit(interval_text(cell), unit)
        scores.append(
            Score(
                seeds.group.title,
                seeds.group.label,
                seeds.colour,
                cell["value"],
                text,
                cell["low"],
                cell["high"],
                untrained,
            )
        )
    return sorted(scores, key=lambda score: -score.value)


def with_unit(text: str, unit: str) -> str:
    """``79.9 [78.8, 81.0]`` with its unit behind the value."""
    value, _, rest = text.partition(" ")
    return f"{value} {unit} {rest}".strip()


def ranking(scores: Sequence[Score], best: str = "Highest", what: str = "") -> str:
    """Scores in a sentence, the best first: without a test nothing more is said than their order and intervals.

    Args:
        what: the quantity, where the card's title does not name it.
    """
    if not scores:
        return ""
    first, *others = scores
    if not others:
        return f"{first.name}: {first.text}."
    if all(score.text == first.text for score in others):
        return f"All the same: {first.text}."
    mean = "mean" * any(score.label != score.name for score in scores)
    quantity = " ".join(filter(None, [best, mean, what]))
    rest = " and ".join(f"{score.text} ({score.name})" for score in others)
    overlap = " The intervals of the first two overlap." if overlapping(first, others[0]) else ""
    return f"{quantity}: {first.name}, {first.text}, against {rest}.{overlap}"


def overlapping(first: Score, second: Score) -> bool:
    """Whether two intervals, both known, have a value in common."""
    ends = [finite_number(end) for end in (first.low, first.high, second.low, second.high)]
    if any(end is None for end in ends):
        return False
    low, high, other_low, other_high = (end for end in ends if end is not None)
    return low <= other_high and other_low <= high


def linear(comparison: Comparison) -> Answer:
    """The linear probe; who is ahead is what the test of the differences says."""
    scores = of_table(comparison, "linear", "%")
    tested = pairs.differences([seeds.group for seeds in comparison.groups]) if len(scores) > 1 else []
    note = "linear probe, best space by validation, test split"
    return Answer(verdict(scores, tested), scores, pixels(comparison, "linear"), note)


def verdict(scores: Sequence[Score], tested: Sequence[Difference]) -> str:
    """Whether the highest linear probe is ahead of the others by the paired test; :func:`ranking` if it was not tested.

    Args:
        scores: the highest first.
        tested: all comparisons made together.
    """
    significant = {frozenset((pair.name, pair.other_name)): pair.significant for pair in tested}
    results = [(score, significant.get(frozenset((scores[0].name, score.name)))) for score in scores[1:]]
    known = [(score, differs) for score, differs in results if differs is not None]
    if not known:
        return ranking(scores)
    first = scores[0]
    ahead = [score for score, differs in known if differs]
    equal = [score for score, differs in known if not differs]
    parts = []
    if ahead:
        against = " and ".join(f"{score.text} ({score.name})" for score in ahead)
        of = f" of {' and '.join(score.name for score in ahead)}" if len(ahead) < len(results) else ""
        parts.append(f"{first.name} is ahead{of}: {first.text} against {against}.")
    for score in equal:
        parts.append(f"No difference shown between {first.name} ({first.text}) and {score.name} ({score.text}).")
    parts += [f"{score.name} ({score.text}) could not be tested." for score, differs in results if differs is None]
    return " ".join(parts)


def knn(comparison: Comparison) -> Answer:
    """kNN; without a test, no more than an order."""
    scores = of_table(comparison, "knn", "%")
    return Answer(
        ranking(scores),
        scores,
        pixels(comparison, "knn"),
        "kNN, best space of the linear probe by validation, test split",
    )


def pixels(comparison: Comparison, key: str) -> float | None:
    """The value of raw pixels."""
    return baseline_value(comparison.table, "pixels", key)


def reconstruction(comparison: Comparison) -> Answer:
    """PSNR of reconstructions."""
    scores = of_table(comparison, "reconstruction", "dB")
    return Answer(ranking(scores), scores, note="PSNR of held-out images")


def factors(comparison: Comparison) -> Answer:
    """The mean over factors of the share of what can be read beyond chance."""
    scores = []
    for seeds in comparison.groups:
        values = [value for run in seeds.group.runs if (value := mean_share(run)) is not None]
        untrained = [value for run in seeds.group.runs if (value := mean_share(run, "untrained")) is not None]
        if not values:
            continue
        interval = over_seeds(values) if len(values) > 1 else None
        low, high = (interval.low, interval.high) if interval else (None, None)
        base = fmean(untrained) if untrained else None
        text = with_unit(format_interval(fmean(values), low, high, digits=1), "%")
        scores.append(Score(seeds.group.title, seeds.group.label, seeds.colour, fmean(values), text, low, high, base))
    scores.sort(key=lambda score: -score.value)
    raw = next(
        (v for s in comparison.groups for run in s.group.runs if (v := mean_share(run, "pixels")) is not None), None
    )
    sentence = ranking(scores) + (" " + leaders(comparison) if len(scores) > 1 else "")
    return Answer(sentence.strip(), scores, raw, "mean over factors, 0 % at chance, 100 % perfect; default space")


def leaders(comparison: Comparison) -> str:
    """Which group is highest on each factor."""
    by_factor: dict[str, dict[str, float]] = {}
    for seeds in comparison.groups:
        for name in dict.fromkeys(name for run in seeds.group.runs for name in shares(run)):
            values = [own[name] for run in seeds.group.runs if name in (own := shares(run))]
            by_factor.setdefault(name, {})[seeds.group.label] = fmean(values)
    highest: dict[str, list[str]] = {}
    for name, values in by_factor.items():
        highest.setdefault(max(values, key=values.__getitem__), []).append(name)
    return "Highest by factor: " + "; ".join(f"{label} {', '.join(names)}" for label, names in highest.items()) + "."


def shares(run: Run, model: str = "run") -> dict[str, float]:
    """By factor, how far the probe of a model (``run``, ``untrained`` or ``pixels``) comes from chance, 0, to perfect,
    1, in the default space."""
    evaluation = run.evaluation("factors")
    result: dict[str, float] = {}
    for row in files.rows(evaluation):
        kind = "untrained" if row["model"].startswith("untrained") else row["model"]
        space = model == "pixels" or row.get("space") == evaluation.get("default")
        if kind == model and space and row.get("factor"):
            top = 100.0 if row.get("metric") == "accuracy" else 1.0
            chance = min(finite_number(row.get("chance")) or 0.0, 0.999 * top)
            result[str(row["factor"])] = (row["value"] - chance) / (top - chance)
    return result


def mean_share(run: Run, model: str = "run") -> float | None:
    """The mean of :func:`shares`, in percent."""
    values = shares(run, model)
    return 100 * fmean(values.values()) if values else None


def likelihood(comparison: Comparison) -> Answer:
    """Bits per dimension of each group's main kind, the fewest first; bounds and estimates are named."""

    def whole(run: Run, row: Row) -> bool:
        main = run.evaluation("likelihood").get("kind")
        is_main = row.get("kind") == main if main else "importance" not in str(row.get("kind"))
        return row.get("metric") == "bits_per_dim" and "term" not in row and (row["model"] != "run" or is_main)

    numbers = entries([seeds.group for seeds in comparison.groups], "likelihood", "kind", keep=whole)
    scores, raw, kinds = [], [], []
    for entry in numbers:
        if entry.kind == "run" and entry.group is not None and finite_number(entry.interval.value) is not None:
            seeds = comparison.groups[entry.group]
            text = with_unit(entry.printed(2), "bits/dim")
            kinds.append(f"{seeds.group.label}: {entry.row.get('kind')}")
            scores.append(
                Score(
                    seeds.group.title, seeds.group.label, seeds.colour, entry.interval.value, text, *entry.interval[1:]
                )
            )
        elif entry.kind == "shared" and entry.model.startswith("pixels"):
            raw.append(entry.interval.value)
    scores.sort(key=lambda score: score.value)
    note = " \N{MIDDLE DOT} ".join(["fewer bits per dimension are better", *kinds])
    return Answer(ranking(scores, "Lowest"), scores, min(raw, default=None), note)


def samples(comparison: Comparison) -> Answer:
    made = [
        choice.label for choice in comparison.choices if files.entries(choice.run.evaluation("samples"), "variants")
    ]
    return Answer(f"{', '.join(made)} drew samples; no number is measured of them." if made else "", [])


def cost(comparison: Comparison) -> Answer:
    """Training time, with the size of the networks."""
    scores, sizes, devices = [], [], set()
    for seeds in comparison.groups:
        row = comparison.row(seeds)
        seconds = row["seconds"] if row else None
        if row is None or not is_number(seconds):
            continue
        scores.append(Score(seeds.group.title, seeds.group.label, seeds.colour, seconds, cost_text("seconds", seconds)))
        devices |= {str(mapping_of(run, "hardware").get("name")) for run in seeds.group.runs}
        if is_number(row["parameters"]):
            sizes.append(f"{seeds.group.label} {cost_text('parameters', row['parameters'])}")
    scores.sort(key=lambda score: score.value)
    size = f" Parameters: {', '.join(sizes)}." if sizes else ""
    note = "training time" + (", on different hardware" if len(devices) > 1 else "")
    return Answer(ranking(scores, "Shortest", "training time") + size, scores, note=note, zero=True)
