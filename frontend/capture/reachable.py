"""The walk over what a function reaches: the places whose contents it can change, tensors, arrays, random sources.

It follows names, not guesses: the globals and modules that the function's code names, its closure and defaults, `self`,
and from there the functions, classes, objects and containers. It stays out of the standard library, NumPy and Ingot's
own code, but goes through the objects of Ingot's classes, such as modules and optimizers. (`reach` looks after what the
branches of a program that is being captured change; it leaves tensors, arrays and classes alone.)
"""

from __future__ import annotations

import functools
import random
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from types import CellType, CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, Final

import numpy as np

from ..random import default_generator
from ..tape import Leaf
from ..tensor_base import TensorBase

__all__ = ["Place", "Reachable", "is_users", "own_attributes", "reachable"]

_MOST: Final = 200_000  # objects that are looked at
_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None), type(...), CodeType, range, slice, np.dtype)
_OURS: Final = __name__.split(".")[0]
_OTHERS: Final = {"numpy", "ml_dtypes", "cupy", "_pytest", "pytest", *sys.stdlib_module_names} - {"__main__"}
# Of Ingot's objects, those that users change; graphs and what is compiled from them are not among them.
_WALKED: Final = re.compile(rf"{_OURS}\.((nn|optim|utils|frontend)\b|ir\.program$)")
_MISSING: Final = object()
_DESCRIPTORS: Final = {property: ("fget", "fset"), staticmethod: ("__func__",), classmethod: ("__func__",)}


class Place:
    """Something that names or numbers stand for values in: a dict, a list, a variable, an object, a class.

    Args:
        owner: it.
        names: the keys or attributes that count, where not all do.
    """

    __slots__ = ("names", "owner", "path")

    def __init__(self, path: str, owner: Any, names: Iterable[str] | None = None) -> None:
        self.path = path
        self.owner = owner
        self.names = None if names is None else tuple(names)

    def read(self) -> dict[Any, Any]:
        """What it holds now."""
        owner = self.owner
        if isinstance(owner, dict):
            return dict(owner) if self.names is None else {n: owner[n] for n in self.names if n in owner}
        if isinstance(owner, (list, deque)):
            return dict(enumerate(owner))
        if isinstance(owner, set):
            return dict.fromkeys(owner)
        if isinstance(owner, CellType):
            try:
                return {"": owner.cell_contents}
            except ValueError:  # a variable that is not bound yet
                return {}
        if isinstance(owner, type):
            return {key: value for key, value in vars(owner).items() if not _is_special(key)}
        found = {name: _own(owner, name) for name in self.names or ()}
        return {name: value for name, value in found.items() if value is not _MISSING}

    def write(self, before: dict[Any, Any]) -> None:
        """Make it hold what it held before."""
        owner = self.owner
        if isinstance(owner, dict):
            for key in self.read() if self.names is not None else list(owner):
                del owner[key]
            owner.update(before)
        elif isinstance(owner, (list, deque)):
            owner.clear()
            owner.extend(before.values())
        elif isinstance(owner, set):
            owner.clear()
            owner.update(before)
        elif isinstance(owner, CellType):
            if before:
                owner.cell_contents = before[""]
            else:
                del owner.cell_contents
        else:
            _set_attributes(owner, self.read(), before)


def _set_attributes(owner: Any, now: dict[str, Any], before: dict[str, Any]) -> None:
    kind: Any = type if isinstance(owner, type) else object
    for name in now.keys() - before.keys():
        kind.__delattr__(owner, name)
    for name, value in before.items():
        if name not in now or now[name] is not value:
            kind.__setattr__(owner, name, value)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def is_users(module: str | None) -> bool:
    """Whether a module's code is the user's, and so may hold state of his."""
    root = (module or "").split(".")[0]
    return root != _OURS and root not in _OTHERS


