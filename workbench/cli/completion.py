"""What the shell completes beside commands and options: runs, data sets and recipes. No torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.config import COMPLETERS
from workbench.hints import default_runs

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

Candidates = Iterator[tuple[str, str]]
"""Values and their descriptions; the shell keeps those that begin like the word."""


def run_references(context: "CompletionContext") -> Candidates:
    """Names and ids of the runs in the folder that ``--runs`` names, newest first."""
    from workbench.store import list_summaries

    option = context.get("--runs")
    folder = Path(option.raw).expanduser() if option is not None and option.raw else default_runs()
    summaries = list_summaries(folder)
    names = {str(summary["name"]): str(summary["id"]) for summary in reversed(summaries) if summary.get("name")}
    yield from names.items()
    for summary in summaries:
        yield str(summary["id"]), " ".join(str(summary[key]) for key in ("name", "status") if summary.get(key))


def data_sets(context: "CompletionContext") -> Candidates:
    """The built-in data sets, and folders and Parquet files."""
    from workbench.data.datasets import CATALOGUE

    yield from ((name, entry.summary) for name, entry in CATALOGUE.items())
    yield from _paths(context.incomplete, (".parquet",))


def recipes(context: "CompletionContext") -> Candidates:
    """The recipes of ``workbench sweep``, and YAML files."""
    from workbench.config import read_mapping
    from workbench.studies.recipe import known

    yield from ((name, str(read_mapping(file).get("title", ""))) for name, file in known().items())
    yield from _paths(context.incomplete, (".yaml", ".yml"))


def _paths(beginning: str, suffixes: tuple[str, ...]) -> Candidates:
    """Folders, and files with these suffixes, whose paths begin in this way."""
    folder = Path(beginning.rpartition("/")[0] + "/" if "/" in beginning else ".").expanduser()
    prefix = beginning.rpartition("/")[0] + "/" if "/" in beginning else ""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.startswith(".") and (path.is_dir() or path.suffix in suffixes):
            yield f"{prefix}{path.name}{'/' * path.is_dir()}", ""


COMPLETERS.update(data=data_sets, run=run_references)
