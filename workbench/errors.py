"""The one exception meant for people."""

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 100  # names, above which a message does not list them all


class WorkbenchError(Exception):
    """Bad input or a bad surrounding: one sentence that says what, where and what to do.

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
    told = ", ".join(names) if len(names) <= MANY else f"{', '.join(names[:3])} and {len(names) - 3:,} more"
    hint = f'did you mean "{near[0]}"?' if near else f"there are: {told}."
    place = f" in {where}" if where else ""
    return WorkbenchError(f'Unknown {kind} "{given}"{place}; {hint}')
