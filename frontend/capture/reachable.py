"""The Python objects that code can reach: one walk, for all who have to know what code can change.

It follows names, not guesses: the globals and modules that a function's code names, its closure and defaults, `self`,
and from there the functions, classes, objects and containers. It stays out of the code of Python's library, NumPy and
Ingot, but goes through objects of Ingot's classes, such as modules and optimizers.

What lives here: the walk, and its plainest use, `Reachable`. `reach` asks it what a branch of a program that is being
captured can change, `attributes` and `surroundings` what a whole run can change. What code reads, entry by entry, is
`compile_reach`'s subject, which shares the places with it and has a narrower walk of its own.
"""

from __future__ import annotations

import functools
import random
import re
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any, Final

import numpy as np

from ...ir.locations import is_internal
from ..module import Module
from ..random import default_generator
from ..tape import Leaf
from ..tensor_base import TensorBase
from .code_names import is_installed, is_users_module, names_in
from .places import MODULE_TABLES, Place, Way, is_special, own_attribute, slots_of

__all__ = ["DESCRIPTORS", "SOURCES", "Reachable", "Walk", "own_attributes", "reachable"]

SOURCES: Final = (random.Random, np.random.Generator, np.random.RandomState)  # of random numbers
# What of a descriptor may be, or hold, a function.
DESCRIPTORS: Final[dict[type, tuple[str, ...]]] = {
    property: ("fget", "fset", "fdel"), staticmethod: ("__func__",), classmethod: ("__func__",),
    functools.cached_property: ("func",), functools.partialmethod: ("func", "args", "keywords"),
}  # fmt: skip

_MOST: Final = 200_000  # objects that are looked at
_PLAIN: Final = (
    bool, int, float, complex, str, bytes, type(None), type(...), CodeType, range, slice, np.dtype, np.generic,
    np.ufunc,
)  # fmt: skip
_OURS: Final = __name__.split(".")[0]
_FOREIGN: Final = {"builtins", "numpy", "ml_dtypes", "cupy", "_pytest", "pytest"}  # no object of theirs is walked
# Classes of Python's library whose objects only hold what others put there.
_HOLDERS: Final = {"types.SimpleNamespace", "argparse.Namespace", "collections.UserDict", "collections.UserList"}
_MODELS: Final = re.compile(rf"{_OURS}\.(nn|optim|utils)\b")
_MACHINERY: Final = re.compile(rf"{_OURS}\.(frontend\b|ir\.program$)")


