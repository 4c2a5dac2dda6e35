"""What a function reaches: every place outside of it that its code may read, found before it is captured.

What lives here: `Reach`, the walk from a function through the globals and closures that its code names, the objects
and modules behind them, and the functions that those call in turn. It gives places: an entry of a table, a list or an
enclosing variable, with its path. What a place must still hold for a variant to be served is `compile_guards`' subject.

Attributes are followed where the code that was found names them; code that looks attributes up by computed names
(`getattr`, `vars`) makes all of them count.
"""

from __future__ import annotations

import dis
import functools
import random
import types
from collections import deque
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from types import CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Final

import numpy as np

from ..ir.errors import CaptureError
from .capture.watching import is_users
from .module import Module
from .random import Generator
from .tensor_base import TensorBase

__all__ = ["CONTENTS", "MISSING", "PLAIN", "Place", "Reach", "read"]

PLAIN: Final = (bool, int, float, complex, str, bytes, type(None))

_MOST_PLACES: Final = 200_000
_REFLECTION: Final = frozenset(
    ("getattr", "hasattr", "setattr", "vars", "__dict__", "locals", "eval", "exec", "attrgetter")
)
_SPECIAL: Final = frozenset(
    ("forward", "__call__", "__getitem__", "__len__", "__iter__", "__next__", "__contains__", "__enter__", "__exit__",
     "__getattr__", "__bool__", "__eq__", "__add__", "__mul__", "__sub__", "__truediv__", "__matmul__")
)  # fmt: skip
_NOT_WRITTEN: Final = "@"  # names that pytest puts into functions whose assertions it rewrites
_NOT_FOLLOWED: Final = ("numpy", "ingot", "builtins")


