"""The ledger: what a capture took from Python and froze into a program, as data.

An entry says what was taken (`kind`), in which words of the source, where, and what it was. The entries of a program
are a `Ledger`: it prints as a table, picks entries by kind, and tells what differs from another capture's. Finding the
entries is the business of `frontend/capture`; `docs/ledger.md` says what they can and cannot hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, overload

from .errors import ArgumentError
from .locations import Location

__all__ = ["KINDS", "Ledger", "LedgerChange", "LedgerDiff", "LedgerEntry"]

KINDS: Final[dict[str, str]] = {
    "frozen": "Python values that operations were given",
    "item": "single elements of tensors that became Python numbers",
    "tolist": "tensors that became lists of Python numbers",
    "array": "tensors that became NumPy arrays",
    "text": "texts of what varies, for people: in every call they say what they said at the capture",
    "value": "answers about tensors' values, taken from the example",
    "random": "numbers drawn from Python's or NumPy's random state",
    "assumption": "relations of sizes that hold in the example, checked at each call",
    "size": "dynamic sizes that were fixed to the example's",
    "shape": "sizes of tensors that Python read",
    "layout": "memory layouts of tensors that Python read",
    "dtype": "dtypes of tensors that Python read",
    "device": "devices of tensors that Python read",
    "grad": "whether tensors require gradients, read by Python",
    "training": "training modes of modules that were read",
    "global": "global variables that were read",
    "closure": "variables of enclosing functions that were read",
    "attribute": "attributes of objects, and elements of containers, that were read",
    "state": "names that the program set, which calls do not",
}
"""Every kind of entry, with what it is about. Capture writes no others; a file of a later version may hold more."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One thing that capture took from Python and froze.

    Attributes:
        kind: one of `KINDS`.
        what: what it is about, for people.
        location: the user's line.
        expression: the source text that gave it, such as `self.p`; empty where it is not known.
        value: what it was, as text; empty where `what` says it.
        count: how many times the same thing was taken at the same place.
        entry: the entry point, in a program that has several.

    >>> str(LedgerEntry("frozen", "p of dropout", Location("model.py", 12), "self.p", "0.1"))
    'frozen: model.py:12  self.p  p of dropout = 0.1'
    """

    kind: str
    what: str
    location: Location | None = None
    expression: str = ""
    value: str = ""
    count: int = 1
    entry: str = ""

    @property
    def text(self) -> str:
        """What it is about and what it was."""
        return f"{self.what} = {self.value}" if self.value else self.what

    def cells(self) -> tuple[str, str, str]:
        """Place, source expression and text: the columns of a table."""
        where = f"{self.location.file}:{self.location.line}" if self.location else ""
        times = f"  ({self.count} times)" if self.count > 1 else ""
        return where, self.expression, self.text + times

    def __str__(self) -> str:
        return f"{self.kind}: " + "  ".join(cell for cell in self.cells() if cell)

    def place(self) -> tuple[Any, ...]:
        """What identifies the entry in another capture: not the line's number where the line's text is known."""
        at = self.location
        where = () if at is None else (at.file, at.function, at.source.strip() or at.line)
        return (self.entry, self.kind, where, self.expression)


class Ledger(Sequence[LedgerEntry]):
    """The entries of a program, each once.

    Args:
        entries: equal ones are counted and kept once, in the order of the first.

    >>> scale = LedgerEntry("global", "SCALE", Location("model.py", 3), "SCALE", "2.0")
    >>> print(Ledger([scale, scale]))
    global: global variables that were read
      model.py:3  SCALE  SCALE = 2.0  (2 times)
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[LedgerEntry] = ()) -> None:
        merged: dict[LedgerEntry, int] = {}
        for entry in entries:
            key = entry if entry.count == 1 else replace(entry, count=1)
            merged[key] = merged.get(key, 0) + entry.count
        self._entries = tuple(key if count == 1 else replace(key, count=count) for key, count in merged.items())

    @overload
    def __getitem__(self, index: int) -> LedgerEntry: ...
    @overload
    def __getitem__(self, index: slice) -> Ledger: ...
    def __getitem__(self, index: int | slice) -> LedgerEntry | Ledger:
        return Ledger(self._entries[index]) if isinstance(index, slice) else self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[LedgerEntry]:
        return iter(self._entries)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (list, tuple, Ledger)):
            return list(self._entries) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def of(self, *kinds: str) -> Ledger:
        """The entries of some kinds.

        Raises:
            ArgumentError: for a kind that neither is one of `KINDS` nor occurs.
        """
        for kind in kinds:
            if kind not in KINDS and not any(entry.kind == kind for entry in self._entries):
                raise ArgumentError(f"a ledger has no entries of kind {kind!r}", expected=", ".join(KINDS))
        return Ledger(entry for entry in self._entries if entry.kind in kinds)

    def at(self, entry: str) -> Ledger:
        """The entries of one entry point, and those that belong to none."""
        return Ledger(found for found in self._entries if found.entry in (entry, ""))

    def groups(self) -> dict[str, list[LedgerEntry]]:
        """The entries by kind, the kinds in the order of `KINDS` and unknown ones behind them."""
        found: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
        for entry in self._entries:
            found[entry.kind].append(entry)
        return {kind: found[kind] for kind in [*KINDS, *sorted(found.keys() - KINDS.keys())] if kind in found}

    def __str__(self) -> str:
        lines: list[str] = []
        for kind, entries in self.groups().items():
            lines.append(f"{kind}: {KINDS[kind]}" if kind in KINDS else kind)
            lines += ["  " + line for line in _aligned([entry.cells() for entry in entries])]
        return "\n".join(lines) or "nothing was frozen"

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(entries)} {kind}" for kind, entries in self.groups().items())
        return f"<Ledger: {counts or 'empty'}>"

    def diff(self, other: Iterable[LedgerEntry]) -> LedgerDiff:
        """What another capture's ledger has that this one lacks, the other way round, and what changed.

        Lines that only moved are no difference: an entry is found again by its kind, file, function, line of source
        and expression.

        >>> old = LedgerEntry("global", "SCALE", Location("m.py", 3, source="y = x * SCALE"), "SCALE", "2.0")
        >>> new = LedgerEntry("global", "SCALE", Location("m.py", 9, source="y = x * SCALE"), "SCALE", "4.0")
        >>> print(Ledger([old]).diff([new]))
        changed  global  m.py:9  SCALE  SCALE = 4.0, was 2.0
        """
        return LedgerDiff(_changes(self._entries, Ledger(other)))


