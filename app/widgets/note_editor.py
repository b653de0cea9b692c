"""The note of a run as an editor: drafts outlive a change of page, and nothing that somebody else wrote is lost."""

import streamlit as st

from app.reading.choice import Choice
from app.widgets import job_panel
from workbench import annotations
from workbench.errors import WorkbenchError
from workbench.run import Run


def show(choice: Choice) -> None:
    """The note as an editor. Its version stands in the session, so that a change by somebody else is noticed."""
    run, state = choice.run, st.session_state
    base_key, draft_key = f"note-base {run.id}", f"note-draft {run.id}"
    try:
        text, version = annotations.note(run)
    except WorkbenchError as error:
        st.warning(str(error))
        return
    if draft_key not in state:
        state[base_key] = text, version
    value = state.get(draft_key, text)
    if state.get(editor(run), value) != value:
        state[f"note-turn {run.id}"] = state.get(f"note-turn {run.id}", 0) + 1
    st.text_area(
        "Note",
        value,  # not set in the session, from where a browser that comes back to the page may miss it
        key=editor(run),
        height=150,
        placeholder="Hypothesis, result, next steps",
        on_change=keep,
        args=(run,),
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        # Never disabled: the click that takes the focus from the text is the one that is to save it.
        st.button("Save note", icon=":material/save:", on_click=save, args=(choice,))
        if draft_key in state:
            st.caption("Not saved yet.")
        if state[base_key][1] != version:
            st.caption("Somebody else has changed this note in the meantime.")
    if theirs := state.get(f"conflict {run.id}"):
        st.warning("Somebody else changed this note while you were writing. Your version is above, theirs below.")
        st.code(theirs[0] or "(note removed)", language=None, wrap_lines=True)
        with st.container(horizontal=True, gap="small"):
            st.button("Merge both", on_click=settle, args=(choice, True))
            st.button("Keep mine", on_click=settle, args=(choice, False))


def editor(run: Run) -> str:
    """The key of the editor of a run's note; another one once it is to show another text than was typed into it."""
    return f"note {run.id} {st.session_state.get(f'note-turn {run.id}', 0)}"


def keep(run: Run, text: str | None = None) -> None:
    """Keep what is not saved, or ``text`` in its place: Streamlit forgets a widget's text once it is not drawn."""
    state = st.session_state
    text = state[editor(run)] if text is None else text
    if text == state[f"note-base {run.id}"][0]:
        state.pop(f"note-draft {run.id}", None)
    else:
        state[f"note-draft {run.id}"] = text


def save(choice: Choice) -> None:
    """Save the note if it was changed here, unless somebody else has changed it meanwhile."""
    run, state = choice.run, st.session_state
    text, (before, version) = state[editor(run)], state[f"note-base {run.id}"]
    if text == before:
        return
    try:
        annotations.write_note(run, text, version)
        state[f"note-base {run.id}"] = annotations.note(run)
        state.pop(f"note-draft {run.id}", None)
        state.pop(f"conflict {run.id}", None)
        job_panel.tell("Note saved.")
    except annotations.NoteConflict as conflict:
        state[f"conflict {run.id}"] = (conflict.theirs, conflict.version)
    except WorkbenchError as error:
        job_panel.tell(str(error), "error")


def settle(choice: Choice, both: bool) -> None:
    """After a conflict: continue on top of the other text, or replace it."""
    run, state = choice.run, st.session_state
    theirs, version = state.pop(f"conflict {run.id}")
    state[f"note-base {run.id}"] = (theirs, version)
    if both:
        keep(run, f"{theirs.rstrip()}\n\n{state[editor(run)].lstrip()}")
    else:
        save(choice)
