"""Strings from files on a terminal: nothing in them may act as a control sequence or as markup."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console
from rich.text import Text

__all__ = ["amount", "cell", "console", "visible"]

_UNITS: Final = ("kB", "MB", "GB", "TB")
_WIDE: Final = 1000  # columns where no person reads: lines are cut by nobody


def visible(text: str, *, breaks: bool = False) -> str:
    """The text with everything that does not print shown as an escape.

    Args:
        breaks: let line breaks stand.

    >>> print(visible("a\\x1b[2Jb\\u202e"))
    a\\x1b[2Jb\\u202e
    """
    if text.isprintable():
        return text
    kept = "\n" if breaks else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def cell(text: object) -> Text:
    """A table's cell that is shown as it stands."""
    return Text(visible(str(text)))


def console() -> Console:
    """Where results are printed: the standard output, in colour and wrapped for people only."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, emoji=False)


def amount(count: int) -> str:
    """A number of bytes for people.

    >>> amount(999), amount(1_250_000)
    ('999 B', '1.2 MB')
    """
    if count < 1000:
        return f"{count} B"
    power = 1
    while power < len(_UNITS) and count >= 999_950 * 1000 ** (power - 1):
        power += 1
    return f"{count / 1000**power:.1f} {_UNITS[power - 1]}"
