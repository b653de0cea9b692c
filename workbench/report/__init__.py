"""``workbench report``: what was compared, and what may be concluded, in one self-contained file. No torch.

:mod:`content` gathers a :class:`~workbench.report.document.Document` from what evaluation has stored; a
module per format writes it: :mod:`html`, :mod:`markdown`, :mod:`latex`; :mod:`tidy` writes the numbers as CSV.
"""

from collections.abc import Sequence
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.files import replacing
from workbench.report import conclusions, html, latex, long_table, markdown
from workbench.store import Run

SUFFIXES = (".html", ".md", ".tex", ".csv")


def render(runs: Sequence[Run], suffix: str) -> str:
    """The report of runs as text in the format of a suffix among :data:`SUFFIXES`."""
    if suffix == ".csv":
        return long_table.write(runs)
    return {".html": html, ".md": markdown, ".tex": latex}[suffix].write(conclusions.gather(runs))


def check(path: Path) -> None:
    """Raise a WorkbenchError unless a report can be written in the format that the path's suffix names."""
    if path.suffix not in SUFFIXES:
        raise WorkbenchError(f"The file {path} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    if path.is_dir():
        raise WorkbenchError(f"{path} is a folder; name a file for the report.")


def write(runs: Sequence[Run], path: Path) -> None:
    """Write the report of runs to a file, whole or not at all.

    Raises:
        WorkbenchError: an unknown suffix, or a place that cannot be written.
    """
    check(path)
    text = render(runs, path.suffix)
    with replacing(path, "w") as file:
        file.write(text)
