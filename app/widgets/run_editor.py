"""Notes, tags, names, the archive and the trash of the chosen runs, on the page Runs."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, run_folder
from app.widgets import gaps, job_panel, note_editor, page
from workbench import annotations, jobs
from workbench.errors import WorkbenchError
from workbench.run import Run


def render() -> None:
    """What there is to read and to do for the chosen runs."""
    chosen = chosen_runs.networks(chosen_runs.choices(), every=False)
    if not job_panel.allowed():
        read_only(chosen)
        return
    if chosen:
        st.subheader("Selected runs", anchor=False)
        commands(chosen)
        form(picked(chosen))
    trash()


def read_only(chosen: Sequence[Choice]) -> None:
    """Notes and tags as text, and how to be allowed to change them."""
    for choice in chosen:
        try:
            note, _ = annotations.note(choice.run)
        except WorkbenchError as error:
            note = str(error)
        tags = choice.summary.get("tags", [])
        if note.strip() or tags:
            page.heading(choice.label, choice.colour, " · ".join(tags))
            if note.strip():
                st.text(note.strip()[:2000])
    start = job_panel.command("app", [], "--allow-actions")
    st.caption(f"Read-only. Start the app with `{start}` to edit notes and tags, archive, delete and evaluate.")


def commands(chosen: Sequence[Choice]) -> None:
    """The commands that suit the chosen runs; those whose weights were deleted have none."""
    gone = [choice for choice in chosen if gaps.without_weights(choice)]
    chosen = [choice for choice in chosen if choice not in gone]
    ids = [choice.run.id for choice in chosen if choice.status in ("finished", "interrupted")]
    with st.container(horizontal=True, gap="small"):
        if ids:
            number = f"{len(ids)} run{'s' * (len(ids) > 1)}"
            job_panel.button(f"Evaluate {number}", job_panel.command("evaluate", ids), "bar_chart")
            thorough = job_panel.command("evaluate", ids, "--thorough")
            job_panel.button(f"Evaluate {number} thoroughly", thorough, "science")
        runs = [choice.run for choice in chosen if choice.run.id in ids]
        drawing = [run.id for run in runs if "samples" in files.capabilities(run)]
        if drawing:
            text = job_panel.command("evaluate", drawing, "--only", "samples")
            job_panel.button(f"Sample from {len(drawing)} run{'s' * (len(drawing) > 1)}", text, "brush")
        for choice in chosen:
            if choice.status in ("interrupted", "stalled", "failed"):
                job_panel.button(f"Resume {choice.label}", job_panel.command("resume", [choice.run.id]), "resume")
    if gone:
        page.note(f"{page.names(gone)}: the weights were deleted, so no further evaluation is possible.")


def picked(chosen: Sequence[Choice]) -> Choice:
    """The one of the chosen runs whose note is open."""
    labels = {choice.run.id: choice.label for choice in chosen}
    if len(chosen) == 1:
        return chosen[0]
    if st.session_state.get("noted") not in labels:
        st.session_state["noted"] = chosen[0].run.id
    run_id = st.segmented_control(
        "Run", list(labels), format_func=labels.__getitem__, key="noted", required=True, label_visibility="collapsed"
    )
    return next((choice for choice in chosen if choice.run.id == run_id), chosen[0])


def form(choice: Choice) -> None:
    """Note, name and tags of a run, each saved by itself."""
    run, run_id, state = choice.run, choice.run.id, st.session_state
    left, right = st.columns([3, 2], gap="large")
    with left:
        note_editor.show(choice)
    with right:
        name = choice.summary.get("name") or ""
        summaries = run_folder.summaries(run_folder.runs_folder())
        known = sorted({tag for summary in summaries for tag in summary.get("tags", [])})
        marked = state.get("marked", 0)
        key = f"name {run_id} {name} {marked}"
        st.text_input("Name", name, key=key, on_change=lambda: mark(lambda: annotations.rename(run, state[key])))
        tags = choice.summary.get("tags", [])
        tags_key = f"tags {run_id} {','.join(tags)} {marked}"
        st.multiselect(
            "Tags",
            known,
            tags,
            key=tags_key,
            accept_new_options=True,
            placeholder="Choose or type a tag",
            on_change=lambda: mark(lambda: tag(run, tags, state[tags_key])),
        )
        with st.container(horizontal=True, gap="small"):
            away = choice.summary.get("archived") is True
            st.button(
                "Unarchive" if away else "Archive",
                icon=":material/unarchive:" if away else ":material/archive:",
                help="Hides the run from lists; its files stay in place",
                on_click=act,
                args=(lambda: annotations.archive(run, not away), "" if away else f"{choice.label} is archived."),
            )
            help = "Can be restored until the trash is emptied"
            st.button("Move to trash", icon=":material/delete:", help=help, on_click=delete, args=(choice,))


def mark(change: Callable[[], object]) -> None:
    """Change the name or the tags; the fields then show what is stored, also where the change was refused."""
    act(change)
    st.session_state["marked"] = st.session_state.get("marked", 0) + 1  # in their keys, so they start anew


def tag(run: Run, before: Sequence[str], wanted: Sequence[str]) -> None:
    """Change the tags that were shown into others; what somebody else has changed meanwhile stays."""
    added = [name for name in wanted if name not in before]
    annotations.change_tags(run, added, [name for name in before if name not in wanted])


def delete(choice: Choice) -> None:
    """Move a run to the trash, unless a background command works on it."""
    job = jobs.using(run_folder.runs_folder(), choice.run.id)
    if job is not None:
        job_panel.tell(f"{choice.label} is in use by `{job_panel.title(job)}`; cancel that first.", "error")
        return
    rest = [run_id for run_id in chosen_runs.current() if run_id != choice.run.id]
    if attempt(lambda: annotations.delete(choice.run)):
        chosen_runs.choose(rest)
        job_panel.tell(f"{choice.label} is in the trash.")


def trash() -> None:
    """What was deleted, to be brought back or deleted for good."""
    folder = run_folder.runs_folder()
    runs = annotations.in_trash(folder)
    if not runs:
        return
    with st.expander(f"Trash: {len(runs)} run{'s' * (len(runs) > 1)}", icon=":material/delete:"):
        for run in runs[:50]:
            with st.container(horizontal=True, vertical_alignment="center"):
                args = partial(annotations.restore, run.id, folder), f"{run.id} was restored."
                icon = ":material/restore_from_trash:"
                st.button("Restore", key=f"restore {run.id}", icon=icon, on_click=act, args=args)
                st.markdown(f"{run.summary().get('name') or ''} :gray[{run.id}]")
        with st.popover("Empty trash", icon=":material/delete_forever:"):
            st.markdown("This cannot be undone.")
            empty = partial(annotations.empty_trash, folder, runs)
            st.button(f"Delete {len(runs)} permanently", type="primary", on_click=act, args=(empty,))


def act(change: Callable[[], object], message: str = "") -> None:
    """Change something and say so, or say why it was not possible."""
    if attempt(change) and message:
        job_panel.tell(message)


def attempt(change: Callable[[], object]) -> bool:
    """Change something; say why where that is not possible. Returns whether it was."""
    try:
        change()
    except WorkbenchError as error:
        job_panel.tell(str(error), "error")
        return False
    finally:
        run_folder.content.clear()
    return True