class Missing:
    """What a place holds that does not exist."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = Missing()
CONTENTS: Final = Missing()  # the key of a place that is all of a list of numbers and strings


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """An entry of a table or list, an attribute, or an enclosing variable.

    Attributes:
        path: as the program would write it.
        owner: the dict, list, tuple, class table, cell, or object with slots.
        key: which entry; None for a cell.
        value: what it held when it was found.
    """

    path: str
    owner: Any
    key: Any
    value: Any

    @property
    def by_attribute(self) -> bool:
        return not isinstance(self.owner, (dict, list, tuple, MappingProxyType, CellType))


def read(place: Place) -> Any:
    """What a place holds now; `MISSING` where there is nothing."""
    try:
        if isinstance(place.owner, CellType):
            return place.owner.cell_contents
        return getattr(place.owner, place.key) if place.by_attribute else place.owner[place.key]
    except (LookupError, AttributeError, ValueError, TypeError):
        return MISSING


class _Assigned(MutableMapping[str, Any]):
    """The globals of a module that a function assigns, as a table of their own."""

    def __init__(self, space: dict[str, Any], names: frozenset[str]) -> None:
        self._space = space
        self._names = names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._space[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._space[name] = value

    def __delitem__(self, name: str) -> None:
        del self._space[name]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in sorted(self._names) if name in self._space])

    def __len__(self) -> int:
        return len(list(iter(self)))


class Reach:
    """Every place that a function may read, the objects that hold them, and what those held.

    Args:
        func: the function, module, bound method or callable object.
        given: further objects that it is handed, each with its name.

    Attributes:
        places: in the order in which they were found.
        tables: the owners of places that a run can change, each with its path and a copy.
        optimizers: the optimizers, each with its path.
        sources: sources of random numbers that are not Ingot's.
        sizes: (path, owner, number of entries) of the containers whose number of entries counts.

    Raises:
        CaptureError: when there is no end to it.
    """

    def __init__(self, func: Any, given: list[tuple[str, Any]]) -> None:
        self.func = func
        self.given = given
        self.names: set[str] = set(_SPECIAL)
        self.everything = False
        before = -1
        while before != len(self.names) + self.everything:  # names found on the way may lead further
            before = len(self.names) + self.everything
            self._walk()

    def _walk(self) -> None:
        self.places: list[Place] = []
        self.tables: list[tuple[str, Any, Any]] = []
        self.optimizers: list[tuple[str, Any]] = []
        self.sources: list[tuple[str, Any]] = []
        self.sizes: list[tuple[str, Any, int]] = []
        self._seen: set[int] = set()
        self._entries: set[tuple[int, Any]] = set()
        self._queue: deque[tuple[str, Any]] = deque()
        root = getattr(self.func, "__wrapped_module__", self.func)
        self._root(root)
        self._queue.extend(self.given)
        while self._queue:
            if len(self.places) > _MOST_PLACES:
                raise CaptureError(
                    "the function reaches too many objects to watch them",
                    found=f"more than {_MOST_PLACES} places",
                    advice="pass the data that it works on as arguments",
                )
            self._visit(*self._queue.popleft())

    # ------------------------------------------------------------------------------------------------ functions

    def _root(self, func: Any) -> None:
        if isinstance(func, Module) or not isinstance(func, (FunctionType, MethodType, functools.partial)):
            self._visit("", func)
        else:
            self._callable("", func)

    def _callable(self, path: str, func: Any) -> None:
        if isinstance(func, functools.partial):
            self._callable(path, func.func)
            for i, value in enumerate(func.args):
                self._queue.append((f"args[{i}]", value))
            self._queue.extend((key, value) for key, value in func.keywords.items())
        elif isinstance(func, MethodType):
            self._queue.append((path, func.__self__))
            self._callable(path, func.__func__)
        elif isinstance(func, FunctionType):
            self._function(func)

    def _function(self, func: FunctionType) -> None:
        if id(func) in self._seen:
            return
        self._seen.add(id(func))
        code = func.__code__
        attributes, names, reflects = _named(code)
        if not is_users(code.co_filename):
            self.names |= attributes
            return
        self.names |= attributes
        self.everything |= reflects
        for name, cell in zip(code.co_freevars, func.__closure__ or (), strict=True):
            self._note(name, cell, None)
        self._names_of(func.__globals__, names)
        if assigned := _assigned_globals(code):
            table = _Assigned(func.__globals__, assigned)
            self.tables.append(("", table, dict(table)))
        for key, value in (func.__kwdefaults__ or {}).items():
            self._queue.append((key, value))
        for value in func.__defaults__ or ():
            self._queue.append(("", value))

    def _names_of(self, space: dict[str, Any], names: frozenset[str]) -> None:
        for name in names:
            if name in space and not name.startswith(_NOT_WRITTEN):
                self._note(name, space, name)

    # ------------------------------------------------------------------------------------------------ objects

    def _note(self, path: str, owner: Any, key: Any) -> None:
        """A place, and what it holds."""
        if (id(owner), key) in self._entries:
            return
        self._entries.add((id(owner), key))
        place = Place(path, owner, key, None)
        value = read(place)
        if value is MISSING:
            return
        self.places.append(Place(path, owner, key, value))
        if not isinstance(value, PLAIN):
            self._queue.append((path, value))
        if isinstance(owner, CellType):
            self.tables.append((path, owner, value))

    def _visit(self, path: str, value: Any) -> None:
        if isinstance(value, (*PLAIN, TensorBase, np.generic, type, types.BuiltinFunctionType, np.ufunc)):
            if isinstance(value, type) and not _is_ours(value.__module__):
                self._class(path or value.__name__, value)
            return
        if id(value) in self._seen:
            return
        if isinstance(value, (FunctionType, MethodType, functools.partial)):
            return self._callable(path, value)
        self._seen.add(id(value))
        if isinstance(value, ModuleType):
            self._module_object(path, value)
        elif isinstance(value, Generator):
            self._note(path, vars(value), "_key")
        elif isinstance(value, (list, tuple)):
            self._sequence(path, value)
        elif isinstance(value, dict):
            self._dict(path, value)
        elif isinstance(value, Module):
            self._module(path, value)
        elif hasattr(type(value), "named_state") and hasattr(value, "param_groups"):
            self._optimizer(path, value)
        elif hasattr(type(value), "__ingot_original__"):
            self._queue.append((path, value.__ingot_original__))
        else:
            self._object(path, value)

    def _sequence(self, path: str, value: Any) -> None:
        if isinstance(value, list):
            self.tables.append((path, value, list(value)))
            self.sizes.append((path, value, len(value)))
            if all(isinstance(item, PLAIN) for item in value):
                self.places.append(Place(path, value, CONTENTS, tuple(value)))
                return
        for i, item in enumerate(value):
            if isinstance(value, list) or not isinstance(item, PLAIN):  # a plain tuple is watched as a whole
                self._note(f"{path}[{i}]", value, i)

    def _dict(self, path: str, value: dict[Any, Any]) -> None:
        self.tables.append((path, value, dict(value)))
        self.sizes.append((path, value, len(value)))
        for key in list(value):
            self._note(f"{path}[{key!r}]", value, key)

    def _module_object(self, path: str, value: ModuleType) -> None:
        if value.__name__.partition(".")[0] not in _NOT_FOLLOWED:
            for name in self.names & vars(value).keys():
                if not name.startswith("__"):
                    self._note(f"{path}.{name}", vars(value), name)

    def _module(self, path: str, module: Module) -> None:
        table = vars(module)
        self._table(path, table, type(module))
        for name in ("_parameters", "_buffers", "_modules"):
            entries = table.get(name, {})
            if id(entries) in self._seen:
                continue
            self._seen.add(id(entries))
            self.tables.append((path, entries, dict(entries)))
            self.sizes.append((f"{path}.{name}", entries, len(entries)))
            for key in entries:
                self._note(_join(path, key), entries, key)
        for name in ("_pre_hooks", "_hooks"):
            hooks = table.get(name)
            if hooks is not None:
                self.sizes.append((f"the hooks of {path or 'the module'}", hooks, len(hooks)))
                for hook, _ in hooks.values():
                    self._queue.append((path, hook))

    def _table(self, path: str, table: dict[str, Any], cls: type) -> None:
        """The attributes of an object that the code names."""
        self._seen.add(id(table))
        self.tables.append((path, table, dict(table)))
        if self.everything:
            self.sizes.append((path or "the object", table, len(table)))
        wanted = self.names | self._class(path, cls)
        for key in list(table):
            if key in ("_parameters", "_buffers", "_modules", "_pre_hooks", "_hooks", "_non_persistent"):
                continue
            if self.everything or key in wanted:
                self._note(_join(path, key), table, key)

    def _class(self, path: str, cls: type) -> frozenset[str]:
        """What a class's methods name; their globals and the class's own attributes are noted on the way."""
        found: frozenset[str] = frozenset()
        for base in cls.__mro__:
            if _is_ours(base.__module__):
                if base is not object and base.__module__ != "builtins":
                    found |= _attributes_of_class(base)
                continue
            for key, value in vars(base).items():
                function = _function_of(value)
                if key not in self.names and not self.everything:
                    continue
                if function is not None:
                    self._function(function)
                elif isinstance(value, (*PLAIN, TensorBase, list, dict, tuple)) and not key.startswith("__"):
                    self._note(f"{base.__name__}.{key}", vars(base), key)
        return found

    def _object(self, path: str, value: Any) -> None:
        sources = (random.Random, np.random.Generator, np.random.RandomState)
        if isinstance(value, sources) and not isinstance(value, random.SystemRandom):  # that one has no state
            self.sources.append((path, value))
        if isinstance(value, (types.MethodWrapperType, types.GeneratorType, set, frozenset, deque, np.ndarray)):
            return
        if hasattr(value, "__dict__"):
            self._table(path, vars(value), type(value))
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            if _is_ours(cls.__module__):
                continue
            for name in (slots,) if isinstance(slots, str) else slots:
                if (name in self.names or self.everything) and hasattr(value, name):
                    self._note(_join(path, name), value, name)

    def _optimizer(self, path: str, optimizer: Any) -> None:
        self.optimizers.append((path, optimizer))
        self._table(path, vars(optimizer), type(optimizer))
        self._note(_join(path, "param_groups"), vars(optimizer), "param_groups")
        state = optimizer.state
        self._seen.add(id(state))
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            if parameter in state:
                entries = state[parameter]
                self.places.append(Place(_join(path, "state"), state, parameter, entries))
                self._seen.add(id(entries))
                self.tables.append((_join(path, "state"), entries, dict(entries)))
                for key in entries:
                    self._note(f"{path}.state[...][{key!r}]", entries, key)

    # -------------------------------------------------------------------------------------------- after a run

    def drawn(self) -> list[Any]:
        """The states of the sources of random numbers that are not Ingot's, Python's and NumPy's own among them."""
        found: list[Any] = [random.getstate(), repr(np.random.get_state())]
        for _, source in self.sources:
            if isinstance(source, np.random.Generator):
                found.append(repr(source.bit_generator.state))
            else:
                found.append(repr(source.getstate() if isinstance(source, random.Random) else source.get_state()))
        return found

    def changes(self) -> Iterator[tuple[str, Any, Any]]:
        """The tables that hold something else than before: (path, table, what it held)."""
        for path, table, before in self.tables:
            if isinstance(table, CellType):
                now = read(Place(path, table, None, None))
                if now is not before:
                    yield path, table, before
            elif isinstance(table, list):
                if len(table) != len(before) or any(a is not b for a, b in zip(table, before, strict=True)):
                    yield path, table, before
            elif table.keys() != before.keys() or any(table[key] is not value for key, value in before.items()):
                yield path, table, before

    def restore(self) -> None:
        """Give every table back what it held."""
        for _, table, before in list(self.changes()):
            if isinstance(table, CellType):
                table.cell_contents = before
            elif isinstance(table, list):
                table[:] = before
            else:
                for key in [key for key in table if key not in before]:
                    del table[key]
                table.update(before)


