"""What a traced run assigns to names that outlive it: attributes of modules, objects, classes and functions, list and
dict entries, globals, variables of enclosing functions. It is found afterwards, and put back.

A tensor that the program replaces (`self.hidden = hidden`) is state that each call updates, as if it had been written
in place. What happens inside of a tensor is the tracer's business.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import CellType, SimpleNamespace
from typing import Any

from ..module import Module
from ..tensor_base import TensorBase
from .reachable import Reachable, is_users, own_attributes, reachable
from .symbols import Symbol
from .symint import SymInt

__all__ = ["Attributes", "holds_tensors", "tensors_in"]

_PATH = re.compile(r"[^\W\d]\w*(\.\w+)*")  # what names state in a file
_TABLES = ("_parameters", "_buffers")


class Attributes:
    """What names stood for before a run.

    Args:
        modules: the modules that the program reaches, each with its path.
        roots: the other values that it reaches, each with its name.
        func: the program.

    Attributes:
        tensor_paths: how the program reaches tensors, by their `id`.
    """

    def __init__(self, modules: Iterable[tuple[str, Any]], roots: Iterable[tuple[str, Any]], func: Any) -> None:
        places: list[tuple[str, Any]] = []
        for path, module in modules:
            places += [(path, table) for table in (vars(module), *_tables(module))]
        while isinstance(func, partial):
            func = func.func
        owner = getattr(func, "__self__", None if hasattr(func, "__code__") else func)
        if hasattr(owner, "__dict__") and not isinstance(owner, type):
            places.append(("", vars(owner)))
        cells = getattr(func, "__closure__", None) or ()
        places += [(name, cell) for name, cell in zip(_free_names(func), cells, strict=False)]
        found = [*roots, *((_join(path, key), value) for path, place in places for key, value in _entries(place))]
        places += [(path, value) for path, value in found if isinstance(value, (list, dict))]
        unique = {id(place): (path, place) for path, place in reversed(places)}
        self._before = [(path, place, dict(_entries(place))) for path, place in unique.values()]
        reached = reachable(func)
        internal = _tables_of_internals(reached)
        deeper = [
            place for place in reached.places if id(place.owner) not in unique and id(place.owner) not in internal
        ]
        self._deeper = [(place, place.read()) for place in deeper]
        paths = {id(tensor): path.removesuffix("._key") for path, tensor in reached.tensors if tensor._base is None}
        self.tensor_paths = {key: path for key, path in paths.items() if _PATH.fullmatch(path)}

    def replaced(self) -> Iterator[tuple[str, Any, Any, str]]:
        """Names that stand for another tensor than before, for one now, for another number, or for another object with
        tensors in it.

        Gives (path, before, now, elsewhere): the last is another name of the tensor that stood there, where that does
        not stand for the same now; empty for none.
        """
        found = [entry for entry in self._now() if _is_change(entry[1], entry[2])]
        changed = {id(old) for _, old, _ in found if isinstance(old, TensorBase)}
        names: dict[int, list[tuple[str, Any]]] = {}
        for path, old, now in self._now() if changed else ():
            if id(old) in changed:
                names.setdefault(id(old), []).append((path, now))
        for path, old, now in found:
            others = [name for name, value in names.get(id(old), ()) if value is not now]
            yield path, old, now, others[0] if others else ""

    def _now(self) -> Iterator[tuple[str, Any, Any]]:
        """Every name, with what it stood for and stands for; None for nothing."""
        for path, place, before in self._before:
            now = dict(_entries(place))
            for key in {**before, **now}:
                yield from _items(_join(path, key), before.get(key), now.get(key))
        for deep, before in self._deeper:
            now = deep.read()
            for key in {**before, **now}:
                yield from _items(_join(deep.path, key), before.get(key), now.get(key))

    def appeared(self) -> Iterator[tuple[str, Any, Any, Any]]:
        """Names that stand for a tensor now and stood for none before: (path, place, key, tensor)."""
        for path, place, before in self._before:
            for key, now in _entries(place):
                if isinstance(now, TensorBase) and before.get(key) is None and not isinstance(place, list):
                    yield _join(path, key), place, key, now

    @staticmethod
    def read(place: Any, key: Any) -> Any:
        """What a name stands for: a list of it, which is empty where there is no such name."""
        return [value for name, value in _entries(place) if name == key]

    @staticmethod
    def write(place: Any, key: Any, value: Any) -> None:
        """Let a name stand for a tensor, or again for what `read` gave."""
        if isinstance(value, list) and not value:
            place.pop(key, None) if isinstance(place, dict) else _restore(place, {})
            return
        found = value[0] if isinstance(value, list) else value
        if isinstance(place, CellType):
            place.cell_contents = found
        else:
            place[key] = found

    def restore(self) -> None:
        """Give the names back what they stood for; further off, only where tensors or numbers stood or stand."""
        for _, place, before in self._before:
            now = dict(_entries(place))
            if now.keys() != before.keys() or any(now[key] is not value for key, value in before.items()):
                _restore(place, before)
        for deep, before in self._deeper:
            now = deep.read()
            if any(_is_change(before.get(key), now.get(key)) for key in {**before, **now}):
                deep.write(before)


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
            yield from _items(_join(path, i), a, b)
    else:
        yield path, old, now


def _is_record(value: Any) -> bool:
    """Whether it is an object of a class of the user's."""
    cls = type(value)
    return cls is SimpleNamespace or (is_users(cls.__module__) and not isinstance(value, (Module, type)))


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


def _tables(module: Any) -> list[dict[str, Any]]:
    return [vars(module)[name] for name in _TABLES if name in vars(module)]


def _free_names(func: Callable[..., Any]) -> tuple[str, ...]:
    code = getattr(func, "__code__", None)
    return () if code is None else tuple(code.co_freevars)


def _join(path: str, key: Any) -> str:
    return ".".join(part for part in (path, str(key)) if part)


def _entries(place: Any) -> list[tuple[Any, Any]]:
    """What a dict, a list or a variable of an enclosing function holds, with names."""
    if isinstance(place, CellType):
        try:
            return [("", place.cell_contents)]
        except ValueError:  # a variable that is not bound yet
            return []
    return list(place.items()) if isinstance(place, dict) else list(enumerate(place))


def _restore(place: Any, before: dict[Any, Any]) -> None:
    if isinstance(place, CellType):
        if before:
            place.cell_contents = before[""]
        else:
            del place.cell_contents
    elif isinstance(place, list):
        place[:] = before.values()
    else:
        place.clear()
        place.update(before)
