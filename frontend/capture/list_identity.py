"""Lists and dicts that are one or two, as the run decides.

A variable that holds a list behind a captured branch may hold the very list that another name holds, or a new one; the
capture makes a new one of both. That is right as long as neither is used after the other has been changed: such a use
is refused. (What dicts refuse is the subject of `merged`; the same for tensors, of `sharing`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...ir.locations import Location
from .grown_list import SymList
from .merged import Merged

__all__ = ["Identities", "LostLists", "other_lists"]


class Identities:
    """The lists and dicts that one branch or loop makes anew, and those that they stand for.

    Args:
        depth: how many regions the capture is in, outside of the branch or loop.
        location: the branch or loop.
    """

    def __init__(self, depth: int, location: Location | None) -> None:
        self._depth = depth
        self._location = location
        self._news: dict[int, tuple[SymList, list[SymList]]] = {}

    def add(self, new: Any, source: Any) -> None:
        """Note that a value is what is left of another one."""
        for one, other in _pairs(new, source):
            if isinstance(one, Merged):
                one.stands_for(other, self._location)
                continue
            news = self._news.setdefault(id(other), (other, []))[1]
            if all(one is not x for x in news):
                news.append(one)

    def settle(self) -> None:
        """Let the lists know of each other."""
        for source, news in self._news.values():
            others = source.twins()
            if source.depth <= self._depth:
                others.append(source)
            for i, new in enumerate(news):
                for other in (*others, *news[:i]):
                    new.may_be(other, self._location)


class LostLists:
    """The lists that a block has changed, or not, as the run decides: no list is lost outside of the block.

    Args:
        lists: those that are lost now, in their order.
        depth: how many regions the capture is in, outside of the block.
    """

    def __init__(self, lists: list[SymList], depth: int) -> None:
        self._lists = lists
        self._depth = depth
        self._before = len(lists)
        self._found: dict[int, tuple[SymList, Any]] = {}

    def is_known_to(self, before: LostLists | None) -> bool:
        """Whether an earlier attempt has lost the same lists from outside."""
        known = {} if before is None else before._found
        return all(key in known or found.depth > self._depth for key, (found, _) in self._found.items())

    def take_back(self) -> None:
        """The block ends: its lists are not lost for what stands beside it."""
        for found in self._lists[self._before :]:
            self._found[id(found)] = found, found.lost
            found.lost = None
        del self._lists[self._before :]

    def put_back(self) -> None:
        """They are lost from here on, too."""
        for found, why in self._found.values():
            if found.lost is None:
                found.lost = why
                self._lists.append(found)


def other_lists(value: Any, other: Any) -> bool:
    """Whether two values hold different lists at the same place."""
    return any(isinstance(one, SymList) for one, _ in _pairs(value, other))


def _pairs(new: Any, source: Any) -> Iterator[tuple[Any, Any]]:
    """The lists and dicts in a value, each with that at the same place in another one."""
    if new is source:
        return
    merged = isinstance(new, Merged) and isinstance(source, new.kind)
    if isinstance(source, SymList) if isinstance(new, SymList) else merged and not isinstance(source, SymList):
        yield new, source
    if isinstance(new, list) and isinstance(source, list):
        items: Iterable[tuple[Any, Any]] = zip(list.__iter__(new), list.__iter__(source), strict=False)
    elif isinstance(new, tuple) and isinstance(source, tuple):
        items = zip(new, source, strict=False)
    elif isinstance(new, dict) and isinstance(source, dict):
        items = [(item, dict.get(source, key)) for key, item in dict.items(new)]
    else:
        return
    for one, other in items:
        yield from _pairs(one, other)
