"""Differences: what is not the same?"""

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from app.reading.choice import Choice
from app.reading.verdict import listed
from app.state import chosen_runs, run_folder
from app.widgets import job_panel, page
from workbench.config import read_yaml
from workbench.errors import WorkbenchError

TITLE = "Differences"
QUESTION = "In which settings do the chosen runs differ?"
ABSENT = object()  # the run's method has no such setting
BORING = ("runs", "name")


def settings_of(choice: Choice) -> dict[str, Any] | None:
    """A run's configuration by key, or None where it is missing or damaged."""
    try:
        settings = read_yaml(choice.run.path / "config.yaml") or None
    except WorkbenchError:
        return None
    if settings and len(choice.members) > 1:
        seeds = [str(run.info().get("seed", "?")) for run in choice.members]
        settings["seed"] = ", ".join(seeds)
    return settings


def differing(configs: Sequence[dict[str, Any]]) -> list[str]:
    """Keys whose values are not the same everywhere: first those that all have, then those that only some have."""
    keys = list(dict.fromkeys(key for config in configs for key in config if key not in BORING))
    different = [
        key for key in keys if any(config.get(key, ABSENT) != configs[0].get(key, ABSENT) for config in configs)
    ]
    return sorted(different, key=lambda key: not all(key in config for config in configs))


def table(configs: dict[str, dict[str, Any]], keys: Sequence[str], colours: dict[str, str]) -> str:
    """Settings by run as HTML; what differs from most runs, or else from the first one, is marked."""
    dot = '<span class="wb-dot" style="background:{}"></span>'
    heads = "".join(f"<th>{dot.format(colours[label])} {escape(label)}</th>" for label in configs)
    body = []
    for key in keys:
        values = [config.get(key, ABSENT) for config in configs.values()]
        counts = Counter(repr(value) for value in values if value is not ABSENT)
        usual = counts.most_common(1)[0][0]  # at a tie, the first
        cells = []
        for value in values:
            if value is ABSENT:
                cells.append('<td class="wb-none">—</td>')
                continue
            text = escape("none" if value is None else str(value))
            cells.append(f"<td>{f'<mark>{text}</mark>' if repr(value) != usual else text}</td>")
        body.append(f"<tr><td>{escape(key)}</td>{''.join(cells)}</tr>")
    content = f"<thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="wb-sheet"><table class="wb-table">{content}</table></div>'


def answer(differences: Sequence[str], runs: int) -> str:
    """How many settings differ, and which."""
    if runs < 2:
        return "Select a second run to compare settings."
    if not differences:
        return "These runs were trained with the same settings."
    count = "1 setting differs" if len(differences) == 1 else f"{len(differences)} settings differ"
    return f"{count}: {listed(differences, 6)}."


def render() -> None:
    chosen = chosen_runs.choices()
    configs = {choice.label: settings_of(choice) for choice in chosen}
    readable = {label: config for label, config in configs.items() if config is not None}
    for label in configs.keys() - readable.keys():
        page.note(f"{label}: config.yaml is missing or damaged, so the settings are unknown.")
    if not readable:
        return
    differences = differing(list(readable.values()))
    page.verdict(answer(differences, len(readable)))
    everything = st.toggle("Show all settings", key="same", bind="query-params")
    owners = {key: [label for label, config in readable.items() if key in config] for key in differences}
    keys = [key for key in differences if len(owners[key]) > 1 or len(readable) == 1]
    if everything:
        keys += dict.fromkeys(key for config in readable.values() for key in config if key not in differences)
    if keys:
        colours = {choice.label: choice.colour for choice in chosen}
        st.html(table(readable, keys, colours))
        page.note(
            "— : the method has no such setting · highlighted: differs from most runs, or with two values from the "
            "first run"
        )
        alone = {label: [key for key in differences if owners[key] == [label]] for label in readable}
        alone = {label: keys for label, keys in alone.items() if keys and len(readable) > 1}
        if alone:
            st.subheader("Settings of one model only", anchor=False)
            for label, keys in page.side_by_side(alone.items()):
                st.html(table({label: readable[label]}, keys, colours))
    st.subheader("Reproduce", anchor=False)
    folder = run_folder.runs_folder()
    for choice in chosen:
        if choice.label in readable:
            page.heading(choice.label, choice.colour, choice.run.id)
            config = str(folder / choice.run.id / "config.yaml")
            method = str(readable[choice.label].get("method", choice.summary.get("method")))
            st.code(job_panel.command("train", [method], "--config", config), language="bash")
