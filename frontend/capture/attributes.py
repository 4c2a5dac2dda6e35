"""What a traced run assigns to names that outlive it: attributes of modules, objects, classes and functions, list and
dict entries, globals, variables of enclosing functions. It is found afterwards, and put back.

A tensor that the program replaces (`self.hidden = hidden`) is state that each call updates, as if it had been written
in place. What happens inside of a tensor is the tracer's business.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from ..module import Module
from ..tensor_base import TensorBase
from .code_names import is_users_module
from .known_state import roots
from .places import MISSING, MODULE_TABLES, Place, state_path_of
from .reachable import Reachable, own_attributes, reachable
from .sharing import base_of
from .symbols import Symbol
from .symint import SymInt

__all__ = ["Attributes", "holds_tensors", "tensors_in"]

_PATH = re.compile(r"[^\W\d]\w*(\.\w+)*")  # what names state in a file


class Attributes:
    """What names stood for before a run.

    Args:
        modules: the modules that the program reaches, each with its path.
        func: the program.

    Attributes:
        tensor_paths: how the program reaches tensors, by their `id`.
    """

    def __init__(self, modules: Iterable[tuple[str, Any]], func: Any) -> None:
        modules = list(modules)
        reached = reachable(func, modules)
        internal = _tables_of_internals(reached)
        self._places = [(place, before) for place, before in reached.places if id(place.owner) not in internal]
        self._changed: list[tuple[Place, Any, Any, Any]] | None = None
        self._own = _held_by(func, [module for _, module in modules])
        paths = {id(tensor): state_path_of(way) for way, tensor in reached.tensors if tensor._base is None}
        self.tensor_paths = {key: path.removesuffix("._key") for key, path in paths.items() if _PATH.fullmatch(path)}

    def replaced(self) -> Iterator[tuple[str, Any, Any, str]]:
        """Names that stand for another tensor than before, for one now, for another number, or for another object with
        tensors in it.

        Gives (path, before, now, elsewhere): the last is another name of the tensor that stood there, or of a view of
        it, where that does not stand for the same now; empty for none.
        """
        found = [entry for entry in self._changes() if _is_change(entry[1], entry[2])]
        changed = {id(old) for _, old, _ in found if isinstance(old, TensorBase)}
        names: dict[int, list[tuple[str, Any]]] = {}
        for path, old, now in self._now() if changed else ():
            if id(old) in changed:
                names.setdefault(id(old), []).append((path, now))
            elif isinstance(old, TensorBase) and id(old._base) in changed and now is old:
                # A view stays with its memory.
                names.setdefault(id(old._base), []).append((path, now))
        for path, old, now in found:
            others = [name for name, value in names.get(id(old), ()) if value is not now]
            yield path, old, now, others[0] if others else ""

    def changed(self) -> list[tuple[Place, Any, Any, Any]]:
        """The places that hold something else after the run, with their keys, what they held and what they hold; None
        for nothing."""
        if self._changed is None:
            self._changed = [
                (place, key, _none(old), _none(now))
                for place, before in self._places
                for key, old, now in place.changes(before)
            ]
        return self._changed

    def _changes(self) -> Iterator[tuple[str, Any, Any]]:
        """Every name that stands for something else, with what it stood for and stands for; None for nothing."""
        for place, key, old, now in self.changed():
            yield from _items(state_path_of((place, key)), old, now)

    def _now(self) -> Iterator[tuple[str, Any, Any]]:
        """Every name, likewise."""
        for place, before in self._places:
            now = place.read()
            for key in {**before, **now}:
                yield from _items(state_path_of((place, key)), before.get(key), now.get(key))

    def joined(self) -> Iterator[tuple[str, Any, Any, str, Any]]:
        """Names that stand for one memory now and did not before: (path, before, now, the other's path, before); the
        first is one that stood for another tensor."""
        if not any(isinstance(old, TensorBase) and isinstance(now, TensorBase) for _, old, now in self._changes()):
            return
        groups: dict[int, list[tuple[str, Any, Any]]] = {}
        for path, old, now in self._now():
            if isinstance(now, TensorBase):
                groups.setdefault(id(base_of(now)), []).append((path, old, now))
        for path, old, now in (entry for group in groups.values() for entry in group):
            if old is now or not isinstance(old, TensorBase):
                continue
            for other, before, _ in groups[id(base_of(now))]:
                if not isinstance(before, TensorBase) or base_of(before) is not base_of(old):
                    yield path, old, now, other, before

    def appeared(self) -> Iterator[tuple[str, Place, Any, Any]]:
        """Names that stand for a tensor now and stood for none before: (path, place, key, tensor)."""
        for place, before in self._places:
            if isinstance(place.owner, (list, deque, set)):
                continue
            for key, old, now in place.changes(before):
                if isinstance(now, TensorBase) and (old is MISSING or old is None):
                    yield state_path_of((place, key)), place, key, now

    def restore(self) -> None:
        """Give the names back what they stood for; further off, only where tensors or numbers stood or stand: what a
        program notes for its user, such as in a list that a function which it calls has, stays."""
        for place, before in self._places:
            if id(place.owner) in self._own or any(_is_change(_none(a), _none(b)) for _, a, b in place.changes(before)):
                place.restore(before)


def _is_change(old: Any, now: Any) -> bool:
    tensors = isinstance(now, TensorBase) or isinstance(old, TensorBase)
    numbers = isinstance(now, (int, float)) and isinstance(old, (int, float)) and now != old
    by_run = isinstance(now, (SymInt, Symbol)) and isinstance(old, (int, float))
    return now is not old and (tensors or numbers or by_run or holds_tensors(old))


def _items(path: str, old: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """What a name stood for and stands for; for tuples of one length, which are made anew where an item changes, each
    item."""
    if isinstance(old, tuple) and isinstance(now, tuple) and len(old) == len(now):
        for i, (a, b) in enumerate(zip(old, now, strict=True)):
            yield from _items(f"{path}.{i}".lstrip("."), a, b)
    else:
        yield path, old, now


def _is_record(value: Any) -> bool:
    """Whether it is an object of a class of the user's."""
    cls = type(value)
    return cls is SimpleNamespace or (is_users_module(cls.__module__) and not isinstance(value, (Module, type)))


def holds_tensors(value: Any) -> bool:
    """Whether there are tensors in it."""
    return next(tensors_in(value), None) is not None


def tensors_in(value: Any, depth: int = 4) -> Iterator[Any]:
    """The tensors in a list, tuple, dict or object of the user's, or in those in it."""
    if isinstance(value, TensorBase):
        yield value
    elif depth and isinstance(value, (list, tuple, deque)):
        for item in value:
            yield from tensors_in(item, depth - 1)
    elif depth and isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item, depth - 1)
    elif depth and _is_record(value):
        yield from tensors_in(own_attributes(value), depth - 1)


