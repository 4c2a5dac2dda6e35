"""What a traced run assigns to names that outlive it: attributes of modules and objects, list and dict entries,
variables of enclosing functions. It is found afterwards, and put back.

A tensor that the program replaces (`self.hidden = hidden`) is state that each call updates, as if it had been written
in place. What happens inside of a tensor is the tracer's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import CellType
from typing import Any

from ..tensor_base import TensorBase

__all__ = ["Attributes"]

_TABLES = ("_parameters", "_buffers")


class Attributes:
    """What names stood for before a run.

    Args:
        modules: the modules that the program reaches, each with its path.
        roots: the other values that it reaches, each with its name.
        func: the program.
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

    def replaced(self) -> Iterator[tuple[str, Any, Any]]:
        """Names that stand for another tensor than before, for one now, or for another number: (path, before, now)."""
        for path, place, before in self._before:
            for key, now in _entries(place):
                old = before.get(key)
                tensors = isinstance(now, TensorBase) or isinstance(old, TensorBase)
                numbers = isinstance(now, (int, float)) and isinstance(old, (int, float)) and now != old
                if now is not old and (tensors or numbers):
                    yield _join(path, key), old, now

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
        """Give the names back what they stood for."""
        for _, place, before in self._before:
            now = dict(_entries(place))
            if now.keys() != before.keys() or any(now[key] is not value for key, value in before.items()):
                _restore(place, before)


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
