"""What a report says, gathered from the runs in an order in which it can be read."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench import __version__
from workbench.comparison import differences, seed_tests
from workbench.comparison.colours import colours_of
from workbench.comparison.seeds import Group, group_runs
from workbench.comparison.table import AGREE, Row, comparison_table, different_images, mapping_of
from workbench.config import read_yaml
from workbench.errors import WorkbenchError
from workbench.figures.dots import Dot, Dots
from workbench.format import format_interval
from workbench.headline import rows_of
from workbench.palette import run_colour
from workbench.report import answers, sections
from workbench.report.answers import Answer
from workbench.report.document import Block, Code, Document, Figure, Heading, Paragraph, Points, Table
from workbench.store import Run, now

THOROUGH = ("linear_sgd", "finetune", "decoder")  # evaluations that are not made unless asked for
PRIVATE = ("runs", "name", "seed")  # settings that are no part of the experiment, or told elsewhere


def gather(runs: Sequence[Run]) -> Document:
    """The report of runs."""
    groups = group_runs(runs)
    data = dict.fromkeys(str(mapping_of(run, "data").get("name") or "unknown data") for run in runs)
    labels = [group.label for group in groups]
    models = " and ".join(filter(None, (", ".join(labels[:-1]), *labels[-1:])))
    counted = f"{len(runs)} run{'s' * (len(runs) > 1)}"
    counted += f" in {len(groups)} groups" if len(groups) < len(runs) else ""
    blocks = [
        *conclusions(groups),
        Paragraph(intervals(groups), small=True),
        *sections.all_of(groups),
        *compared(groups),
        *settings(groups),
        *versions(runs),
        *again(groups),
    ]
    title = f"{models} on {' and '.join(data)}"
    return Document(title, f"{counted}, written {now()[:10]} by representation-workbench {__version__}", blocks)


def conclusions(groups: Sequence[Group]) -> list[Block]:
    """Who is ahead in every measure, what may be said of every pair, what could not be tested, and what stands in the
    way of comparing."""
    blocks: list[Block] = [Heading("Conclusions")]
    measured: dict[str, Answer] = {}
    try:
        pairs, missing = differences.group_differences(groups), differences.left_out(groups)
        measured = answers.answers(groups, pairs)
    except WorkbenchError as error:
        pairs, missing = [], [f"No differences were tested: {error}"]
    blocks += verdicts(measured)
    if pairs:
        blocks += tested(groups, pairs)
    elif not missing:
        blocks.append(Paragraph("No differences were tested: there is only one model."))
    blocks += over_seeds(measured)
    table = comparison_table([run for group in groups for run in group.runs])
    warnings = [*(row["warning"] for row in table if row["warning"]), *different_images(table)]
    return [*blocks, *map(Paragraph, (*missing, *warnings))]


def verdicts(measured: Mapping[str, Answer]) -> list[Block]:
    """The ranking in every measure, a sentence each, and how its numbers are measured."""
    known = {key: answer for key, answer in measured.items() if answer.scores}
    others = [answer.sentence for key, answer in measured.items() if key not in known and answer.sentence]
    missing = [answers.TITLES[key] for key, answer in measured.items() if not answer.scores and not answer.sentence]
    if not known:
        return []
    notes = [f"{answers.TITLES[key]}: {answer.note}." for key, answer in known.items() if answer.note]
    notes += [*others, *([f"Not measured: {', '.join(missing)}."] if missing else [])]
    sentences = [(f"{answers.TITLES[key]}: {answer.sentence}", True) for key, answer in known.items()]
    return [Points(sentences), Paragraph(" ".join(notes), small=True)]


def over_seeds(measured: Mapping[str, Answer]) -> list[Block]:
    """Every pair in a sentence, of the measures that are tested over seeds."""
    pairs = [pair for key, answer in measured.items() if key != "linear" for pair in answer.tests]
    if not pairs:
        return []
    return [Points([(str(pair), pair.significant) for pair in pairs]), Paragraph(seed_tests.CAVEAT, small=True)]


def tested(groups: Sequence[Group], pairs: Sequence[differences.Difference]) -> list[Block]:
    """Every pair in a sentence, then as a picture."""
    colours = colours_of([group.runs[0] for group in groups])
    labels = [f"{pair.name} \N{MINUS SIGN} {pair.other_name}" for pair in pairs]
    dots = [
        Dot(
            row,
            *pair.difference,
            outer=pair.simultaneous[1:],
            colour=run_colour(colours.get(pair.run) if pair.significant else None),
            hollow=not pair.significant,
            note=format_interval(*pair.simultaneous, digits=1, sign="+"),
        )
        for row, pair in enumerate(pairs)
    ]
    caption = (
        f"Linear probes on the same {pairs[0].n:,} test images. Thick: 95 % interval of a single comparison; thin, "
        f"and in the labels: corrected for all {len(pairs)} comparisons. Filled: significant (thin line excludes 0)."
    )
    return [
        Points([(str(pair), pair.significant) for pair in pairs]),
        Figure("differences", Dots("difference in top-1, points", labels, dots), caption),
        Paragraph(differences.caveat(pairs), small=True),
    ]


def intervals(groups: Sequence[Group]) -> str:
    """What the intervals of the tables are."""
    single = (
        "95 % intervals over test images (for retrieval: queries), which do not include the variation between seeds"
    )
    if all(len(group) == 1 for group in groups):
        return f"Brackets below: {single}."
    return (
        "Runs that differ only in their seed form a group. Brackets below: for groups and their untrained networks, "
        f"95 % intervals of the mean over seeds (Student's t); for everything else, {single}. "
        f"{AGREE}"
    )


def compared(groups: Sequence[Group]) -> list[Block]:
    """The runs, one by one."""
    rows = []
    for group in groups:
        for run in group.runs:
            data, info = mapping_of(run, "data"), run.info()
            size = f" ({data['train']:,})" if isinstance(data.get("train"), int) else ""
            images = f"{data.get('name')}{size}"
            checkpoints = dict.fromkeys(str(c["checkpoint"]) for c in run.evaluations().values() if c.get("checkpoint"))
            cells = [group.label, run.id, info.get("seed"), images, info.get("status"), "; ".join(checkpoints)]
            rows.append(["" if cell is None else str(cell) for cell in cells])
    headings = ["model", "run", "seed", "data", "status", "checkpoint evaluated"]
    note = "In parentheses: number of training images."
    return [Heading("Runs"), Table("Runs compared", headings, rows, words=6, note=note)]


def settings(groups: Sequence[Group]) -> list[Block]:
    """The settings that are not the same for all, and every setting of each group."""
    configs = {group.label: config for group in groups if (config := _config(group.runs[0]))}
    if not configs:
        return []
    keys = dict.fromkeys(key for config in configs.values() for key in config if key not in PRIVATE)
    values = {key: [str(config.get(key, "\N{EM DASH}")) for config in configs.values()] for key in keys}
    shared = [key for key in keys if sum(key in config for config in configs.values()) > 1]
    rows = [[key, *values[key]] for key in shared if len(set(values[key])) > 1 and key != "method"]
    blocks: list[Block] = [Heading("Settings")]
    if rows:
        note = "\N{EM DASH}: the method has no such setting."
        table = Table("Settings that differ", ["setting", *configs], rows, words=1 + len(configs), note=note)
        blocks.append(table)
    for label, config in configs.items():
        text = "\n".join(f"{key}: {value}" for key, value in config.items() if key not in PRIVATE)
        blocks.append(Code(text, f"All settings of {label}"))
    return blocks


def _config(run: Run) -> Row:
    try:
        return read_yaml(run.path / "config.yaml")
    except WorkbenchError:
        return {}


def versions(runs: Sequence[Run]) -> list[Block]:
    """What the runs were trained with: one column where all agree."""
    packages = {run.id: mapping_of(run, "versions") for run in runs}
    kinds: dict[tuple, list[str]] = {}
    for run_id, own in packages.items():
        kinds.setdefault(tuple(sorted((str(k), str(v)) for k, v in own.items())), []).append(run_id)
    kinds.pop((), None)
    if not kinds:
        return []
    names = dict.fromkeys(name for kind in kinds for name, _ in kind)
    heads = ["version"] if len(kinds) == 1 else [", ".join(run_id[-4:] for run_id in ids) for ids in kinds.values()]
    rows = [[name, *(dict(kind).get(name, "") for kind in kinds)] for name in names]
    return [Heading("Versions"), Table("Software", ["package", *heads], rows, words=1 + len(kinds))]


def again(groups: Sequence[Group]) -> list[Block]:
    """The commands that make it all again."""
    lines = []
    for group in groups:
        for run, seed in zip(group.runs, group.seeds, strict=True):
            more = "" if seed is None else f" --seed {seed}"
            method = run.info().get("method") or "METHOD"
            config = shlex.quote(f"{_place(run)}/config.yaml")
            lines.append(f"workbench train {method} --config {config}{more}")
    runs = [run for group in groups for run in group.runs]
    places = " ".join(shlex.quote(_place(run)) for run in runs)
    thorough = " --thorough" if any(rows_of(run, name) for run in runs for name in THOROUGH) else ""
    targets = dict.fromkeys(str(row.get("target")) for run in runs for row in rows_of(run, "transfer"))
    lines.append(f"workbench evaluate {places}{thorough}")
    lines += [f"workbench evaluate {places} --transfer-to {shlex.quote(target)}" for target in targets]
    lines.append(f"workbench report {places} --output report.html")
    note = "The configurations are listed above. New runs get new ids; replace these with them."
    return [Heading("Reproduce"), Code("\n".join(lines)), Paragraph(note, small=True)]


def _place(run: Run) -> str:
    """A run's folder, as it is typed where the report is written."""
    path, here = run.path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
