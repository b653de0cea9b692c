"""``workbench tag``, ``note``, ``rename``, ``archive``, ``delete`` and ``trash``: keeping order among runs."""

from typing import Annotated

from cyclopts import Parameter

from workbench import annotations
from workbench.cli.options import RUNS, Reference, References, RunsFolder
from workbench.errors import WorkbenchError
from workbench.store import find_run


def tag(
    run: Reference,
    /,
    *names: Annotated[str, Parameter(name="NAME", help="Tags to give; without any, the run's tags are printed.")],
    remove: Annotated[bool, Parameter(help="Take these tags away instead.", negative="")] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Give a run tags, by which `workbench runs` and the app can be filtered."""
    found = find_run(run, runs)
    present = annotations.tags(found)
    if names:
        missing = [name for name in names if remove and name not in present]
        if missing:
            told = ", ".join(present) or "none"
            raise WorkbenchError(f'The run {found.id} has no tag "{missing[0]}"; its tags: {told}.')
        present = annotations.change_tags(found, remove=names) if remove else annotations.change_tags(found, names)
    print(f"{found.id}: {', '.join(present) or 'no tags'}")


def note(
    run: Reference,
    text: Annotated[str | None, Parameter(help="What to add at the end; without it, the note is printed.")] = None,
    /,
    *,
    replace: Annotated[bool, Parameter(help="Replace the note instead of adding to it.", negative="")] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Add to a run's note (notes.md), or print it."""
    found = find_run(run, runs)
    present, version = annotations.note(found)
    if text is None:
        if replace:
            raise WorkbenchError('Say what replaces the note, such as `workbench note RUN "text" --replace`.')
        print(present.rstrip() or f"{found.id} has no note yet.")
        return
    whole = text if replace or not present.strip() else f"{present.rstrip()}\n\n{text}"
    annotations.write_note(found, whole.rstrip() + "\n", version)
    print(f"Noted in {found.path / 'notes.md'}." if whole.strip() else f"Removed the note of {found.id}.")


def rename(
    run: Reference,
    name: Annotated[str, Parameter(help='The new name; "" takes the one given here back.')],
    /,
    *,
    runs: RunsFolder = RUNS,
) -> None:
    """Give a run another name; its id stays."""
    found = find_run(run, runs)
    annotations.rename(found, name)
    print(f"{found.id} is now called {found.summary().get('name') or 'by its id alone'}.")


def archive(
    *references: References,
    undo: Annotated[bool, Parameter(help="Show them again.", negative="")] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Hide runs from lists; `workbench runs --archived` shows them."""
    for found in _find(references, runs, "archive"):
        annotations.archive(found, not undo)
        print(f"{found.id} is {'shown again' if undo else 'archived'}.")


def delete(*references: References, runs: RunsFolder = RUNS) -> None:
    """Move runs to the trash, from which `workbench trash --restore RUN` brings them back."""
    for found in _find(references, runs, "delete"):
        annotations.delete(found)
        print(f"{found.id} is in the trash; `workbench trash --restore {found.id}` brings it back.")


def trash(
    *,
    empty: Annotated[bool, Parameter(help="Delete what is in it for good.", negative="")] = False,
    restore: Annotated[
        str | None, Parameter(name="--restore", help="A run to bring back: an id or its beginning.")
    ] = None,
    runs: RunsFolder = RUNS,
) -> None:
    """List what is in the trash, bring a run back, or empty it."""
    if empty and restore is not None:
        raise WorkbenchError("Say either --empty or --restore RUN, not both.")
    if restore is not None:
        print(f"{annotations.restore(restore, runs).id} is back.")
        return
    found = annotations.in_trash(runs)
    sizes = {run.id: annotations.size(run.path) for run in found}
    megabytes = sum(sizes.values()) / 1e6
    if empty:
        count = annotations.empty_trash(runs, found)
        print(f"Deleted {count} run{'s' * (count != 1)} for good, {megabytes:.1f} MB.")
        return
    for run in found:
        print(f"{run.id}  {sizes[run.id] / 1e6:.1f} MB  {run.summary().get('name') or ''}".rstrip())
    print(
        f"{len(found)} in the trash, {megabytes:.1f} MB; `workbench trash --empty` deletes them for good."
        if found
        else f"The trash of {runs} is empty."
    )


def _find(references: tuple[str, ...], runs: RunsFolder, command: str) -> list:
    """All of the runs, before anything is done to one of them."""
    if not references:
        raise WorkbenchError(f"Say which runs, such as `workbench {command} RUN`; `workbench runs` lists them.")
    return list({run.path: run for run in (find_run(reference, runs) for reference in references)}.values())
