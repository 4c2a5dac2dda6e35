"""Attributes as JSON.

Numbers, booleans, strings, None and tuples are what they are in JSON (a tuple is a list); all else is an object with
one key that says what it is: `{"float": "nan"}`, `{"dtype": "f32"}`, `{"size": "B*T"}`, `{"array": ["f32", [2],
"base64"]}` for a small array, `{"constant": 3}` for a large one.

What lives here: one attribute at a time, both ways. Which attributes an op has is its schema's business.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ..ir.attributes import array_from_bytes, why_not_attribute
from ..ir.dtypes import DType, by_short
from ..ir.errors import ArgumentError, FileFormatError, IngotError
from ..ir.sizes import Size, SizeExpr, parse_size
from .limits import MAX_ATTRIBUTE_DEPTH, MAX_RANK, MAX_SIZE_TEXT, MAX_TEXT
from .strict_json import integer, is_text, sequence, text

__all__ = ["AttributeReader", "check_int", "encode_attribute", "encode_float", "encode_size", "read_float", "read_size"]

MAX_INLINE_ITEMS: Final = 16
_INT_BITS: Final = 63
_NOT_FINITE: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_ARRAY_NAMES: Final[dict[np.dtype[Any], str]] = {d.np: s for s, d in by_short.items()} | {np.dtype(np.uint64): "u64"}


# -- writing


def encode_attribute(
    value: Any, variables: Mapping[str, SizeExpr], constant: Callable[[np.ndarray[Any, Any]], int]
) -> Any:
    """The attribute as JSON.

    Args:
        variables: the graph's size variables.
        constant: stores a large array and returns its number.

    Raises:
        ArgumentError: for a value that is no attribute, or is beyond what a file holds.

    >>> encode_attribute((1, -0.0, float("inf"), None), {}, lambda array: 0)
    [1, -0.0, {'float': 'inf'}, None]
    """
    problem = why_not_attribute(value)
    if problem is not None:
        raise ArgumentError(f"an attribute cannot be saved: {problem}")
    return _encode(value, variables, constant)


def _encode(value: Any, variables: Mapping[str, SizeExpr], constant: Callable[[Any], int]) -> Any:
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return check_int(value)
    if type(value) is float:
        return encode_float(value)
    if type(value) is str:
        if not is_text(value):
            raise ArgumentError("a string attribute cannot be saved", expected=f"at most {MAX_TEXT} characters of text")
        return value
    if type(value) is tuple:
        return [_encode(item, variables, constant) for item in value]
    if type(value) is DType:
        return {"dtype": value.short}
    if type(value) is SizeExpr:
        return {"size": encode_size(value, variables)}
    if value.size > MAX_INLINE_ITEMS:
        return {"constant": constant(value)}
    return {"array": [_ARRAY_NAMES[value.dtype], list(value.shape), base64.b64encode(value.tobytes()).decode()]}


def check_int(value: int) -> int:
    """The integer itself, when it fits into 64 bits."""
    if not -(2**_INT_BITS) <= value < 2**_INT_BITS:
        raise ArgumentError(
            "an integer cannot be saved",
            expected="64 bits",
            found=f"{(value + 1 if value < 0 else value).bit_length() + 1} bits",
        )
    return value


def encode_float(value: float) -> Any:
    """A float as JSON, which has no NaN and no infinities."""
    if math.isfinite(value):
        return value
    return {"float": "nan" if value != value else "inf" if value > 0 else "-inf"}


def encode_size(size: Size, variables: Mapping[str, SizeExpr]) -> int | str:
    """A size as JSON: a number, or the text of an expression that reads back as the same one.

    Raises:
        ArgumentError: for an expression that is too long to be read back.
    """
    if isinstance(size, int):
        if size < 0:
            raise ArgumentError(f"a size is {size}", expected="0 or more")
        return check_int(size)
    written = str(size)
    try:
        same = len(written) <= MAX_SIZE_TEXT and parse_size(written, variables) == size
    except IngotError:
        same = False
    if not same:
        raise ArgumentError(
            "a size expression is too large to be saved",
            found=written if len(written) <= 80 else written[:77] + "...",
            advice="bind an intermediate size to a variable of its own",
        )
    return written


# -- reading


def read_float(value: Any, what: str) -> float:
    """A float that is finite, or `{"float": "nan"}` and its like."""
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is dict and len(value) == 1 and type(value.get("float")) is str and value["float"] in _NOT_FINITE:
        return _NOT_FINITE[value["float"]]
    raise FileFormatError(f"{what} is not a float")


def read_size(value: Any, what: str, variables: Mapping[str, SizeExpr]) -> Size:
    """A size: a number, or an expression over the graph's variables.

    Raises:
        FileFormatError: when it is neither.
    """
    if type(value) is int:
        return integer(value, what, 0, 2**_INT_BITS - 1)
    written = text(value, what, MAX_SIZE_TEXT)
    try:
        return parse_size(written, variables)
    except (IngotError, ArithmeticError) as error:
        raise FileFormatError(f"{what}: {str(error).splitlines()[0]}") from None


class AttributeReader:
    """Reads attributes of one graph.

    Args:
        variables: the graph's size variables.
        constants: the file's constants by number.
    """

    def __init__(self, variables: Mapping[str, SizeExpr], constants: Sequence[np.ndarray[Any, Any]]) -> None:
        self.variables = variables
        self.constants = constants

    def read(self, value: Any, what: str, depth: int = 0) -> Any:
        """The attribute that a JSON value stands for.

        Raises:
            FileFormatError: for a value that stands for none.

        >>> AttributeReader({}, []).read([1, {"float": "-inf"}, {"dtype": "f32"}], "x")
        (1, -inf, ingot.float32)
        """
        if value is None or type(value) is bool:
            return value
        if type(value) is int:
            return integer(value, what, -(2**_INT_BITS), 2**_INT_BITS - 1)
        if type(value) is float:
            return read_float(value, what)
        if type(value) is str:
            return text(value, what, MAX_TEXT)
        if type(value) is list:
            if depth == MAX_ATTRIBUTE_DEPTH:
                raise FileFormatError(f"{what} is nested too deep", expected=f"at most {MAX_ATTRIBUTE_DEPTH} levels")
            return tuple([self.read(item, what, depth + 1) for item in value])
        return self._tagged(value, what)

    def _tagged(self, value: Any, what: str) -> Any:
        if type(value) is not dict or len(value) != 1:
            raise FileFormatError(f"{what} is not an attribute")
        ((kind, inner),) = value.items()
        if kind == "float":
            return read_float(value, what)
        if kind == "dtype":
            found = by_short.get(text(inner, what))
            if found is None:
                raise FileFormatError(f"{what}: no dtype {inner[:80]!r}", expected="one of " + ", ".join(by_short))
            return found
        if kind == "size":
            return read_size(text(inner, what, MAX_SIZE_TEXT), what, self.variables)
        if kind == "constant":
            return self.constants[integer(inner, what, 0, len(self.constants) - 1)]
        if kind == "array":
            return _read_array(inner, what)
        raise FileFormatError(f"{what}: no kind of attribute is called {kind[:80]!r}")


def _read_array(row: Any, what: str) -> np.ndarray[Any, Any]:
    name, sizes, data = sequence(row, what, 3)
    sizes = [integer(n, f"{what}: a size", 0, 10**17) for n in sequence(sizes, f"{what}: its sizes")]
    if len(sizes) > MAX_RANK or math.prod(sizes) > MAX_INLINE_ITEMS:
        raise FileFormatError(f"{what} is too large", expected=f"at most {MAX_INLINE_ITEMS} items")
    head = f"{text(name, what)[:80]}[{', '.join(map(str, sizes))}]"
    try:
        return array_from_bytes(head, text(data, what))
    except ValueError as error:
        raise FileFormatError(f"{what}: {str(error).splitlines()[0]}") from None
