"""Report: what can I conclude?"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd
import streamlit as st

from app import theme
from app.figures.dots import Dot, forest
from app.reading import files
from app.state import chosen_runs
from app.state.seeds import SeedGroup, seed_groups
from app.widgets import gaps, job_panel, page
from workbench import palette, report
from workbench.comparison import differences
from workbench.comparison.seeds import Group
from workbench.comparison.table import COSTS, HEADINGS, comparison_table, cost_text, interval_text, notes
from workbench.errors import WorkbenchError
from workbench.store import Run

TITLE = "What can I conclude?"
FORMATS = {
    ".html": ("HTML", "text/html", "with figures, to be read and printed"),
    ".md": ("Markdown", "text/markdown", "tables and sentences"),
    ".tex": ("LaTeX", "application/x-tex", "booktabs tables"),
    ".csv": ("CSV", "text/csv", "all numbers, one measurement a row"),
}
Members = tuple[tuple[str, tuple[Path, ...], tuple[int | None, ...]], ...]


def render() -> None:
    chosen, missing = gaps.split(
        chosen_runs.choices(), "linear", lambda _, evaluation: files.rows(evaluation, model="run")
    )
    if chosen:
        comparable, _ = gaps.comparable(chosen)
        groups = seed_groups(comparable, "linear")
        conclusions(groups)
        table([group.group for group in groups])
        downloads([run for group in groups for run in group.group.runs])
    gaps.explain(missing, "linear")


@st.cache_data(max_entries=16, show_spinner="Comparing every pair on the same images")
def measured(members: Members, evaluated: tuple[str | None, ...]) -> tuple[list[differences.Difference], list[str]]:
    """Every pair among groups, given by label, folders and seeds, and what cannot be tested; computed once for each
    state of their probes."""
    groups = [Group(label, tuple(map(Run, paths)), seeds) for label, paths, seeds in members]
    return differences.group_differences(groups), differences.left_out(groups)


def conclusions(groups: Sequence[SeedGroup]) -> None:
    """Every comparison in a sentence, then as a picture."""
    members = tuple((g.label, tuple(run.path for run in g.runs), g.seeds) for g in (group.group for group in groups))
    evaluated = tuple(run.evaluation("linear").get("created") for group in groups for run in group.group.runs)
    try:
        pairs, left_out = measured(members, evaluated)
    except WorkbenchError as error:
        st.warning(str(error))
        return
    for sentence in left_out:
        st.caption(theme.literal(sentence))
    if not pairs:
        return
    colours = {group.group.runs[0].id: group.colour for group in groups}
    lines = []
    for pair in pairs:
        colour = colours.get(pair.run, palette.GREY) if pair.real else "transparent"
        dot = f'<span class="wb-dot" style="background:{colour};box-shadow:0 0 0 1.5px {palette.GREY}55"></span>'
        style = "" if pair.real else f"color:{palette.GREY}"
        row = "display:flex;gap:.6rem;align-items:baseline;margin:.3rem 0"
        lines.append(f'<div style="{row}">{dot}<span style="{style}">{escape(str(pair))}</span></div>')
    st.html("".join(lines))
    page.note(differences.caveat(pairs))
    dots = [
        Dot(
            str(pair),
            colours.get(pair.run, palette.GREY) if pair.real else palette.GREY,
            *pair.difference,
            main=pair.real,
        )
        for pair in pairs
    ]
    labels = [group.group.label for group in groups]
    names = [f"{_short(pair.label, labels)} \N{MINUS SIGN} {_short(pair.other, labels)}" for pair in pairs]
    figure = forest(names, dots, "difference in top-1, points")
    page.chart(figure, "report-differences", "differences of accuracy with intervals")
    page.note(
        f"linear probe of each model's best space by validation · test split · n = {pairs[0].n:,} · bars: 95 % "
        f"interval · in colour: significant at 5 % among {len(pairs)} comparisons"
    )


def _short(label: str, groups: Sequence[str]) -> str:
    """A model's label without space and number of seeds, which the sentences tell.

    Args:
        groups: labels of the groups, which may hold brackets of their own.
    """
    names = [name for group in groups for name in (group, f"untrained {group}")]
    return max((name for name in names if f"{label} (".startswith(f"{name} (")), key=len, default=label)


def table(groups: Sequence[Group]) -> None:
    """Runs, groups and baselines side by side, as ``workbench compare`` prints them."""
    rows = comparison_table([run for group in groups for run in group.runs])
    entries = []
    for row in rows:
        seeds = f" ({len(row['seeds'])} seeds)" if len(row["seeds"]) > 1 else ""
        best = ", best space" if row["kind"] == "best space" else ""
        entry = {"model": f"{row['model']}{seeds}{best}", "space": row["space"] or ""}
        entry |= {title: interval_text(row[key]) for key, title in HEADINGS.items()}
        entries.append(entry | {title: cost_text(key, row[key]) for key, title in COSTS.items()})
    frame = pd.DataFrame(entries)
    st.subheader("Side by side", anchor=False)
    st.dataframe(frame.loc[:, (frame != "").any()], hide_index=True, height="content")
    for text in notes(rows):
        page.note(text)
    for row in rows:
        if row["warning"]:
            st.caption(row["warning"])


def downloads(runs: Sequence[Run]) -> None:
    """The report as a file, made when it is asked for."""
    st.subheader("Take it along", anchor=False)
    with st.container(horizontal=True, gap="small"):
        for suffix, (name, mime, what) in FORMATS.items():
            st.download_button(
                name,
                data=lambda suffix=suffix: report.render(runs, suffix).encode(),
                file_name=f"report{suffix}",
                mime=mime,
                key=f"report{suffix}",
                help=what,
                icon=":material/download:",
                on_click="ignore",
            )
    page.note("each one file that needs nothing else; the command makes the same:")
    st.code(job_panel.command("report", [run.id for run in runs], "--output", "report.html"), language="bash")
