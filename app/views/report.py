"""Report: what can I conclude?"""

from collections.abc import Sequence
from html import escape

import pandas as pd
import streamlit as st

from app.state import chosen_runs, run_folder
from app.state.seeds import SeedGroup, seed_groups
from app.widgets import gaps, job_panel, page, pairs, subset
from workbench import palette, report
from workbench.comparison import seed_tests
from workbench.comparison.differences import caveat
from workbench.comparison.seeds import Group
from workbench.comparison.table import COSTS, HEADINGS, cost_text, group_table, interval_text, notes
from workbench.report import answers
from workbench.store import Run

TITLE = "Report"
QUESTION = "Which differences between the models are significant?"
FORMATS = {
    ".html": ("HTML", "text/html", "one page with figures"),
    ".md": ("Markdown", "text/markdown", "text and tables"),
    ".tex": ("LaTeX", "application/x-tex", "text and booktabs tables"),
    ".csv": ("CSV", "text/csv", "all numbers, one measurement per row"),
}


def render() -> None:
    chosen, missing = gaps.split(chosen_runs.choices(), "linear")
    if chosen:
        comparable, _ = gaps.comparable(chosen)
        groups = seed_groups(comparable, "linear")
        conclusions(groups)
        table([group.group for group in groups])
        downloads([run for group in groups for run in group.group.runs])
    gaps.explain(missing, "linear")


def conclusions(groups: Sequence[SeedGroup]) -> None:
    """Who is ahead in every measure, then every comparison in a sentence and as a picture."""
    compared = [group.group for group in groups]
    differing = pairs.differences(compared)
    measured = answers.answers(compared, differing)
    colours = {group.group.runs[0].id: group.colour for group in groups}
    for key, answer in measured.items():
        if answer.scores:
            first = groups[answer.scores[0].group].colour
            sentence(f"{answers.TITLES[key]}: {answer.sentence}", first)
    if differing:
        st.subheader("Linear probe differences", anchor=False)
        some = subset.subset_of([group.choice for group in groups], single=False)
        among = pairs.among(differing, groups, [group for group in groups if group.choice in some])
        pairs.chart(among, len(differing), colours, "report-differences")
        for pair in among:
            sentence(str(pair), colours.get(pair.run, palette.GREY) if pair.significant else "")
        page.note(caveat(differing))
    tests = [pair for key, answer in measured.items() if key != "linear" for pair in answer.tests]
    if tests:
        st.subheader("Other differences, tested over seeds", anchor=False)
        for pair in tests:
            sentence(str(pair), colours.get(pair.run, palette.GREY) if pair.significant else "")
        page.note(seed_tests.CAVEAT)


def sentence(text: str, colour: str) -> None:
    """A sentence with the dot of a model; in grey without a colour."""
    ring = f"box-shadow:0 0 0 1.5px {palette.GREY}55"
    dot = f'<span class="wb-dot" style="background:{colour or "transparent"};{ring}"></span>'
    style = "" if colour else "color:var(--wb-muted)"
    row = "display:flex;gap:.6rem;align-items:baseline;margin:.3rem 0"
    st.html(f'<div style="{row}">{dot}<span style="{style}">{escape(text)}</span></div>')


def table(groups: Sequence[Group]) -> None:
    """Runs, groups and baselines side by side, as ``workbench compare`` prints them."""
    rows = group_table(groups)
    entries = []
    for row in rows:
        seeds = f" ({len(row['seeds'])} seeds)" if len(row["seeds"]) > 1 else ""
        best = ", default space" if row["kind"] == "default space" else ""
        entry = {"model": f"{row['model']}{seeds}{best}", "space": row["space"] or ""}
        entry |= {title: interval_text(row[key]) for key, title in HEADINGS.items()}
        entries.append(entry | {title: cost_text(key, row[key]) for key, title in COSTS.items()})
    frame = pd.DataFrame(entries)
    st.subheader("Comparison table", anchor=False)
    st.dataframe(frame.loc[:, (frame != "").any()], hide_index=True, height="content")
    for text in notes(rows, run_folder.runs_folder()):
        page.note(text)
    for row in rows:
        if row["warning"]:
            st.caption(row["warning"])


def downloads(runs: Sequence[Run]) -> None:
    """The report as a file, made when it is asked for."""
    st.subheader("Download", anchor=False)
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
    page.note("Each file is self-contained. The same report from the command line:")
    st.code(job_panel.command("report", [run.id for run in runs], "--output", "report.html"), language="bash")