def _tables_of_internals(reached: Reachable) -> set[int]:
    """The attribute tables of Ingot's own objects that are no modules and no optimizers: what changes there, such as
    what a tensor's place on the tape remembers, is no assignment of the user's."""
    inner = f"{__name__.split('.')[0]}.frontend."
    own = (x for x in reached.objects if str(type(x).__module__).startswith(inner) and not isinstance(x, Module))
    return {id(table) for x in own for table in (x, getattr(x, "__dict__", None))}


def _held_by(func: Any, modules: Sequence[Any]) -> set[int]:
    """The attribute tables and variables of a program itself, and the lists and dicts in them, by `id`."""
    held = [table for module in modules for table in (vars(module), *map(vars(module).get, MODULE_TABLES))]
    values = [value for _, value in roots(func)]
    while isinstance(func, partial):
        func = func.func
    owner = getattr(func, "__self__", None if hasattr(func, "__code__") else func)
    if hasattr(owner, "__dict__") and not isinstance(owner, type):
        held.append(vars(owner))
    held += getattr(func, "__closure__", None) or ()
    values += [value for place in held for value in Place("", place).read().values()]
    return {id(x) for x in held} | {id(x) for x in values if isinstance(x, (list, dict))}


def _none(value: Any) -> Any:
    return None if value is MISSING else value
