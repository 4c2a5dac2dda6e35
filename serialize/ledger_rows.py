"""Entries of the ledger as rows of the document, and back.

A row is `[kind, what, place]`, or `[kind, what, place, expression, value, count, entry]` where one of the last four
says something. Expressions are source text: they are left out where source lines are.
"""

from __future__ import annotations

from typing import Any, Final

from ..ir.errors import ArgumentError, FileFormatError
from ..ir.ledger import LedgerEntry
from .limits import MAX_NAME, MAX_TEXT
from .strict_json import integer, is_text, sequence, text
from .tables import TableReader, TableWriter

__all__ = ["read_entry", "write_entry"]

_NOTHING: Final = ["", "", 1, ""]
_MOST: Final = 2**53 - 1  # a count that every JSON reader holds exactly


def write_entry(entry: LedgerEntry, tables: TableWriter) -> list[Any]:
    """The row of an entry.

    Raises:
        ArgumentError: for a text that a file does not hold.
    """
    row = [_checked(entry.kind), _checked(entry.what), tables.place(entry.location)]
    expression = entry.expression if tables.sources else ""
    rest = [_checked(expression), _checked(entry.value), min(entry.count, _MOST), _checked(entry.entry, MAX_NAME)]
    return row if rest == _NOTHING else row + rest


def _checked(value: str, limit: int = MAX_TEXT) -> str:
    if not is_text(value, limit):
        raise ArgumentError(f"the text {value[:80]!a} cannot be saved", expected=f"at most {limit} characters")
    return value


def read_entry(row: Any, tables: TableReader) -> LedgerEntry:
    """The entry of a row.

    Raises:
        FileFormatError: when it is none.
    """
    kind, what, place, *rest = sequence(row, "an entry of the ledger", 3, 7)
    location, _ = tables.place(place, "an entry of the ledger")
    if rest == _NOTHING:
        raise FileFormatError("an entry of the ledger is longer than it needs to be")
    expression, value, count, entry = rest or _NOTHING
    return LedgerEntry(
        text(kind, "the ledger", MAX_TEXT),
        text(what, "the ledger", MAX_TEXT),
        location,
        text(expression, "the ledger", MAX_TEXT),
        text(value, "the ledger", MAX_TEXT),
        integer(count, "a count in the ledger", 1, _MOST),
        text(entry, "the ledger"),
    )
