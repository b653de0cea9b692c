"""``workbench tag``, ``note``, ``rename``, ``archive``, ``delete`` and ``trash``."""

from typing import Annotated

from cyclopts import Parameter

from workbench import annotations
from workbench.cli.options import RUNS, Reference, References, RunsFolder, find_each_run
from workbench.errors import WorkbenchError
from workbench.hints import command
from workbench.store import find_run


def tag(
    run: Reference,
    /,
    *names: Annotated[str, Parameter(name="NAME", help="Tags to add; without any, the run's tags are printed.")],
    remove: Annotated[bool, Parameter(help="Remove these tags instead.", negative="")] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Add, remove or print a run's tags; `workbench runs --tag` and the app filter by them."""
    chosen = find_run(run, runs)
    tags = annotations.tags(chosen)
    if names:
        missing = [name for name in names if remove and name not in tags]
        if missing:
            raise WorkbenchError(
                f'The run {chosen.id} has no tag "{missing[0]}"; its tags: {", ".join(tags) or "none"}.'
            )
        tags = annotations.change_tags(chosen, remove=names) if remove else annotations.change_tags(chosen, names)
    print(f"{chosen.id}: {', '.join(tags) or 'no tags'}")


def note(
    run: Reference,
    text: Annotated[str | None, Parameter(help="Text to append; without it, the note is printed.")] = None,
    /,
    *,
    replace: Annotated[bool, Parameter(help="Replace the note instead of adding to it.", negative="")] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Add to a run's note (notes.md), or print it."""
    chosen = find_run(run, runs)
    present, version = annotations.note(chosen)
    if text is None:
        if replace:
            example = command("note", chosen.id, "new text", "--replace", runs=runs)
            raise WorkbenchError(f"--replace needs a text, for example `{example}`.")
        print(present.rstrip() or f"{chosen.id} has no note yet.")
        return
    whole = text if replace or not present.strip() else f"{present.rstrip()}\n\n{text}"
    annotations.write_note(chosen, whole.rstrip() + "\n", version)
    print(f"Wrote {chosen.path / 'notes.md'}." if whole.strip() else f"Removed the note of {chosen.id}.")


def rename(
    run: Reference,
    name: Annotated[str, Parameter(help='The new name; "" restores the original one.')],
    /,
    *,
    runs: RunsFolder = RUNS,
) -> None:
    """Rename a run; its id stays the same."""
    chosen = find_run(run, runs)
    annotations.rename(chosen, name)
    new = chosen.summary().get("name")
    print(f"{chosen.id} is now called {new}." if new else f"{chosen.id} no longer has a name.")


def archive(
    *references: References,
    undo: Annotated[bool, Parameter(help="List them again.", negative="")] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Hide runs from lists; `workbench runs --archived` lists them."""
    for run in find_each_run(references, runs):
        annotations.archive(run, not undo)
        print(f"{run.id} is {'listed again' if undo else 'archived'}.")


def delete(*references: References, runs: RunsFolder = RUNS) -> None:
    """Move runs to the trash; `workbench trash --restore RUN` restores them."""
    for run in find_each_run(references, runs):
        annotations.delete(run)
        print(f"{run.id} is in the trash; `{command('trash', '--restore', run.id, runs=runs)}` restores it.")


def trash(
    *,
    empty: Annotated[bool, Parameter(help="Delete everything in the trash permanently.", negative="")] = False,
    restore: Annotated[
        str | None, Parameter(name="--restore", help="Run to restore: its id or a unique prefix.")
    ] = None,
    runs: RunsFolder = RUNS,
) -> None:
    """List the trash, restore a run from it, or empty it."""
    if empty and restore is not None:
        raise WorkbenchError("Give either --empty or --restore RUN, not both.")
    if restore is not None:
        print(f"Restored {annotations.restore(restore, runs).id}.")
        return
    deleted = annotations.in_trash(runs)
    sizes = {run.id: annotations.size(run.path) for run in deleted}
    megabytes = sum(sizes.values()) / 1e6
    if empty:
        count = annotations.empty_trash(runs, deleted)
        print(f"Deleted {count} run{'s' * (count != 1)} permanently, {megabytes:.1f} MB.")
        return
    for run in deleted:
        print(f"{run.id}  {sizes[run.id] / 1e6:.1f} MB  {run.summary().get('name') or ''}".rstrip())
    if not deleted:
        print(f"The trash of {runs} is empty.")
        return
    emptying = command("trash", "--empty", runs=runs)
    print(f"{len(deleted)} in the trash, {megabytes:.1f} MB; delete permanently with `{emptying}`.")