class Walk:
    """One walk, nearest objects first.

    Args:
        tensors: whether tensors are looked into, with their gradients and views.
        machinery: whether objects of Ingot's own machinery are, such as programs and generators.
        library: whether objects of classes of Python's library are.
        installed: whether modules and classes of installed packages are that code names; objects of theirs are anyway.

    Attributes:
        places: what holds values, each with what it holds.
        complete: False when there was too much to look at all of it.
    """

    def __init__(self, *, tensors: bool, machinery: bool, library: bool, installed: bool) -> None:
        self.places: list[tuple[Place, dict[Any, Any]]] = []
        self.complete = True
        self._tensors, self._machinery, self._library, self._installed = tensors, machinery, library, installed
        self._seen: dict[int, Any] = {}  # also keeps what was met alive, so that no `id` is used again
        self._waiting: deque[tuple[Way, Any]] = deque()
        self._tables: set[int] = set()  # the dicts whose entries are read as attributes
        self._named: set[tuple[int, str]] = set()  # globals, and attributes of modules
        self._visits: dict[type, Callable[[Way, Any], None]] = {}
        self._leaves: set[type] = set()  # classes whose objects lead nowhere
        self._classes: set[type] = set()
        self._slots: dict[type, tuple[str, ...] | None] = {}  # of classes; None for those that are not looked into

    def walk(self, roots: Iterable[tuple[Way, Any]]) -> None:
        """Look at everything that the roots lead to."""
        self._waiting.extend(roots)
        while self._waiting:
            way, value = self._waiting.popleft()
            if id(value) in self._seen:
                continue
            cls = type(value)
            visit = self._visits.get(cls) or self._visit_of(cls)
            if cls in self._leaves:
                continue
            if len(self._seen) >= _MOST:
                self.complete = False
                return
            self._seen[id(value)] = value
            visit(way, value)

    def begin_in(self, functions: Iterable[Any]) -> None:
        """Look at everything that functions lead to whose enclosing variables are no places: what these hold counts."""
        functions = list(functions)
        for function in functions:
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                self._seen[id(cell)] = cell
                for value in Place(name, cell).read().values():
                    self._later(name, value)
        self.walk(("", function) for function in functions)

    # ---------------------------------------------------------------------------- what narrower walks do otherwise

    def _place(self, place: Place) -> None:
        """Something that holds values: it is noted, and what it holds is looked at later."""
        found = place.read()
        self.places.append((place, found))
        for key, value in found.items():
            if type(value) not in self._leaves and id(value) not in self._seen:
                self._waiting.append(((place, key), value))

    def _tensor(self, way: Way, tensor: Any) -> None:
        """A tensor: it leads nowhere, unless tensors are looked into."""

    def _array(self, way: Way, array: Any) -> None:
        """An array of NumPy's: it leads nowhere."""

    def _source(self, way: Way, source: Any) -> None:
        """A source of random numbers: its state is no object."""

    # ----------------------------------------------------------------------------------------------------- the visits

    def _visit_of(self, cls: type) -> Callable[[Way, Any], None]:
        """What is done with the objects of a class, found when the first one is met."""
        visits: list[tuple[Any, Callable[[Way, Any], None]]] = [
            (TensorBase, self._tensor),
            (np.ndarray, self._array),
            (SOURCES, self._source),
            (FunctionType, self._function),
            ((MethodType, BuiltinFunctionType, MethodWrapperType, functools.partial, *DESCRIPTORS), self._callable),
            (type, self._class),
            ((tuple, frozenset, dict, list, set, deque, CellType), self._container),
            (ModuleType, self._module),
            (MappingProxyType, lambda way, value: self._container(way, tuple(value.values()))),
            (weakref.ref, lambda way, value: self._later(way, value())),
        ]
        if issubclass(cls, (*_PLAIN, *(() if self._tensors else (TensorBase,)))):
            self._leaves.add(cls)
        found = self._visits[cls] = next((visit for kinds, visit in visits if issubclass(cls, kinds)), self._instance)
        return found

    def _later(self, way: Way, value: Any) -> None:
        if type(value) not in self._leaves and id(value) not in self._seen:
            self._waiting.append((way, value))

    def _container(self, way: Way, value: Any) -> None:
        place = Place(way, value, attributes=id(value) in self._tables)
        if not isinstance(value, (tuple, frozenset)):
            self._place(place)
        if not isinstance(value, (list, deque, CellType)):  # items that the place does not give, and keys
            for i, item in enumerate(value):
                if type(item) not in self._leaves:
                    self._later((place, i), item)
        if type(value).__module__ not in ("builtins", "collections"):
            self._instance(way, value)

    def _callable(self, way: Way, value: Any) -> None:
        if isinstance(value, functools.partial):
            for name, part in ((way, value.func), ("args", value.args), (way, value.keywords)):
                self._later(name, part)
            return
        parts = next(
            (parts for kind, parts in DESCRIPTORS.items() if isinstance(value, kind)), ("__self__", "__func__")
        )
        for name in parts:
            self._later(way, getattr(value, name, None))

    def _function(self, way: Way, function: FunctionType) -> None:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if self._machinery or not is_internal(function.__code__.co_filename):
                self._later(name, cell)
            else:  # a variable of Ingot's own, which may hold a function of the user's
                for value in Place(name, cell).read().values():
                    if isinstance(value, (FunctionType, MethodType, functools.partial)):
                        self._later(name, value)
        if not is_users_module(function.__module__):
            return
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._later(way, value)
        self._attributes(way, function.__dict__, type(function))
        self._globals(function)

    def _globals(self, function: FunctionType) -> None:
        """The globals that a function's code names, and the attributes that it names of modules."""
        names = names_in(function.__code__)
        space = function.__globals__
        self._names_of("", space, names)
        modules: list[tuple[Way, Any]] = [(name, space.get(name, sys.modules.get(name))) for name in names]
        modules += [
            (name, value)
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
            for value in Place(name, cell).read().values()
        ]
        seen: set[int] = set()
        while modules:
            way, module = modules.pop()
            if isinstance(module, ModuleType) and id(module) not in seen and self._counts(module.__name__):
                seen.add(id(module))
                self._names_of(way, vars(module), names)
                place = Place(way, vars(module), names)
                modules += [((place, name), vars(module)[name]) for name in names if name in vars(module)]

    def _names_of(self, way: Way, space: dict[str, Any], names: Iterable[str]) -> None:
        new = [name for name in names if (id(space), name) not in self._named]
        self._named.update((id(space), name) for name in new)
        if new:
            self._place(Place(way, space, new))

    def _module(self, way: Way, module: ModuleType) -> None:
        """A module: only what functions name of it counts."""

    def _counts(self, module: str) -> bool:
        """Whether code may change what a module or its classes hold."""
        return is_users_module(module) and (self._installed or not is_installed(module))

    def _class(self, way: Way, cls: type) -> None:
        if self._counts(cls.__module__):
            self._members(way, cls)

    def _members(self, way: Way, cls: type) -> None:
        """A class's attributes and methods, and those of the classes above."""
        if cls in self._classes or not is_users_module(cls.__module__):
            return
        self._classes.add(cls)
        self._place(Place(way or cls.__name__, cls))
        for name, value in vars(cls).items():
            if is_special(name) and isinstance(value, FunctionType):
                self._later(way, value)
        for base in cls.__bases__:
            self._members(base.__name__, base)

    def _instance(self, way: Way, value: Any) -> None:
        """An object's attributes, and its class."""
        cls = type(value)
        if cls not in self._slots:
            self._slots[cls] = tuple(slots_of(cls)) if self._enters(cls) else None
        own, slots = own_attribute(value, "__dict__"), self._slots[cls]
        if slots is None:  # what it stands for, such as the function that functools.lru_cache was given
            for within in ("__ingot_original__", "__wrapped__"):
                if hasattr(cls, within) or (isinstance(own, dict) and within in own):
                    self._later(way, getattr(value, within))
            return
        if isinstance(own, dict):
            self._attributes(way, own, cls)
        if slots:
            self._place(Place(way, value, slots))
        self._members(cls.__name__, cls)

    def _attributes(self, way: Way, table: dict[str, Any], cls: type) -> None:
        """What an object's `__dict__` holds."""
        if id(table) in self._seen:
            return
        self._seen[id(table)] = table
        if issubclass(cls, Module):
            self._tables.update(id(table[name]) for name in MODULE_TABLES if name in table)
        self._place(Place(way, table, attributes=True))

    def _enters(self, cls: type) -> bool:
        """Whether objects of a class are looked into."""
        module = cls.__module__
        if issubclass(cls, Module) or is_users_module(module) or _MODELS.match(module):
            return True
        if f"{module}.{cls.__qualname__}" in _HOLDERS:
            return True
        if module.partition(".")[0] == _OURS:
            return self._machinery and bool(_MACHINERY.match(module))
        return self._library and module.partition(".")[0] not in _FOREIGN


