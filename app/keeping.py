"""Notes, tags, names, the archive and the trash of the chosen runs, on the page Runs."""

from collections.abc import Callable, Sequence

import streamlit as st

from app import actions, jobs, pieces, reading, selection
from app.selection import Choice
from workbench import marks
from workbench.errors import WorkbenchError

HINT = "started as `workbench app --allow-actions`, the app lets you write notes and tags, archive, delete and evaluate"


def render() -> None:
    """What there is to read and to do for the chosen runs."""
    chosen = selection.choices()
    if not actions.allowed():
        read_only(chosen)
        return
    if chosen:
        st.subheader("The chosen runs", anchor=False)
        commands(chosen)
        form(picked(chosen))
    trash()


def read_only(chosen: Sequence[Choice]) -> None:
    """Notes and tags as text, and how to be allowed to change them."""
    for choice in chosen:
        note, _ = marks.note(choice.run)
        tags = choice.summary.get("tags", [])
        if note.strip() or tags:
            pieces.name(choice.label, choice.colour, " · ".join(tags))
            if note.strip():
                st.text(note.strip()[:2000])
    st.caption(f"Read only: {HINT}.")


def commands(chosen: Sequence[Choice]) -> None:
    """The commands that suit the chosen runs."""
    ids = [choice.run.id for choice in chosen if choice.status in ("finished", "interrupted")]
    with st.container(horizontal=True, gap="small"):
        if ids:
            number = f"{len(ids)} run{'s' * (len(ids) > 1)}"
            actions.button(f"Evaluate {number}", actions.command("evaluate", ids), "bar_chart")
            actions.button(f"Evaluate {number} thoroughly", actions.command("evaluate", ids, "--thorough"), "science")
        drawing = [one.run.id for one in chosen if one.run.id in ids and "samples" in reading.capabilities(one.run)]
        if drawing:
            text = actions.command("evaluate", drawing, "--only", "samples")
            actions.button(f"Draw samples of {len(drawing)} run{'s' * (len(drawing) > 1)}", text, "brush")
        for choice in chosen:
            if choice.status in ("interrupted", "stalled", "failed"):
                actions.button(f"Resume {choice.label}", actions.command("resume", [choice.run.id]), "resume")


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
    run, run_id = choice.run, choice.run.id
    left, right = st.columns([3, 2], gap="large")
    with left:
        note(choice)
    with right:
        name = choice.summary.get("name") or ""
        known = sorted({tag for one in reading.summaries(reading.runs_folder()) for tag in one.get("tags", [])})
        st.text_input(
            "Name",
            name,
            key=f"name {run_id} {name}",
            on_change=lambda: act(lambda: marks.rename(run, st.session_state[f"name {run_id} {name}"])),
        )
        tags = choice.summary.get("tags", [])
        key = f"tags {run_id} {','.join(tags)}"
        st.multiselect(
            "Tags",
            known,
            tags,
            key=key,
            accept_new_options=True,
            placeholder="Choose or type a tag",
            on_change=lambda: act(lambda: marks.set_tags(run, st.session_state[key])),
        )
        with st.container(horizontal=True, gap="small"):
            away = choice.summary.get("archived") is True
            st.button(
                "Show in the list again" if away else "Archive",
                icon=":material/unarchive:" if away else ":material/archive:",
                help="An archived run stays where it is and is hidden from the list",
                on_click=act,
                args=(lambda: marks.archive(run, not away), "" if away else f"{choice.label} is archived."),
            )
            st.button(
                "Move to the trash",
                icon=":material/delete:",
                help="It can be restored until the trash is emptied",
                on_click=delete,
                args=(choice,),
            )


