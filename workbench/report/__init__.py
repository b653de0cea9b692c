"""``workbench report``: what was compared, and what may be concluded, in one self-contained file. No torch.

:mod:`conclusions` makes a :class:`~workbench.report.document.Document` of what evaluation has stored; :mod:`writers`
turns it into HTML, Markdown or LaTeX; :mod:`long_table` writes the numbers as CSV.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.files import replacing, safe_name
from workbench.report import conclusions, long_table, writers
from workbench.report.document import Figure
from workbench.store import Run

SUFFIXES = (".html", ".md", ".tex", ".csv")


def render(runs: Sequence[Run], suffix: str) -> str:
    """The report of runs as text in the format of a suffix among :data:`SUFFIXES`; LaTeX is without figures."""
    if suffix == ".csv":
        return long_table.write(runs)
    return writers.write(conclusions.gather(runs), suffix)


def check(path: Path) -> None:
    """Raise a WorkbenchError unless a report can be written in the format that the path's suffix names."""
    if path.suffix not in SUFFIXES:
        raise WorkbenchError(f"The file {path} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    if path.is_dir():
        raise WorkbenchError(f"{path} is a folder; name a file for the report.")


def write(runs: Sequence[Run], path: Path, *, pgf: bool = False) -> None:
    """Write the report of runs to a file, whole or not at all; figures of LaTeX go to a folder beside it.

    Args:
        pgf: figures of LaTeX as PGF, in the font of the document, instead of PDF; pictures stay PDF.

    Raises:
        WorkbenchError: an unknown suffix, a place that cannot be written, or PGF without LaTeX.
    """
    check(path)
    files: dict[str, bytes] = {}
    if path.suffix == ".tex":
        document = conclusions.gather(runs)
        figures = {block.name: block.drawing for block in document.blocks if isinstance(block, Figure)}
        suffixes = {name: ".pgf" if pgf and not figure.has_pictures else ".pdf" for name, figure in figures.items()}
        places = {name: f"{safe_name(path.stem)}-figures/{name}{suffix}" for name, suffix in suffixes.items()}
        files[path.name] = writers.write(document, ".tex", places).encode()
        files |= {places[name]: figure.render(suffixes[name]) for name, figure in figures.items()}
    else:
        files[path.name] = render(runs, path.suffix).encode()
    with ExitStack() as stack:  # renamed when all are written, the report last
        for name, content in files.items():
            stack.enter_context(replacing(path.parent / name)).write(content)
