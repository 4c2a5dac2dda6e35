"""Unique value names within a graph, given in constant time."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NameTable", "identifier"]

_NOT_WORD: Final = re.compile(r"[^0-9A-Za-z_]+")


def identifier(text: str) -> str:
    """The text as a name: letters, digits and `_`, not starting with a digit.

    >>> identifier("h"), identifier("fc1.weight"), identifier("0"), identifier("")
    ('h', 'fc1_weight', '_0', 'v')
    """
    if text.isidentifier() and text.isascii():
        return text
    name = _NOT_WORD.sub("_", text)
    if not name:
        return "v"
    return f"_{name}" if name[0].isdigit() else name


class NameTable:
    """The names that are taken in one graph.

    >>> names = NameTable()
    >>> names.take("add"), names.take("add"), names.take("add"), names.take("add_1")
    ('add', 'add_1', 'add_2', 'add_3')
    """

    __slots__ = ("_following", "_taken")

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._following: dict[str, int] = {}  # the number to try first, by stem

    def __contains__(self, name: object) -> bool:
        return name in self._taken

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, wanted: str) -> str:
        """Take `wanted`, made an identifier, or it with the next free number behind it."""
        if not (wanted.isidentifier() and wanted.isascii()):
            wanted = identifier(wanted)
        if wanted in self._taken:
            wanted = self._numbered(_stem(wanted))
        self._taken.add(wanted)
        return wanted

    def release(self, name: str) -> None:
        """Give a name back."""
        self._taken.discard(name)

    def copy(self) -> NameTable:
        """An independent table in the same state: it gives out the same names from here on."""
        new = NameTable()
        new._taken = self._taken.copy()
        new._following = self._following.copy()
        return new

    def _numbered(self, stem: str) -> str:
        number = self._following.get(stem, 1)
        while (name := f"{stem}_{number}") in self._taken:
            number += 1
        self._following[stem] = number + 1
        return name


def _stem(name: str) -> str:
    bare = name.rstrip("0123456789")
    return bare[:-1] if bare != name and len(bare) > 1 and bare.endswith("_") else name