def note(choice: Choice) -> None:
    """The note as an editor. Its version stands in the session, so that a change by somebody else is noticed."""
    run, state = choice.run, st.session_state
    text_key, base_key = f"note {run.id}", f"note-base {run.id}"
    text, version = marks.note(run)
    base = state.get(base_key)
    if base is None or (state.get(text_key, base[0]) == base[0] and base != (text, version)):
        state[base_key], state[text_key] = (text, version), text
    elif text_key not in state:  # the widget was not drawn for a while, and Streamlit forgot its value
        state[text_key] = base[0]
    st.text_area("Note", key=text_key, height=150, placeholder="What was tried, what came out, what is next")
    changed = state[text_key] != state[base_key][0]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Save the note", icon=":material/save:", disabled=not changed, on_click=save, args=(choice,))
        if state[base_key][1] != version:
            st.caption("Somebody else has changed this note meanwhile.")
    if theirs := state.get(f"conflict {run.id}"):
        st.warning("Somebody else changed this note while you wrote. Nothing is lost: yours is above, theirs is here.")
        st.code(theirs[0] or "(they removed the note)", language=None, wrap_lines=True)
        with st.container(horizontal=True, gap="small"):
            st.button("Put both together", on_click=settle, args=(choice, True))
            st.button("Save mine instead", on_click=settle, args=(choice, False))


def save(choice: Choice) -> None:
    """Save the note unless it was changed meanwhile."""
    run, state = choice.run, st.session_state
    text = state[f"note {run.id}"]
    try:
        marks.write_note(run, text, state[f"note-base {run.id}"][1])
        state[f"note-base {run.id}"] = (text, marks.note(run)[1])
        state.pop(f"conflict {run.id}", None)
        actions.tell("The note is saved.")
    except marks.NoteConflict as conflict:
        state[f"conflict {run.id}"] = (conflict.theirs, conflict.version)
    except WorkbenchError as error:
        actions.tell(str(error), "error")


def settle(choice: Choice, both: bool) -> None:
    """After a conflict: continue on top of the other text, or replace it."""
    run, state = choice.run, st.session_state
    theirs, version = state.pop(f"conflict {run.id}")
    state[f"note-base {run.id}"] = (theirs, version)
    if both:
        state[f"note {run.id}"] = f"{theirs.rstrip()}\n\n{state[f'note {run.id}'].lstrip()}"
    else:
        save(choice)


def delete(choice: Choice) -> None:
    """Move a run to the trash, unless a background command works on it."""
    job = jobs.using(reading.runs_folder(), choice.run.id)
    if job is not None:
        actions.tell(f"{choice.label} is in use by `{actions.title(job)}`; cancel that first.", "error")
        return
    rest = [other.run.id for other in selection.choices() if other.run.id != choice.run.id]
    if attempt(lambda: marks.delete(choice.run)):
        selection.choose(rest)
        actions.tell(f"{choice.label} is in the trash.")


def trash() -> None:
    """What was deleted, to be brought back or deleted for good."""
    folder = reading.runs_folder()
    found = marks.in_trash(folder)
    if not found:
        return
    with st.expander(f"Trash: {len(found)} run{'s' * (len(found) > 1)}", icon=":material/delete:"):
        for run in found[:50]:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button(
                    "Restore",
                    key=f"restore {run.id}",
                    icon=":material/restore_from_trash:",
                    on_click=act,
                    args=(lambda run=run: marks.restore(run.id, folder), f"{run.id} is back."),
                )
                st.markdown(f"{run.summary().get('name') or ''} :gray[{run.id}]")
        with st.popover("Empty the trash", icon=":material/delete_forever:"):
            st.markdown("What is in the trash is then gone for good.")
            st.button(
                f"Delete {len(found)} for good", type="primary", on_click=act, args=(lambda: marks.empty_trash(folder),)
            )


def act(change: Callable[[], object], told: str = "") -> None:
    """Change something and say so, or say why it was not possible."""
    if attempt(change) and told:
        actions.tell(told)


def attempt(change: Callable[[], object]) -> bool:
    """Change something; say why where that is not possible. Returns whether it was."""
    try:
        change()
    except WorkbenchError as error:
        actions.tell(str(error), "error")
        return False
    finally:
        reading.summaries.clear()
    return True
