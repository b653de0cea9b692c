"""The line on top of every page: the chosen groups of seeds, the selected images, and the probe set."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from app import theme
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, run_folder, seeds
from app.widgets import image_picker


def show() -> None:
    """A chip for each chosen group, the switch of the seeds, the selected images, and the probe set."""
    with st.container(gap=None):  # one place, also for no chips: what stands below keeps its focus when they come
        chosen = chosen_runs.choices()
        for part, reason in chosen_runs.unknown().items():
            st.warning(theme.literal(f"Run {part} in the URL: {reason}."))
        if chosen:
            line(chosen)


def line(chosen: Sequence[Choice]) -> None:
    """The chips and what stands beside them."""
    dots = "".join(f".st-key-chip_{c.index} button::before{{background:{c.colour}}}" for c in chosen)
    st.html(f"<style>{dots}</style>")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="chips"):
        with st.container(horizontal=True, gap="small", vertical_alignment="center", key="chosen", width="content"):
            for choice in chosen:
                chip(choice, chosen)
        seeds.switch(chosen)
        image_picker.chip(chosen)
        st.html(f'<span class="wb-note">{escape(probe_sets(chosen))}</span>')


def chip(choice: Choice, chosen: Sequence[Choice]) -> None:
    """A group's label and number of seeds; a click opens its seeds."""
    status, several = choice.status, len(choice.members) > 1
    state = "" if status == "finished" else f" :{theme.STATUS.get(status, 'gray')}[{status}]"
    count = f" ({len(choice.members)} seeds)" if several else ""
    with st.container(key=f"chip_{choice.index}", width="content"):
        opened = st.popover(theme.literal(choice.label) + count + state, key=f"seeds_{choice.index}", on_change="rerun")
    if opened.open:
        with opened:
            members(choice, chosen)


def members(choice: Choice, chosen: Sequence[Choice]) -> None:
    """The seeds of a group: those included, the one that represents it, and a way to remove the group."""
    folder = run_folder.content(run_folder.runs_folder())
    ids = folder.groups[folder.group[choice.run.id]]
    names = {run_id: describe(folder.by_id[run_id], folder.short[run_id]) for run_id in ids}
    if len(ids) == 1:
        st.markdown(names[choice.run.id])
    else:
        st.pills(
            "Included seeds",
            ids,
            selection_mode="multi",
            default=[run.id for run in choice.members],
            format_func=names.__getitem__,
            key=f"included {[run.id for run in choice.members]}",
            disabled=chosen_runs.all_seeds(),
            on_change=include,
            args=(choice, chosen),
        )
        if chosen_runs.all_seeds():
            st.caption("All finished seeds are included. Turn off “All seeds” to select some of them.")
        st.pills(
            "Seed shown where a page shows a single network",
            ids,
            default=choice.run.id,
            required=True,
            format_func=names.__getitem__,
            key=f"first {choice.run.id}",
            on_change=represent,
            args=(choice, chosen),
        )
    st.button(
        "Remove",
        key=f"remove_{choice.index}",
        icon=":material/close:",
        help=f"Remove {choice.label} from the comparison",
        on_click=replace_ticks,
        args=(choice, chosen, []),
    )


def describe(summary: run_folder.Summary, short: str) -> str:
    """A run in a line of its group: seed, short id, and status where it is not finished."""
    seed = "" if summary.get("seed") is None else f"seed {summary['seed']}"
    status = "" if summary["status"] == "finished" else str(summary["status"])
    return " \N{MIDDLE DOT} ".join(filter(None, (seed, short, status)))


def include(choice: Choice, chosen: Sequence[Choice]) -> None:
    """Tick the seeds of a group that are marked in its popover; the last one stays."""
    marked = st.session_state[f"included {[run.id for run in choice.members]}"]
    first = [choice.run.id] if choice.run.id in marked or not marked else []
    replace_ticks(choice, chosen, [*first, *marked])


def represent(choice: Choice, chosen: Sequence[Choice]) -> None:
    """Let another seed represent its group."""
    run_id = st.session_state[f"first {choice.run.id}"]
    replace_ticks(choice, chosen, [run_id, *(run.id for run in choice.ticked)])


def replace_ticks(choice: Choice, chosen: Sequence[Choice], ids: Sequence[str]) -> None:
    """Tick other runs of a group; none removes it."""
    ticked = [ids if other is choice else [run.id for run in other.ticked] for other in chosen]
    chosen_runs.choose(run_id for group in ticked for run_id in group)


def probe_sets(chosen: Sequence[Choice]) -> str:
    """The probe sets of the chosen runs in words."""
    texts = {}
    for choice in chosen:
        probe = files.probe(choice.run)
        if probe is not None:
            info = probe.info()
            texts[probe.path.name] = f"{info.get('data', 'probe set')}, {info.get('n', '?')} images"
    if not texts:
        return "no probe set yet"
    return ("probe set: " if len(texts) == 1 else f"{len(texts)} different probe sets: ") + "; ".join(texts.values())