class Reachable:
    """What was found.

    Attributes:
        places: what holds values.
        tensors, arrays: with the path that they were first met on.
        sources: of random numbers, other than Ingot's.
        complete: False when there was too much to look at all of it.
    """

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.tensors: list[tuple[str, Any]] = []
        self.arrays: list[tuple[str, np.ndarray]] = []
        self.sources: list[Any] = [random._inst, np.random.mtrand._rand]
        self.complete = True
        self._seen: dict[int, Any] = {}  # also keeps what was met alive, so that no `id` is used again
        self._waiting: list[tuple[str, Any]] = []
        self._globals: dict[tuple[int, str], None] = {}

    def walk(self, roots: Iterable[tuple[str, Any]]) -> None:
        """Look at everything that the roots lead to."""
        self._waiting.extend(roots)
        while self._waiting:
            path, value = self._waiting.pop()
            if isinstance(value, _PLAIN) or id(value) in self._seen:
                continue
            if len(self._seen) >= _MOST:
                self.complete = False
                return
            self._seen[id(value)] = value
            self._visit(path, value)

    @property
    def objects(self) -> Iterable[Any]:
        """Everything that was met."""
        return self._seen.values()

    def _later(self, path: str, value: Any) -> None:
        if not isinstance(value, _PLAIN):
            self._waiting.append((path, value))

    def _place(self, path: str, owner: Any, names: Iterable[str] | None = None) -> None:
        place = Place(path, owner, names)
        self.places.append(place)
        for key, value in place.read().items():
            self._later(_join(path, key), value)

    def _visit(self, path: str, value: Any) -> None:
        if isinstance(value, TensorBase):
            self._tensor(path, value)
        elif isinstance(value, np.ndarray):
            self.arrays.append((path, value))
        elif isinstance(value, (random.Random, np.random.Generator, np.random.RandomState)):
            self.sources.append(value)
        elif isinstance(value, (FunctionType, MethodType, functools.partial)) or type(value) in _DESCRIPTORS:
            self._callable(path, value)
        elif isinstance(value, type):
            self._class(path, value)
        elif isinstance(value, (tuple, frozenset, dict, list, set, deque, CellType)):
            self._container(path, value)
        elif not isinstance(value, ModuleType):
            self._instance(path, value)

    def _container(self, path: str, value: Any) -> None:
        if not isinstance(value, (tuple, frozenset)):
            self._place(path, value)
        items = () if isinstance(value, (list, deque, CellType)) else value  # what is not looked at with the place
        for i, item in enumerate(items):
            self._later(_join(path, i), item)
        self._instance(path, value)

    def _tensor(self, path: str, tensor: Any) -> None:
        self.tensors.append((path, tensor))
        self._later(f"{path}.grad", tensor._grad)
        self._later(f"{path}.base", tensor._base)
        for alias in () if tensor._storage is None else tensor._storage.aliases:
            self._later(f"{path}.view", alias)
        if isinstance(tensor._node, Leaf):
            self._instance(path, tensor._node)
        for key, value in vars(tensor).items():
            if not key.startswith("_"):
                self._later(_join(path, key), value)

    def _callable(self, path: str, value: Any) -> None:
        if isinstance(value, FunctionType):
            self._function(path, value)
        elif isinstance(value, MethodType):
            self._later(path, value.__self__)
            self._later(path, value.__func__)
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._later(path, part)
        else:
            for name in _DESCRIPTORS[type(value)]:
                self._later(path, getattr(value, name))

    def _function(self, path: str, function: FunctionType) -> None:
        if not is_users(function.__module__):
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._later(name, cell)
        for part in (function.__defaults__, function.__kwdefaults__, function.__dict__):
            self._later(path, part)
        names = tuple(dict.fromkeys(_names(function.__code__)))
        space = function.__globals__
        new = [name for name in names if (id(space), name) not in self._globals]
        self._globals.update(dict.fromkeys((id(space), name) for name in new))
        if new:
            self._place("", space, new)
        modules = {name: space.get(name, sys.modules.get(name)) for name in names} | _enclosed(function)
        for name, module in modules.items():
            if isinstance(module, ModuleType) and is_users(module.__name__):
                self._place(name, vars(module), names)

    def _class(self, path: str, cls: type) -> None:
        if not is_users(cls.__module__):
            return
        self._place(path or cls.__name__, cls)
        for name, value in vars(cls).items():
            if _is_special(name) and isinstance(value, FunctionType):
                self._later(path, value)
        for base in cls.__bases__:
            self._later(base.__name__, base)

    def _instance(self, path: str, value: Any) -> None:
        """An object's attributes, and its class."""
        cls = type(value)
        if not (is_users(cls.__module__) or cls is SimpleNamespace or _WALKED.match(cls.__module__)):
            return
        if isinstance(own := _own(value, "__dict__"), dict):
            self._place(path, own)
        slots = [name for base in cls.__mro__ for name in _slots(base)]
        if slots:
            self._place(path, value, slots)
        self._later(cls.__name__, cls)


def reachable(func: Any, others: Iterable[tuple[str, Any]] = ()) -> Reachable:
    """What a function, module or bound method reaches, and other values with it."""
    found = Reachable()
    found.walk([("generator", default_generator), *others, ("", func)])
    return found


def own_attributes(value: Any) -> dict[str, Any]:
    """What an object's `__dict__` holds; nothing for one without."""
    found = _own(value, "__dict__")
    return found if isinstance(found, dict) else {}


def _own(value: Any, name: str) -> Any:
    """An attribute of an object, without its `__getattribute__` and `__getattr__`, which are the user's code."""
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return _MISSING


def _slots(cls: type) -> Iterator[str]:
    found = vars(cls).get("__slots__", ())
    for name in (found,) if isinstance(found, str) else found:
        if name not in ("__dict__", "__weakref__"):
            yield f"_{cls.__name__.lstrip('_')}{name}" if name.startswith("__") and not _is_special(name) else name


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function's code, and the functions written inside of it, look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _enclosed(function: FunctionType) -> dict[str, Any]:
    """The variables of enclosing functions that a function uses, where they are bound."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        for value in Place(name, cell).read().values():
            found[name] = value
    return found


def _join(path: str, key: Any) -> str:
    if isinstance(key, str):
        parts = (path, "" if key in ("_parameters", "_buffers", "_modules") else key)
    else:
        parts = (path, str(key) if isinstance(key, int) else "")
    return ".".join(part for part in parts if part)
