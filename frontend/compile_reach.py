"""What a function reads: every entry outside of it that its code may read, found before it is captured.

What lives here: `Reach`, the walk from a function through the globals and closures that its code names, the objects
and modules behind them, and the functions that those call in turn. It gives entries: of a table, a list, an enclosing
variable, each with its path. What an entry must still hold for a variant to be served is `compile_guards`' subject.

`capture.reachable` walks through all that code could change; here, where each entry costs every call a comparison, an
attribute counts if the code that was found names it. Code that looks attributes up by computed names (`getattr`,
`vars`), or catches an AttributeError, makes all of them count.
"""

from __future__ import annotations

import dis
import functools
import random
import re
import sys
import types
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Final

import numpy as np

from ..ir.errors import CaptureError
from ..ir.locations import Location, resolve
from .capture.code_names import named
from .capture.places import MISSING, MODULE_TABLES, Place, slots_of
from .capture.reachable import DESCRIPTORS, SOURCES
from .capture.watching import is_users
from .module import Module
from .random import Generator
from .tensor_base import TensorBase

__all__ = ["CONTENTS", "MISSING", "PLAIN", "Entry", "Reach", "read"]

PLAIN: Final = (bool, int, float, complex, str, bytes, type(None))
CONTENTS: Final = object()  # the key of an entry that is all of a list of numbers and strings

_MOST_PLACES: Final = 200_000
_ALL_GLOBALS: Final = frozenset(("globals", "eval", "exec"))  # what reads globals by computed names
_SPECIAL: Final = frozenset(
    ("forward", "__call__", "__getitem__", "__len__", "__iter__", "__next__", "__contains__", "__enter__", "__exit__",
     "__getattr__", "__bool__", "__eq__", "__add__", "__mul__", "__sub__", "__truediv__", "__matmul__")
)  # fmt: skip
_NOT_WRITTEN: Final = "@"  # names that pytest puts into functions whose assertions it rewrites
_NOT_FOLLOWED: Final = ("numpy", "ingot", "builtins")
_MADE: Final = frozenset(("__init__", "__new__", "__post_init__"))  # what runs where code calls a class
_LEADS_NOWHERE: Final = (bool, int, float, complex, str, bytes, type(None), np.generic, np.ufunc, CodeType)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
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
        return not isinstance(self.owner, (list, tuple, deque, CellType, Mapping))


def read(place: Entry) -> Any:
    """What a place holds now; `MISSING` where there is nothing."""
    try:
        if isinstance(place.owner, CellType):
            return place.owner.cell_contents
        return getattr(place.owner, place.key) if place.by_attribute else place.owner[place.key]
    except (LookupError, AttributeError, ValueError, TypeError):
        return MISSING


