"""Types as JSON rows of one table per graph, each distinct type once.

A scalar is its name (`"int"`), a tensor `["f32", ["B", 784]]` with its device kind behind it where it has one; tuples,
lists and optionals refer to earlier rows: `{"tuple": [0, 3]}`, `{"list": 1}`, `{"optional": 2}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ..ir.dtypes import by_short
from ..ir.errors import ArgumentError, FileFormatError
from ..ir.sizes import SizeExpr
from ..ir.types import BOOL, FLOAT, INT, KEY, NONE, ListType, OptionalType, TensorType, TupleType, Type
from .attribute_values import encode_size, read_size
from .limits import MAX_RANK, MAX_TYPE_PARTS
from .strict_json import integer, sequence, text

__all__ = ["TypeWriter", "read_types"]

_MAX_DEPTH: Final = 64
_PLAIN: Final[dict[str, Type]] = {"int": INT, "float": FLOAT, "bool": BOOL, "key": KEY, "none": NONE}
_DEVICE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class TypeWriter:
    """Numbers the types that a graph mentions, in order of first mention.

    Args:
        variables: the graph's size variables.
    """

    def __init__(self, variables: Mapping[str, SizeExpr]) -> None:
        self.rows: list[Any] = []
        self._variables = variables
        self._numbers: dict[Type, int] = {}
        self._known: dict[int, tuple[int, Type]] = {}  # by identity; the type is kept, so that its identity stays

    def number(self, type_: Type) -> int:
        """The number of a type.

        Raises:
            ArgumentError: for a type beyond what a file holds.
        """
        known = self._known.get(id(type_))
        if known is None:
            number = self._numbers.get(type_)
            if number is None:
                number = self._add(type_)
            known = self._known[id(type_)] = number, type_
        return known[0]

    def _add(self, type_: Type) -> int:
        row = self._row(type_)  # adds the types inside first
        number = self._numbers[type_] = len(self.rows)
        self.rows.append(row)
        return number

    def _row(self, type_: Type) -> Any:
        if isinstance(type_, TupleType):
            return {"tuple": [self.number(item) for item in type_.items]}
        if isinstance(type_, ListType):
            return {"list": self.number(type_.item)}
        if isinstance(type_, OptionalType):
            return {"optional": self.number(type_.item)}
        if not isinstance(type_, TensorType):
            return str(type_)
        if type_.ndim > MAX_RANK:
            raise ArgumentError(f"a tensor of {type_.ndim} dimensions cannot be saved", expected=f"at most {MAX_RANK}")
        row = [type_.dtype.short, [encode_size(size, self._variables) for size in type_.sizes]]
        return [*row, type_.device] if type_.device else row


def read_types(rows: Any, what: str, variables: Mapping[str, SizeExpr]) -> list[Type]:
    """The types of a table.

    Raises:
        FileFormatError: for a row that is no type, refers to a later one, or stands for an enormous type.
    """
    reader = _TypeReader(variables)
    for index, row in enumerate(sequence(rows, f"{what}: the table of types")):
        reader.add(row, f"{what}: type {index}")
    return reader.types


class _TypeReader:
    def __init__(self, variables: Mapping[str, SizeExpr]) -> None:
        self.types: list[Type] = []
        self._variables = variables
        self._measures: list[tuple[int, int]] = []  # depth and number of parts, by number

    def add(self, row: Any, what: str) -> None:
        """Read the next row."""
        type_, inside = self._type(row, what)
        depth = 1 + max((self._measures[i][0] for i in inside), default=0)
        parts = 1 + sum(self._measures[i][1] for i in inside)
        if depth > _MAX_DEPTH or parts > MAX_TYPE_PARTS:
            raise FileFormatError(
                f"{what} is too large", expected=f"at most {_MAX_DEPTH} levels and {MAX_TYPE_PARTS} parts"
            )
        self.types.append(type_)
        self._measures.append((depth, parts))

    def _type(self, row: Any, what: str) -> tuple[Type, list[int]]:
        """The type of a row, and the numbers of the types in it."""
        if type(row) is str and row in _PLAIN:
            return _PLAIN[row], []
        if type(row) is list:
            return self._tensor(row, what), []
        if type(row) is dict and len(row) == 1:
            ((kind, inner),) = row.items()
            if kind == "tuple":
                inside = [self._earlier(item, what) for item in sequence(inner, what)]
                return TupleType(tuple(self.types[i] for i in inside)), inside
            if kind in ("list", "optional"):
                number = self._earlier(inner, what)
                make = ListType if kind == "list" else OptionalType
                return make(self.types[number]), [number]
        raise FileFormatError(f"{what} is not a type")

    def _earlier(self, number: Any, what: str) -> int:
        return integer(number, f"{what}: a type in it", 0, len(self.types) - 1)

    def _tensor(self, row: list[Any], what: str) -> TensorType:
        sequence(row, what, 2, 3)
        dtype = by_short.get(text(row[0], f"{what}: its dtype"))
        if dtype is None:
            raise FileFormatError(f"{what}: no dtype {row[0][:80]!r}", expected="one of " + ", ".join(by_short))
        sizes = sequence(row[1], f"{what}: its sizes")
        if len(sizes) > MAX_RANK:
            raise FileFormatError(f"{what} has {len(sizes)} dimensions", expected=f"at most {MAX_RANK}")
        device = text(row[2], f"{what}: its device") if len(row) == 3 else None
        if device is not None and not _DEVICE.fullmatch(device):
            raise FileFormatError(f"{what}: its device is {device[:80]!r}")
        read = [read_size(size, f"{what}: a size", self._variables) for size in sizes]
        return TensorType(dtype, tuple(read), device)