class Reachable(Walk):
    """All that a function reaches whose contents can be put back.

    Attributes:
        tensors, arrays: with the path that they were first met on.
        sources: of random numbers, other than Ingot's.
    """

    def __init__(self) -> None:
        # The library's objects are left alone: other threads may be at work on them, such as on a queue.
        super().__init__(tensors=True, machinery=True, library=False, installed=True)
        self.tensors: list[tuple[Way, Any]] = []
        self.arrays: list[tuple[Way, np.ndarray]] = []
        self.sources: list[Any] = [random._inst, np.random.mtrand._rand]

    @property
    def objects(self) -> Iterable[Any]:
        """Everything that was met."""
        return self._seen.values()

    def _tensor(self, way: Way, tensor: Any) -> None:
        self.tensors.append((way, tensor))
        place = Place(way, tensor, ())
        self._later((place, "grad"), tensor._grad)
        self._later((place, "base"), tensor._base)
        for alias in () if tensor._storage is None else tensor._storage.aliases:
            self._later((place, "view"), alias)
        if isinstance(tensor._node, Leaf):
            self._instance(way, tensor._node)
        for key, value in vars(tensor).items():
            if not key.startswith("_"):
                self._later((place, key), value)

    def _array(self, way: Way, array: Any) -> None:
        self.arrays.append((way, array))

    def _source(self, way: Way, source: Any) -> None:
        self.sources.append(source)


def reachable(func: Any, others: Iterable[tuple[Way, Any]] = ()) -> Reachable:
    """What a function, module or bound method reaches, and other values with it."""
    found = Reachable()
    found.walk([("generator", default_generator), *others, ("", func)])
    return found


def own_attributes(value: Any) -> dict[str, Any]:
    """What an object's `__dict__` holds; nothing for one without."""
    found = own_attribute(value, "__dict__")
    return found if isinstance(found, dict) else {}
