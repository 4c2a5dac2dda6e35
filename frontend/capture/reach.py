"""Python objects that a piece of code can change: found from what its names stand for, compared and put back.

What lives here: `Reach`, a shallow copy of every list, dict, set, attribute table and enclosing variable that functions
can reach through their closures, the globals that they name, and the functions that they name in turn. The contents of
tensors are the tracer's business.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CellType, CodeType, FunctionType
from typing import Any, Final

from ...ir.locations import is_internal
from ..tensor_base import TensorBase
from .structured import Unbound

__all__ = ["Change", "Reach"]

_LEAVES: Final = (TensorBase, type, types.ModuleType, types.BuiltinFunctionType, str, bytes, int, float, complex)
_ROOT: Final = __name__.split(".")[0]
_OF_MODULES: Final = ("_parameters", "_buffers", "_modules")  # tables of what reads as attributes
_MOST_OBJECTS: Final = 100_000
_UNSET: Final = Unbound("it")


@dataclass(slots=True)
class Change:
    """A place that holds something else than before: an entry of a table, a list, an enclosing variable.

    Attributes:
        path: the place as the program would write it.
        place, key: the object that was changed, and what of it.
        before, after: what it held and holds.
        kind: what the object is, in words.
    """

    path: str
    place: Any
    key: Any
    before: Any
    after: Any
    kind: str = "a variable"

    def write(self, value: Any) -> None:
        """Let the place hold a value."""
        if isinstance(self.place, CellType):
            self.place.cell_contents = value
        elif isinstance(self.place, list) and self.key == len(_entries(self.place)):
            list.append(self.place, value)
        else:
            self.place[self.key] = value

    def read(self) -> Any:
        """What the place holds now."""
        return dict(_entries(self.place)).get(self.key, _UNSET)

    @property
    def identity(self) -> tuple[str, int, Any]:
        """What tells the place from others, while its object lives."""
        return "place", id(self.place), self.key


class Reach:
    """What functions can reach, as it is now.

    Args:
        functions: the functions.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self._seen: set[int] = set()
        self._places: list[tuple[str, Any, dict[Any, Any]]] = []
        self._tables: set[int] = set()  # the dicts that hold an object's attributes
        self._queue: deque[tuple[str, Any]] = deque()
        for function in functions:
            self._function(function, own=True)
        while self._queue and len(self._seen) < _MOST_OBJECTS:
            self._visit(*self._queue.popleft())

    def changes(self) -> Iterator[Change]:
        """Places that hold something else than before."""
        for path, place, before in self._places:
            now = dict(_entries(place))
            for key in {**before, **now}:
                old, new = before.get(key, _UNSET), now.get(key, _UNSET)
                if old is not new:
                    is_table = id(place) in self._tables
                    yield Change(_join(path, place, key, is_table), place, key, old, new, _kind(place, is_table))

    def restore(self) -> None:
        """Give every place back what it held."""
        for _, place, before in self._places:
            now = dict(_entries(place))
            if now.keys() != before.keys() or any(now[key] is not value for key, value in before.items()):
                _restore(place, before)

    # -- finding

    def _function(self, function: Any, own: bool = False) -> None:
        code = function.__code__
        if id(function) in self._seen or (is_internal(code.co_filename) and not own):
            return
        self._seen.add(id(function))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            if own:
                self._seen.add(id(cell))  # a variable of the function around it, which is looked after there
            self._place(name, cell)
            for _, value in _entries(cell):
                self._queue.append((name, value))
        for name in _global_names(code):
            if name in function.__globals__:
                self._queue.append((name, function.__globals__[name]))
        for name in _written_globals(code):
            place = _GlobalPlace(function.__globals__, name)
            self._places.append((name, place, dict(place.items())))

    def _place(self, path: str, place: Any) -> None:
        if id(place) not in self._seen:
            self._seen.add(id(place))
            self._places.append((path, place, dict(_entries(place))))

    def _visit(self, path: str, value: Any) -> None:
        if value is None or isinstance(value, _LEAVES) or id(value) in self._seen:
            return
        if isinstance(value, FunctionType):
            self._function(value)
            return
        if isinstance(value, types.MethodType):
            self._queue.append((path, value.__self__))
            if isinstance(value.__func__, FunctionType):
                self._function(value.__func__)
            return
        self._seen.add(id(value))
        if isinstance(value, (list, dict, set, deque)):
            self._places.append((path, value, dict(_entries(value))))
            self._inside(path, value)
        elif isinstance(value, (tuple, frozenset)):
            for i, item in enumerate(value):
                self._queue.append((f"{path}[{i}]", item))
        elif hasattr(value, "__dict__") and not isinstance(value, types.ModuleType) and not _is_ours(type(value)):
            table = vars(value)
            self._places.append((path, table, dict(table)))
            self._seen.add(id(table))
            self._tables.add(id(table))
            for key, item in table.items():
                if key in _OF_MODULES and isinstance(item, dict):
                    self._tables.add(id(item))
                    self._queue.append((path, item))
                else:
                    self._queue.append((f"{path}.{key}", item))
            for method in _methods(value.__class__):
                self._function(method)

    def _inside(self, path: str, value: Any) -> None:
        is_table = id(value) in self._tables
        for key, item in _entries(value):
            if not isinstance(item, _LEAVES):
                self._queue.append((_join(path, value, key, is_table), item))