class Reach:
    """Every entry that a function may read, the objects that hold them, and what those held.

    Args:
        func: the function, module, bound method or callable object.
        given: further objects that it is handed, each with its name.

    Attributes:
        places: in the order in which they were found.
        tables: what a run can change, each with what it held.
        optimizers: the optimizers, each with its path.
        sources: sources of random numbers that are not Ingot's.
        sizes: (path, owner, number of entries, whether their order counts) of the containers whose entries count.
        missing: (path, table, key) of what a table does not hold, and would be found before what the code finds now:
            an object's own attribute before its class's.

    Raises:
        CaptureError: when there is no end to it.
    """

    def __init__(self, func: Any, given: list[tuple[str, Any]]) -> None:
        self.func = func
        self.given = given
        self.names: set[str] = set(_SPECIAL)
        self.everything = False
        self._class_tables: dict[type, Mapping[str, Any]] = {}  # one for each, for places are known by their owners
        before = -1
        while before != len(self.names) + self.everything:  # names found on the way may lead further
            before = len(self.names) + self.everything
            self._walk()

    def _walk(self) -> None:
        self.places: list[Entry] = []
        self.tables: list[tuple[Place, dict[Any, Any]]] = []
        self.optimizers: list[tuple[str, Any]] = []
        self.sources: list[tuple[str, Any]] = []
        self.sizes: list[tuple[str, Any, int, bool]] = []
        self.missing: list[tuple[str, Any, Any]] = []
        self._codes: list[CodeType] = []
        self._classes: dict[type, tuple[frozenset[str], frozenset[str]]] = {}
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
            self._entries_of(path, func.keywords, {key: key for key in func.keywords})
        elif isinstance(func, MethodType):
            self._queue.append((path, func.__self__))
            self._callable(path, func.__func__)
        elif isinstance(func, FunctionType):
            self._function(func)
        else:
            self._queue.append((path, func))

    def _function(self, func: FunctionType) -> None:
        if id(func) in self._seen:
            return
        self._seen.add(id(func))
        code = func.__code__
        found = named(code)
        self.names |= found.attributes
        if not is_users(code.co_filename):
            return
        self._codes.append(code)
        self.everything |= found.reflects or "AttributeError" in found.globals
        for name, cell in zip(code.co_freevars, func.__closure__ or (), strict=True):
            self._note(name, cell, None)
        space = func.__globals__
        self._names_of(space, found.globals if _ALL_GLOBALS.isdisjoint(found.globals) else frozenset(space))
        self._imports(space, found.globals)
        if assigned := _assigned_globals(code):
            self._holds("", space, sorted(assigned))
        self._note(f"{func.__name__}.__code__", func, "__code__")
        for key in ("__defaults__", "__kwdefaults__"):
            if getattr(func, key):
                self._note(f"{func.__name__}.{key}", func, key)
        if func.__dict__:
            self._entries_of(func.__name__, func.__dict__, {key: f"{func.__name__}.{key}" for key in func.__dict__})

    def _imports(self, space: dict[str, Any], names: frozenset[str]) -> None:
        """The modules that code imports where it runs."""
        package = space.get("__package__")
        for name in names:
            if name not in space:
                for full in (name, name.partition(".")[0], f"{package}.{name}"):
                    if isinstance(module := sys.modules.get(full), ModuleType):
                        self._queue.append((full, module))

    def _names_of(self, space: dict[str, Any], names: frozenset[str]) -> None:
        for name in names:
            if name in space and not name.startswith((_NOT_WRITTEN, "__")):
                self._note(name, space, name)

    # ------------------------------------------------------------------------------------------------ objects

    def _note(self, path: str, owner: Any, key: Any) -> None:
        """A place, and what it holds."""
        if (id(owner), key) in self._entries:
            return
        self._entries.add((id(owner), key))
        place = Entry(path, owner, key, None)
        value = read(place)
        if value is MISSING:
            return
        self.places.append(Entry(path, owner, key, value))
        if not isinstance(value, PLAIN):
            self._queue.append((path, value))
        if isinstance(owner, CellType):
            self._holds(path, owner)

    def _holds(self, path: str, owner: Any, names: Iterable[str] | None = None) -> None:
        """Something that a run can change."""
        place = Place(path, owner, names)
        self.tables.append((place, place.read()))

    def _visit(self, path: str, value: Any) -> None:
        if isinstance(value, _LEADS_NOWHERE) or id(value) in self._seen:
            return
        if isinstance(value, (FunctionType, MethodType, functools.partial)):
            return self._callable(path, value)
        self._seen.add(id(value))
        way = next((way for kinds, way in self._ways() if isinstance(value, kinds)), None)
        if way is not None:
            way(path, value)
        elif hasattr(type(value), "named_state") and hasattr(value, "param_groups"):
            self._optimizer(path, value)
        elif hasattr(type(value), "__ingot_original__"):
            self._queue.append((path, value.__ingot_original__))
        else:
            self._object(path, value)

    def _ways(self) -> tuple[tuple[Any, Any], ...]:
        """What is done with objects of some classes."""
        return (
            (TensorBase, self._tensor),
            (Module, self._module),
            ((list, tuple, deque), self._sequence),
            (MappingProxyType, lambda path, value: self._entries_of(path, value, _keyed(path, value))),
            (dict, lambda path, value: self._entries_of(path, value, _keyed(path, value))),
            (ModuleType, self._module_object),
            (type, self._named_class),
            ((set, frozenset), self._set),
            (tuple(DESCRIPTORS), self._descriptor),
            (weakref.ref, lambda path, value: self._queue.append((f"{path}()", value()))),
            ((types.BuiltinFunctionType, types.MethodWrapperType), self._builtin),
            (Generator, lambda path, value: self._note(path, vars(value), "_key")),
        )

    def _tensor(self, path: str, tensor: Any) -> None:
        """What the user has put on a tensor: attributes, and hooks on its gradient."""
        for hooks in getattr(tensor._node, "hooks", {}).values():
            self._queue.extend((path, hook) for hook, _ in hooks.values())
        own = vars(tensor)
        given = frozenset(key for key in own if not key.startswith("_"))
        for key in given:
            self._note(f"{path}.{key}", own, key)
        if given:
            self._holds(path, own, sorted(given))

    def _sequence(self, path: str, value: Any) -> None:
        if not isinstance(value, tuple):
            self._holds(path, value)
            self.sizes.append((path, value, len(value), True))
            if all(isinstance(item, PLAIN) for item in value):
                self.places.append(Entry(path, value, CONTENTS, tuple(value)))
                return
        for i, item in enumerate(value):
            if not isinstance(value, tuple) or not isinstance(item, PLAIN):  # a plain tuple is watched as a whole
                self._note(f"{path}[{i}]", value, i)

    def _set(self, path: str, value: Any) -> None:
        """A set is watched as a whole."""
        if isinstance(value, set):
            self._holds(path, value)
        self._queue.extend((path, item) for item in value)

    def _entries_of(self, path: str, value: Any, names: Mapping[Any, str]) -> None:
        """What a dict, or a view of one, holds.

        Args:
            names: the paths of its entries, by their keys.
        """
        if not isinstance(value, MappingProxyType):
            self._holds(path, value)
        self.sizes.append((path, value, len(value), True))
        for key, name in names.items():
            self._note(name, value, key)

    def _descriptor(self, path: str, value: Any) -> None:
        for kind, parts in DESCRIPTORS.items():
            if isinstance(value, kind):
                self._queue.extend((path, getattr(value, part)) for part in parts)

    def _builtin(self, path: str, value: Any) -> None:
        """A method of an object of Python's: `append` of a list."""
        if not isinstance(value.__self__, ModuleType):
            self._queue.append((path, value.__self__))

    def _module_object(self, path: str, value: ModuleType) -> None:
        if value.__name__.partition(".")[0] not in _NOT_FOLLOWED:
            for name in self.names & vars(value).keys():
                if not name.startswith("__"):
                    self._note(f"{path}.{name}", vars(value), name)

    def _module(self, path: str, module: Module) -> None:
        table = vars(module)
        self._table(path, table, type(module))
        for name in MODULE_TABLES:
            entries = table.get(name, {})
            if id(entries) in self._seen:
                continue
            self._seen.add(id(entries))
            self._holds(path, entries)
            self.sizes.append((f"{path}.{name}", entries, len(entries), name == "_modules"))
            for key in entries:
                self._note(_join(path, key), entries, key)
        for name in ("_pre_hooks", "_hooks"):
            hooks = table.get(name)
            if hooks is not None:
                words = f"the hooks of {path or 'the module'}"
                self.sizes.append((words, hooks, len(hooks), True))
                for number in hooks:
                    self._note(words, hooks, number)

    def _table(self, path: str, table: dict[str, Any], cls: type) -> None:
        """The attributes of an object that the code names."""
        self._seen.add(id(table))
        self._holds(path, table)
        if self.everything:
            self.sizes.append((path or "the object", table, len(table), False))
        more, shadowed = self._class(cls)
        wanted = self.names | more
        for key in list(table):
            if key in MODULE_TABLES or key in ("_pre_hooks", "_hooks", "_non_persistent"):
                continue
            if self.everything or key in wanted:
                self._note(_join(path, key), table, key)
        self.missing += [(_join(path, key), table, key) for key in shadowed if key not in table]

    def _named_class(self, path: str, cls: type) -> None:
        """A class that code names, and may make objects of."""
        if not _is_ours(cls.__module__):
            self._class(cls)
            for base in cls.__mro__:
                if not _is_ours(base.__module__) and not issubclass(base, Module):
                    own = self._class_table(base)
                    for key in _MADE & own.keys():
                        self._note(f"{base.__name__}.{key}", own, key)

    def _class(self, cls: type) -> tuple[frozenset[str], frozenset[str]]:
        """What the methods of Ingot's classes name, and what attributes an object finds in the class; those of the
        user's classes, and what these methods read, are noted on the way."""
        if cls in self._classes:
            return self._classes[cls]
        self._classes[cls] = frozenset(), frozenset()  # of a class that its own methods name
        more: frozenset[str] = frozenset()
        shadowed: set[str] = set()
        above: list[Mapping[str, Any]] = []  # what is looked at before
        for base in cls.__mro__:
            if base is object or base.__module__ == "builtins":
                continue
            own = self._class_table(base)
            if _is_ours(base.__module__):
                more |= _attributes_of_class(base)
                keys = ["forward"] if issubclass(base, Module) and "forward" in own else []
            else:
                keys = [key for key in own if self._counts(key, own[key])]
                self._holds(base.__name__, base)
                if self.everything:
                    self.sizes.append((base.__name__, own, len(own), False))
            for key in keys:
                self._note(f"{base.__name__}.{key}", own, key)
                self.missing += [(f"{cls.__name__}.{key}", table, key) for table in above if key not in table]
            shadowed.update(key for key in keys if not key.startswith("__"))
            above.append(own)
        self._classes[cls] = more, frozenset(shadowed)
        return self._classes[cls]

    def _counts(self, key: str, value: Any) -> bool:
        """Whether the code may read an entry of a class of the user's."""
        if key.startswith("__") and key.endswith("__"):  # operators and the like run without their names
            return isinstance(value, FunctionType) and (key not in _MADE or key in self.names)
        return self.everything or key in self.names

    def _class_table(self, cls: type) -> Mapping[str, Any]:
        return self._class_tables.setdefault(cls, vars(cls))

    def _object(self, path: str, value: Any) -> None:
        if isinstance(value, SOURCES) and not isinstance(value, random.SystemRandom):  # that one has no state
            self.sources.append((path, value))
        if isinstance(value, np.ndarray):
            return
        if hasattr(type(value), "__next__") and type(value).__module__ in ("builtins", "itertools"):
            raise CaptureError(
                "the function reads from an iterator, with which compiled calls would not go on",
                found=f"{path or 'an argument'}, a {type(value).__name__}",
                location=self._line_of(path),
                advice="take the next item outside of the compiled function, and pass it as an argument",
            )
        if hasattr(value, "__dict__"):
            self._table(path, vars(value), type(value))
            self._queue.append((path, vars(value).get("__wrapped__")))  # such as what functools.lru_cache was given
        slots = tuple(name for name in slots_of(type(value)) if self.everything or name in self.names)
        if slots and not _is_ours(type(value).__module__):
            self._holds(path, value, slots)
            for name in slots:
                self._note(_join(path, name), value, name)

    def _line_of(self, path: str) -> Location | None:
        """A line that names the last part of a path."""
        names = re.findall(r"[^\W\d]\w*", path)
        for code in self._codes:
            for instruction in dis.get_instructions(code):
                if names and instruction.argval == names[-1]:
                    return resolve((code, instruction.offset))
        return None

    def _optimizer(self, path: str, optimizer: Any) -> None:
        self.optimizers.append((path, optimizer))
        self._table(path, vars(optimizer), type(optimizer))
        self._note(_join(path, "param_groups"), vars(optimizer), "param_groups")
        state = optimizer.state
        self._seen.add(id(state))
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            if parameter in state:
                entries = state[parameter]
                self.places.append(Entry(_join(path, "state"), state, parameter, entries))
                self._seen.add(id(entries))
                self._holds(_join(path, "state"), entries)
                for key in entries:
                    self._note(f"{path}.state[...][{key!r}]", entries, key)

    # -------------------------------------------------------------------------------------------- after a run

    def changed(self) -> Iterator[tuple[Place, dict[Any, Any]]]:
        """The tables that hold something else than before, with what they held."""
        return ((place, before) for place, before in self.tables if place.differs(before))

    def restore(self) -> None:
        """Give every table back what it held."""
        for place, before in self.tables:
            place.restore(before)

    def drawn(self) -> list[Any]:
        """The states of the sources of random numbers that are not Ingot's, Python's and NumPy's own among them."""
        found: list[Any] = [random.getstate(), repr(np.random.get_state())]
        for _, source in self.sources:
            if isinstance(source, np.random.Generator):
                found.append(repr(source.bit_generator.state))
            else:
                found.append(repr(source.getstate() if isinstance(source, random.Random) else source.get_state()))
        return found


def _join(path: str, key: Any) -> str:
    return ".".join(part for part in (path, str(key)) if part)


def _keyed(path: str, value: Mapping[Any, Any]) -> dict[Any, str]:
    """The paths of a dict's entries."""
    return {key: f"{path}[{key!r}]" for key in value}


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _NOT_FOLLOWED


def _function_of(value: Any) -> FunctionType | None:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    return value if isinstance(value, FunctionType) else None


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
            found |= named(function.__code__).attributes
    return found
