"""`ingot ledger`: what the capture of a program took from Python and froze, and how two captures differ in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from rich.table import Table

from ..ir.ledger import KINDS, Ledger
from ..serialize import load
from .leaves import find_entry
from .terminal import cell, console

__all__ = ["compare_ledgers", "show_ledger"]

_COLUMNS: Final = ("place", "expression", "what")


def show_ledger(file: Path, kinds: Sequence[str], entry: str | None) -> None:
    """Print a program's ledger, a table for each kind.

    Args:
        kinds: those to show; all of them where there are none.
        entry: the entry point to show; all of them when None.

    Raises:
        FileFormatError, ArgumentError, OSError: when there is nothing to show.
    """
    ledger = _read(file, kinds, entry)
    out = console()
    if not ledger:
        out.print("nothing was frozen")
    for kind, entries in ledger.groups().items():
        title = f"{kind}: {KINDS[kind]}" if kind in KINDS else kind
        rows = ((f"{e.entry}  " if e.entry else "") + e.cells()[0] for e in entries)
        _print_table(title, _COLUMNS, ((where, *e.cells()[1:]) for where, e in zip(rows, entries, strict=True)))


def compare_ledgers(before: Path, after: Path, kinds: Sequence[str], entry: str | None) -> int:
    """Print what is new, gone or changed in the second program's ledger.

    Returns:
        the exit status: 1 where there are differences.
    """
    changes = _read(before, kinds, entry).diff(_read(after, kinds, entry))
    if not changes:
        console().print("no difference")
        return 0
    _print_table("", ("", "kind", *_COLUMNS), (change.cells() for change in changes))
    return 1


def _read(file: Path, kinds: Sequence[str], entry: str | None) -> Ledger:
    record = load(file)
    ledger = Ledger(record.ledger)
    if entry is not None:
        ledger = ledger.at(find_entry(record, entry))
    return ledger.of(*kinds) if kinds else ledger


def _print_table(title: str, columns: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    out = console()
    if title:
        out.print(cell(title), soft_wrap=True)
    table = Table(*columns, box=None, show_header=False)
    for row in rows:
        table.add_row(*map(cell, row))
    out.print(table)