class _GlobalPlace(dict[Any, Any]):
    """One global variable as a table of its own."""

    def __init__(self, space: dict[str, Any], name: str) -> None:
        super().__init__()
        self.space = space
        self.name = name

    def items(self) -> Any:
        return [(self.name, self.space[self.name])] if self.name in self.space else []

    def __setitem__(self, key: str, value: Any) -> None:
        self.space[key] = value

    def __delitem__(self, key: str) -> None:
        self.space.pop(key, None)


def _is_ours(cls: type) -> bool:
    """Whether a class is of the machinery (programs, caches) rather than of what models are made of."""
    root, *rest = cls.__module__.split(".")
    return root == _ROOT and rest[:1] not in (["nn"], ["optim"], ["utils"])


def _entries(place: Any) -> list[tuple[Any, Any]]:
    if isinstance(place, CellType):
        try:
            return [("", place.cell_contents)]
        except ValueError:  # a variable that is not bound yet
            return []
    if isinstance(place, dict):
        return list(place.items())
    if isinstance(place, set):
        return [(item, item) for item in place]
    return list(enumerate(list.__iter__(place) if isinstance(place, list) else place))


def _restore(place: Any, before: dict[Any, Any]) -> None:
    if isinstance(place, CellType):
        if before:
            place.cell_contents = before[""]
        else:
            del place.cell_contents
    elif isinstance(place, _GlobalPlace):
        if before:
            place[place.name] = before[place.name]
        else:
            del place[place.name]
    elif isinstance(place, list):
        place[:] = before.values()
    elif isinstance(place, deque):
        place.clear()
        place.extend(before.values())
    else:
        place.clear()
        place.update(before)


def _join(path: str, place: Any, key: Any, is_table: bool) -> str:
    if isinstance(place, (CellType, _GlobalPlace)):
        return path
    if isinstance(place, (list, deque)):
        return f"{path}[{key}]"
    if isinstance(place, set):
        return f"{key!r} of {path}"
    return f"{path}.{key}" if is_table else f"{path}[{key!r}]"


def _kind(place: Any, is_table: bool) -> str:
    if isinstance(place, (CellType, _GlobalPlace)):
        return "a variable"
    kinds = {list: "a list", set: "a set", deque: "a deque", dict: "an object" if is_table else "a dict"}
    return next(name for kind, name in kinds.items() if isinstance(place, kind))


@lru_cache(maxsize=4096)
def _global_names(code: CodeType) -> frozenset[str]:
    """Names that a function, or one inside of it, may look up in its globals."""
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return frozenset(code.co_names).union(*map(_global_names, inner))


@lru_cache(maxsize=4096)
def _written_globals(code: CodeType) -> frozenset[str]:
    """Globals that a function, or one inside of it, assigns."""
    import dis

    found = {i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")}
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return frozenset(found).union(*map(_written_globals, inner))


@lru_cache(maxsize=4096)
def _methods(cls: type) -> tuple[FunctionType, ...]:
    """The functions of a class of the user's, whose globals its objects can change."""
    found = []
    for base in cls.__mro__:
        found += [
            f for f in vars(base).values() if isinstance(f, FunctionType) and not is_internal(f.__code__.co_filename)
        ]
    return tuple(found)