@dataclass(frozen=True, slots=True)
class LedgerChange:
    """One difference of two ledgers: an entry that is new, one that is gone, or both where one changed."""

    before: LedgerEntry | None
    after: LedgerEntry | None

    @property
    def word(self) -> str:
        """`"new"`, `"gone"` or `"changed"`."""
        return "new" if self.before is None else "gone" if self.after is None else "changed"

    def cells(self) -> tuple[str, ...]:
        """The columns of a table: the word, the kind, the place, the expression, the text."""
        entry = self.after or self.before
        assert entry is not None
        where, expression, text = entry.cells()
        if self.before is not None and self.after is not None:
            times = f"  ({self.before.count} times)" if self.before.count > 1 else ""
            same = self.before.what == self.after.what and bool(self.before.value)
            text += f", was {self.before.value if same else self.before.text}{times}"
        return self.word, entry.kind, where, expression, text

    def __str__(self) -> str:
        return "  ".join(cell for cell in self.cells() if cell)


class LedgerDiff(tuple[LedgerChange, ...]):
    """The differences of two ledgers; empty, and false, where there are none. Prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(_aligned([change.cells() for change in self])) or "no difference"


def _changes(before: Iterable[LedgerEntry], after: Iterable[LedgerEntry]) -> Iterator[LedgerChange]:
    """What is new or changed in the order of `after`, then what is gone in the order of `before`."""
    old = _by_place(before)
    for place, found in _by_place(after).items():
        known = old.pop(place, [])
        same = {_content(entry) for entry in known} & {_content(entry) for entry in found}
        left = [entry for entry in known if _content(entry) not in same]
        for entry in found:
            if _content(entry) not in same:
                yield LedgerChange(left.pop(0) if left else None, entry)
        if left:
            old[place] = left
    for entries in old.values():
        for entry in entries:
            yield LedgerChange(entry, None)


def _by_place(entries: Iterable[LedgerEntry]) -> dict[tuple[Any, ...], list[LedgerEntry]]:
    found: dict[tuple[Any, ...], list[LedgerEntry]] = {}
    for entry in entries:
        found.setdefault(entry.place(), []).append(entry)
    return found


def _content(entry: LedgerEntry) -> tuple[str, str, int]:
    return entry.what, entry.value, entry.count


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns under each other; a column in which nothing stands is left out."""
    shown = [column for column in zip(*rows, strict=True) if any(column)]
    widths = [min(max(map(len, column)), 40) for column in shown]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in zip(*shown, strict=True)
    ]
