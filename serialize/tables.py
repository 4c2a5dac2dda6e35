"""What the graphs of one file share and refer to by number: ops, strings, places in source, constants.

A place is a source location together with a module path, stored once however many nodes come from it; place 0 is "no
location, no path". A constant is a large array, stored once as a tensor of the container; small arrays stand in the
document itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import numpy as np

from ..ir import registry
from ..ir.errors import ArgumentError, FileFormatError
from ..ir.locations import Location
from ..ir.registry import Op
from .limits import MAX_NAME, MAX_TEXT
from .strict_json import integer, is_text, sequence, text

__all__ = ["CONSTANT_PREFIX", "RESERVED_PREFIX", "Place", "TableReader", "TableWriter", "tensor_constant"]

RESERVED_PREFIX: Final = "__ingot__/"
"""Tensors whose names begin so are not state."""
CONSTANT_PREFIX: Final = RESERVED_PREFIX + "constant/"

_MAX_LINE: Final = 2**31 - 1
_BUILT_IN: Final = ("ingot", "prim")

Place = tuple[Location | None, str]
"""A source location and a module path."""


def tensor_constant(number: int) -> str:
    """The name of the tensor that holds a constant."""
    return f"{CONSTANT_PREFIX}{number}"


# -- writing


class TableWriter:
    """Numbers what the graphs mention, in order of first mention.

    Args:
        sources: whether source lines are kept.
    """

    def __init__(self, sources: bool) -> None:
        self.sources = sources
        self.constants: dict[str, np.ndarray[Any, Any]] = {}  # by the tensor's name
        self._ops: dict[str, int] = {}
        self._op_rows: list[list[Any]] = []
        self._strings: dict[str, int] = {}
        self._places: dict[Any, int] = {}
        self._place_rows: list[list[int] | None] = [None]
        self._known_places: dict[tuple[int, str], tuple[int, Location | None]] = {}  # by the location's identity
        self._known_constants: dict[tuple[str, tuple[int, ...], bytes], int] = {}

    def rows(self) -> dict[str, Any]:
        """The tables as they stand in the document."""
        return {
            "constants": len(self.constants),
            "ops": self._op_rows,
            "places": self._place_rows,
            "strings": list(self._strings),
        }

    def op(self, op: Op) -> int:
        """The number of an op."""
        number = self._ops.get(op.name)
        if number is None:
            if registry.find(op.name) is not op:
                raise ArgumentError(f"op {op.name} is not registered (any more), so no file can name it")
            number = self._ops[op.name] = len(self._op_rows)
            self._op_rows.append([op.name, op.version])
        return number

    def string(self, value: str) -> int:
        """The number of a string."""
        number = self._strings.get(value)
        if number is None:
            if not is_text(value, MAX_TEXT):
                raise ArgumentError(
                    "a source location or a module path cannot be saved",
                    expected=f"Unicode text of at most {MAX_TEXT} characters",
                    found=ascii(value[:80]),
                )
            number = self._strings[value] = len(self._strings)
        return number

    def place(self, location: Location | None, path: str = "") -> int:
        """The number of a place."""
        if location is None and not path:
            return 0
        known = self._known_places.get((id(location), path))
        if known is None:
            # The location is kept, so that its identity stays its own.
            known = self._known_places[id(location), path] = self._new_place(location, path), location
        return known[0]

    def _new_place(self, location: Location | None, path: str) -> int:
        row = [self.string(path)] if location is None else self._place_row(location, path)
        key = tuple(row)
        number = self._places.get(key)
        if number is None:
            number = self._places[key] = len(self._place_rows)
            self._place_rows.append(row)
        return number

    def _place_row(self, location: Location, path: str) -> list[int]:
        spans = location.line, location.column, location.end_line, location.end_column
        if not all(0 <= n <= _MAX_LINE for n in spans):
            raise ArgumentError(f"source location {location} cannot be saved", expected=f"lines up to {_MAX_LINE}")
        source = location.source if self.sources else ""
        names = self.string(location.function), self.string(source), self.string(path)
        return [self.string(location.file), *spans, *names]

    def constant(self, array: np.ndarray[Any, Any]) -> int:
        """The number of an array; arrays of equal bytes are one."""
        digest = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).digest()
        key = array.dtype.name, array.shape, digest
        number = self._known_constants.get(key)
        if number is None:
            number = self._known_constants[key] = len(self._known_constants)
            self.constants[tensor_constant(number)] = array
        return number


# -- reading


class TableReader:
    """The tables of a document that is read.

    Args:
        document: the parsed document.
        tensors: the container's tensors, of which the constants are taken.
        allow_ops: names of ops that are not built in and yet may be used; `"mine::*"` is all of a namespace.
    """

    def __init__(
        self, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray[Any, Any]], allow_ops: Iterable[str | Op]
    ) -> None:
        allowed = frozenset(op.name if isinstance(op, Op) else op for op in allow_ops)
        strings = sequence(document["strings"], "the table of strings")
        self._strings = [text(s, "an entry of the table of strings", MAX_TEXT) for s in strings]
        self.ops = [_op(row, allowed) for row in sequence(document["ops"], "the table of ops")]
        self.places = [self._place(i, row) for i, row in enumerate(sequence(document["places"], "the table of places"))]
        self.constants = _constants(document["constants"], tensors)

    def place(self, number: Any, what: str) -> Place:
        """The place of that number."""
        return self.places[integer(number, f"{what}: its place", 0, len(self.places) - 1)]

    def _place(self, index: int, row: Any) -> Place:
        if index == 0 and row is None:
            return None, ""
        numbers = sequence(row, f"place {index}", 1, 8)
        path = self._string(numbers[-1])
        if len(numbers) == 1:
            return None, path
        line, column, end_line, end_column = (integer(n, f"place {index}", 0, _MAX_LINE) for n in numbers[1:5])
        file, function, source = (self._string(numbers[i]) for i in (0, 5, 6))
        return Location(file, line, column, end_line, end_column, function, source), path

    def _string(self, number: Any) -> str:
        return self._strings[integer(number, "the number of a string", 0, len(self._strings) - 1)]


def _constants(count: Any, tensors: Mapping[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    integer(count, "the number of constants", 0, len(tensors))
    found = []
    for number in range(count):
        array = tensors.get(tensor_constant(number))
        if array is None:
            raise FileFormatError(f"tensor {tensor_constant(number)!r} is missing")
        array = array.view()
        array.flags.writeable = False
        found.append(array)
    return found


def _op(row: Any, allowed: frozenset[str]) -> Op:
    name, version = sequence(row, "an entry of the table of ops", 2)
    text(name, "an op's name", MAX_NAME)
    integer(version, f"the version of op {name}", 1, 2**31)
    namespace = name.partition("::")[0]
    built_in = "::" in name and namespace in _BUILT_IN
    op = registry.find(name)
    if op is None:
        raise FileFormatError(f"unknown op {name!r}", advice=_way_out(name, built_in))
    if not (built_in or name in allowed or f"{namespace}::*" in allowed):
        raise FileFormatError(
            f"op {name!r} is not built in",
            expected="built-in ops, and those that the caller allows",
            advice=f'if you trust it, pass allow_ops=["{name}"] or allow_ops=["{namespace}::*"]',
        )
    if version > op.version:
        raise FileFormatError(
            f"op {name} is newer than this Ingot knows",
            expected=f"version {op.version} at most",
            found=f"version {version}",
            advice="update Ingot: pip install --upgrade ingot",
        )
    return op


def _way_out(name: str, built_in: bool) -> str:
    close = get_close_matches(name, registry.names(), 3)
    names = f"close names: {', '.join(close)}" if close else ""
    if built_in:
        return names or "it may be newer than this Ingot: pip install --upgrade ingot"
    return f"import the library that declares it before loading{'; ' + names if names else ''}"
