"""Lists, dicts and records among a program's arguments: the program gets its own, and what it changes is found.

The lists and dicts that a captured function is given note the line that first changes them; dicts note as well whether
the function goes through them, for then a call must keep the order of the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...ir.locations import Location, here
from ...ir.trees import Tree, record_fields

__all__ = ["Containers", "GivenDict", "GivenList"]


class _Given:
    """What lists and dicts in arguments have in common: the line of the first change."""

    changed_at: Location | None = None

    def _note(self) -> None:
        if self.changed_at is None:
            self.changed_at = here(3)


def _noting(base: type, name: str) -> Callable[..., Any]:
    inner = getattr(base, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._note()
        return inner(self, *args, **kwargs)

    method.__name__ = name
    return method


class GivenList(_Given, list[Any]):
    """A list among the arguments of a program that is being captured."""


class GivenDict(_Given, dict[str, Any]):
    """A dict among the arguments of a program that is being captured.

    Attributes:
        any_order: whether the program has taken entries by their keys alone.
    """

    any_order = True


def _ordered(name: str) -> Callable[..., Any]:
    inner = getattr(dict, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.any_order = False
        return inner(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name in (
    "append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "__setitem__", "__delitem__",
    "__iadd__", "__imul__",
):  # fmt: skip
    setattr(GivenList, _name, _noting(list, _name))
for _name in ("__setitem__", "__delitem__", "pop", "clear", "update", "setdefault", "__ior__"):
    setattr(GivenDict, _name, _noting(dict, _name))
for _name in ("__iter__", "__reversed__", "keys", "values", "items", "copy", "__or__", "__ror__", "__repr__"):
    setattr(GivenDict, _name, _ordered(_name))


def _popitem(self: GivenDict) -> Any:
    self.any_order = False
    self._note()
    return dict.popitem(self)


setattr(GivenDict, "popitem", _popitem)  # noqa: B010  (its type is that of any mapping)


class Containers:
    """The containers that were made for one run of a function, as they were before it."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, dict[Any, Any], Tree]] = []

    def make(self, container: Any, tree: Tree) -> Any:
        """The container that the function gets; `unflatten` asks for each."""
        found = container
        if isinstance(container, list):
            found = GivenList(container)
        elif isinstance(container, dict):
            found = GivenDict(container)
        elif isinstance(container, tuple):
            return container
        self._made.append((found, _entries(found), tree))
        return found

    def changed(self) -> Iterator[Any]:
        """The containers that hold something else than before."""
        for container, before, _ in self._made:
            now = _entries(container)
            if list(now) != list(before) or any(now[key] is not value for key, value in before.items()):
                yield container

    def note_order(self) -> None:
        """Mark in their trees the dicts whose order the run did not look at."""
        for container, _, tree in self._made:
            if isinstance(container, GivenDict) and container.any_order:
                tree["any_order"] = True


def _entries(container: Any) -> dict[Any, Any]:
    if isinstance(container, dict):
        return dict(dict.items(container))
    if isinstance(container, list):
        return dict(enumerate(container))
    return {name: getattr(container, name) for name in record_fields(container)}