def _join(path: str, key: Any) -> str:
    return ".".join(part for part in (path, str(key)) if part)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _NOT_FOLLOWED


def _function_of(value: Any) -> FunctionType | None:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    return value if isinstance(value, FunctionType) else None


@lru_cache(maxsize=4096)
def _named(code: CodeType) -> tuple[frozenset[str], frozenset[str], bool]:
    """The attributes and the globals that code names, the code inside of it included, and whether it looks attributes
    up by computed names."""
    attributes: set[str] = set()
    names: set[str] = set()
    for instruction in dis.get_instructions(code):
        if "ATTR" in instruction.opname or "METHOD" in instruction.opname:
            attributes.add(instruction.argval)
        elif "GLOBAL" in instruction.opname or "NAME" in instruction.opname:
            names.add(instruction.argval)
    reflects = bool((attributes | names) & _REFLECTION)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more, others, computed = _named(inner)
            attributes |= more
            names |= others
            reflects |= computed
    return frozenset(attributes), frozenset(names), reflects


@lru_cache(maxsize=4096)
def _assigned_globals(code: CodeType) -> frozenset[str]:
    """The globals that code assigns or deletes, the code inside of it included."""
    found = {x.argval for x in dis.get_instructions(code) if x.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")}
    inner = [_assigned_globals(const) for const in code.co_consts if isinstance(const, CodeType)]
    return frozenset(found).union(*inner)


@lru_cache(maxsize=1024)
def _attributes_of_class(cls: type) -> frozenset[str]:
    """The attributes that the methods of one of Ingot's classes name."""
    found: frozenset[str] = frozenset()
    for key, value in vars(cls).items():
        function = _function_of(value)
        if function is not None and key not in ("__init__", "extra_repr", "__repr__", "reset_parameters"):
            found |= _named(function.__code__)[0]
    return found
