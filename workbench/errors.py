"""The exception with a message for users, and helpers for its text."""

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 100  # more names than this are not all listed in a message


class WorkbenchError(Exception):
    """Bad input or environment: one sentence that says what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


def unknown(kind: str, given: str, known: Iterable[str], where: str = "") -> WorkbenchError:
    """The error for a name that is not among the known ones, with the nearest suggestion.

    Args:
        kind: what the name should have been, such as ``"method"``.
        given: the name that was given.
        known: the names that exist.
        where: the file it stood in, if any.
    """
    names = sorted(known)
    near = get_close_matches(given, names, n=1)
    listed = ", ".join(names) if len(names) <= MANY else f"{', '.join(names[:3])} and {len(names) - 3:,} more"
    hint = f'did you mean "{near[0]}"?' if near else f"there are: {listed}."
    place = f" in {where}" if where else ""
    return WorkbenchError(f'Unknown {kind} "{given}"{place}; {hint}')


def first_line(error: BaseException) -> str:
    """The first line of another library's error, without its full stop, to quote in a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
