"""Kernels as text: the source of a Python function together with all that it refers to.

A kernel of ours is a plain function. Emitted source must run without Ingot, so the function's own text is copied
into it, and so is the text of every module-level function, class and constant that it refers to, wherever that is
defined. Modules of Python and NumPy are imported. The two things of Ingot's that kernels touch, dtypes and errors,
are replaced with a few lines of their own.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

from ...ir import dtypes, errors, raised
from ...ir.errors import UnsupportedError
from ...ir.raised import RAISED
from ...ir.registry import NamedKernel
from .definitions import (
    attributes_of,
    bound_names,
    closure_of,
    free_names,
    function_text,
    renamed,
    segment,
    source_module,
    statements,
)

__all__ = ["STAND_IN_ERRORS", "Embedder", "why_not_embedded"]

_ROOT = __name__.partition(".backends.")[0]

_DTYPE_CLASS = '''\
class DType:
    """An element type: its NumPy dtype and what kernels ask of it."""

    known = {}

    def __init__(self, name, kind, type_):
        self.name = name
        self.kind = kind
        self.np = np.dtype(type_)
        self.itemsize = self.np.itemsize
        self.is_floating_point = kind == "float"
        DType.known[self.np] = self

    @staticmethod
    def of(value):
        return value if isinstance(value, DType) else DType.known[np.dtype(value)]'''

_ERROR_CLASS = '''\
class {name}({base}):
    """Raised in place of Ingot's error of the same name."""

    def __init__(self, what, **details):
        super().__init__("; ".join([what, *(f"{{k}}: {{v}}" for k, v in details.items() if v)]))'''

_ERROR_BASES = {"IndexOutOfRange": "IndexError", "DTypeError": "TypeError"}
_ERROR_BASES |= {kind.__name__: name for name, kind in RAISED.items()}  # of those that share a class, RuntimeError

# Whoever loads an emitted source in a process that has Ingot puts the true error classes in place of these.
STAND_IN_ERRORS = {name: getattr(errors, name) for name in errors.__all__ if name != "IngotError"}
STAND_IN_ERRORS |= {kind.__name__: kind for kind in RAISED.values()}

_COUNTED = re.compile(r"[a-z]+\d+")

Owner = tuple[str, str]  # the module and what it is called there


def _attribute_name(dtype: dtypes.DType) -> str:
    return "bool_" if dtype.kind == "bool" else dtype.name


_DTYPE_NAMES = {_attribute_name(d): d for d in dtypes.by_short.values()}


def _dtype_object(name: str) -> str:
    dtype = _DTYPE_NAMES[name]
    home = "ml_dtypes" if dtype is dtypes.bfloat16 else "np"
    return f'{name} = DType("{dtype.name}", "{dtype.kind}", {home}.{name})'


@dataclass(slots=True)
class Embedder:
    """Collects definitions for one source, each once, after those that it needs.

    Attributes:
        imports: import statements.
        pieces: definitions, by the name under which each was asked for first.
    """

    imports: dict[str, None] = field(default_factory=dict)
    pieces: dict[str, str] = field(default_factory=dict)
    _names: dict[Owner, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names for other uses."""
        self._taken.update(names)

    def function(self, function: Callable[..., Any]) -> str:
        """Embed a function or class; returns its name in the source.

        Raises:
            UnsupportedError: when its text cannot be had, or refers to what cannot be copied; says what.
        """
        if isinstance(function, NamedKernel):
            return self._called_by_name(function)
        plain = inspect.unwrap(function)
        module = sys.modules.get(getattr(plain, "__module__", ""))
        name = getattr(plain, "__name__", "")
        if module is not None and getattr(module, name, None) is plain:
            return self._named(module, name)
        if not isinstance(plain, FunctionType):
            raise UnsupportedError(f"the source of {plain!r:.60} cannot be had")
        return self._local(plain)

    def _called_by_name(self, kernel: NamedKernel) -> str:
        """A user's op that has to be declared wherever the source runs."""
        owner = (_ROOT, kernel.op)
        if owner not in self._names:
            lookup = self._import((_ROOT, "lookup"), f"from {_ROOT}.ir.registry import lookup", "lookup")
            name = self._take(owner, kernel.op.replace("::", "_"))
            self.pieces[name] = f"{name} = {lookup}({kernel.op!r}).kernel"
        return self._names[owner]

    def dtype(self, dtype: dtypes.DType) -> str:
        """The name of what stands for a dtype in kernels that look at more of it than its NumPy type."""
        return self._dtype(_attribute_name(dtype))

    def _take(self, owner: Owner, wanted: str) -> str:
        """A name for something new, other than those in use."""
        # The source counts its own identifiers: v1, v2, ...
        name, count = wanted + "_" if _COUNTED.fullmatch(wanted) else wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        self._names[owner] = name
        return name

    # -- definitions

    def _named(self, module: ModuleType, name: str) -> str:
        """Embed what a module defines under a name."""
        owner = (module.__name__, name)
        if owner in self._names:
            return self._names[owner]
        if module in (errors, raised):
            found = self._take(owner, name)
            self.pieces[found] = _ERROR_CLASS.format(name=found, base=_ERROR_BASES.get(name, "ValueError"))
            return found
        if module is dtypes:
            return self._dtype(name)
        statement = statements(module).get(name)
        if statement is None:
            raise UnsupportedError(f"{module.__name__}.{name} is not defined by a plain statement")
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return self._imported(module, name, statement)
        own = {bound: self._take((module.__name__, bound), bound) for bound in bound_names(statement)}
        self._define(own[name], segment(module, statement), own, module, {})
        return own[name]

    def _local(self, function: FunctionType) -> str:
        """Embed a function that was defined within another one, or a lambda."""
        owner = (function.__module__, f"{function.__qualname__}@{id(function)}")
        if owner in self._names:
            return self._names[owner]
        plain = "kernel" if function.__name__ == "<lambda>" else function.__name__
        name = self._take(owner, plain)
        module = sys.modules.get(function.__module__)
        self._define(name, function_text(function, plain), {plain: name}, module, closure_of(function))
        return name

    def _define(
        self, name: str, text: str, own: dict[str, str], module: ModuleType | None, closure: dict[str, Any]
    ) -> None:
        names = dict(own)
        for other in free_names(text):
            if other in closure:
                names[other] = self._value(f"{name}.{other}", other, closure[other])
            elif module is not None and hasattr(module, other):
                names[other] = self._named(module, other)
            elif not hasattr(builtins, other):
                raise UnsupportedError(f"{name} refers to {other!r}, which is not known")
        self.pieces[name] = renamed(text, names)

    def _value(self, owner: str, name: str, value: Any) -> str:
        """Embed what a closure holds."""
        if isinstance(value, (FunctionType, type)):
            return self.function(value)
        if isinstance(value, ModuleType):
            return self._module(("", f"{owner}"), name, value, [])
        if isinstance(value, dtypes.DType):
            return self._dtype(_attribute_name(value))
        if not _is_literal(value):
            raise UnsupportedError(
                f"a kernel holds {name!r}, a {type(value).__name__}, which cannot be written as text"
            )
        found = self._take(("", owner), name)
        self.pieces[found] = f"{found} = {value!r}"
        return found

    # -- imports

    def _imported(self, module: ModuleType, name: str, statement: ast.Import | ast.ImportFrom) -> str:
        owner, value = (module.__name__, name), getattr(module, name)
        if isinstance(value, ModuleType):
            return self._module(owner, name, value, attributes_of(module, name))
        assert isinstance(statement, ast.ImportFrom)
        source = source_module(module, statement)
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
        if _is_ours(source.__name__):
            self._names[owner] = self._named(source, original)
            return self._names[owner]
        return self._import(owner, f"from {source.__name__} import {original}", original)

    def _module(self, owner: Owner, name: str, value: ModuleType, attributes: list[str]) -> str:
        """A module under a name: an import, or for one of ours an object with what is used of it."""
        if not _is_ours(value.__name__):
            return self._import(owner, f"import {value.__name__}", name)
        entries = ", ".join(f"{a}={self._named(value, a)}" for a in attributes)
        self.imports["from types import SimpleNamespace"] = None
        found = self._take(owner, name)
        self.pieces[found] = f"{found} = SimpleNamespace({entries})"
        return found

    def _import(self, owner: Owner, statement: str, name: str) -> str:
        imported = statement.rpartition(" ")[2]
        text = statement if imported == name else f"{statement} as {name}"
        if text in self.imports:
            self._names[owner] = name
            return name
        found = self._take(owner, name)
        self.imports[statement if imported == found else f"{statement} as {found}"] = None
        return found

    # -- stand-ins

    def _dtype(self, name: str) -> str:
        owner = (dtypes.__name__, name)
        if owner in self._names:
            return self._names[owner]
        if name == "DType":
            self._import(("", "np"), "import numpy", "np")
            self.pieces[name] = _DTYPE_CLASS
            self._take(owner, name)
            for other in _DTYPE_NAMES:
                if other != "bfloat16":
                    self._dtype(other)
            return name
        if name not in _DTYPE_NAMES:
            raise UnsupportedError(f"a kernel uses {dtypes.__name__}.{name}, which emitted source does not have")
        self._dtype("DType")
        if owner in self._names:
            return self._names[owner]
        if name == "bfloat16":
            self._import(("", "ml_dtypes"), "import ml_dtypes", "ml_dtypes")
        found = self._take(owner, name)
        self.pieces[found] = renamed(_dtype_object(name), {name: found}) if found != name else _dtype_object(name)
        return found


@lru_cache(maxsize=4096)
def why_not_embedded(function: Callable[..., Any]) -> str | None:
    """Why a kernel cannot be copied into emitted source, or None if it can."""
    try:
        Embedder().function(function)
    except UnsupportedError as error:
        return error.what
    return None


def _is_ours(module: str) -> bool:
    return module == _ROOT or module.startswith(_ROOT + ".")


def _is_literal(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_literal, value))
    return value is None or isinstance(value, (bool, int, float, str))
