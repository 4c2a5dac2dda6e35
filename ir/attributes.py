"""Attribute values: which kinds there are, when two are the same, and their text.

An attribute is an int, a float, a bool, a string, None, a `DType`, a size expression, a read-only NumPy
array, or a tuple of attributes. Reading text back is the parser's subject, except for arrays.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .dtypes import DType, by_short
from .errors import ArgumentError
from .sizes import SizeExpr

__all__ = [
    "MAX_NESTING",
    "MAX_PRINTED_ITEMS",
    "RESERVED_NAMES",
    "array_from_bytes",
    "array_from_items",
    "array_text",
    "attribute_text",
    "frozen_array",
    "quoted",
    "same_attribute",
    "why_not_attribute",
]

MAX_NESTING: Final = 64
MAX_PRINTED_ITEMS: Final = 16
# Words with a meaning of their own in text, which no size variable can be called.
RESERVED_NAMES: Final = frozenset(
    {"true", "false", "none", "inf", "nan", "int", "float", "bool", "key", "list", "tensor", "base64"}
    | {"graph", "state", "sizes", "assume", "return", "update", "sources", "in", *by_short}
)
_MAX_ARRAY_RANK: Final = 64

# The element types of constants: those of tensors, and the words of keys.
_ARRAY_DTYPES: Final[dict[str, Any]] = {s: d.np for s, d in by_short.items()} | {"u64": np.dtype(np.uint64)}
_ARRAY_NAMES: Final[dict[Any, str]] = {dtype: name for name, dtype in _ARRAY_DTYPES.items()}
_SCALARS: Final = frozenset({int, float, bool, str, type(None), DType, SizeExpr})


def why_not_attribute(value: Any) -> str | None:
    """Why a value cannot be an attribute, or None when it can.

    >>> why_not_attribute((1, 2.0, "x", None)), why_not_attribute([1])
    (None, 'list is not a kind of attribute')
    """
    waiting = [(value, 0)]
    while waiting:
        current, depth = waiting.pop()
        kind = type(current)
        if kind in _SCALARS:
            continue
        if kind is tuple:
            if depth == MAX_NESTING:
                return f"tuples lie more than {MAX_NESTING} deep inside each other"
            waiting.extend((item, depth + 1) for item in current)
        elif kind is np.ndarray:
            if current.dtype not in _ARRAY_NAMES:
                return f"an array of {current.dtype} cannot be a constant"
            if current.flags.writeable:
                return "the array can be written to"
        else:
            return f"{kind.__name__} is not a kind of attribute"
    return None


def frozen_array(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array itself when it is read-only, otherwise a read-only copy."""
    if not array.flags.writeable:
        return array
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy


def same_attribute(a: Any, b: Any) -> bool:
    """Whether two attributes are the same value of the same kind: 1, 1.0 and True differ, as do 0.0 and -0.0,
    and NaN is itself. Arrays are the same when their bytes are. The bounds of size variables do not count."""
    waiting = [(a, b)]
    while waiting:
        x, y = waiting.pop()
        if x is y:
            continue
        if type(x) is not type(y):
            return False
        if type(x) is tuple:
            if len(x) != len(y):
                return False
            waiting.extend(zip(x, y, strict=True))
        elif not _same_leaf(x, y):
            return False
    return True


def _same_leaf(x: Any, y: Any) -> bool:
    if isinstance(x, float):
        return (x == y and math.copysign(1, x) == math.copysign(1, y)) or (x != x and y != y)
    if isinstance(x, np.ndarray):
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    return bool(x == y)


# -- text


def attribute_text(value: Any) -> str:
    """An attribute as it stands in the text of a graph.

    >>> print(attribute_text((1, 0.5, True, None, "a b", (), float("nan"))))
    [1, 0.5, true, none, "a b", [], nan]
    """
    render = _RENDER.get(type(value))
    if render is not None:
        return render(value)
    if type(value) is not tuple:
        raise ArgumentError(f"{type(value).__name__} {value!r} cannot be an attribute")
    parts: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is _Punctuation:
            parts.append(item)
        elif type(item) is tuple:
            waiting.append(_CLOSE)
            for position, inner in enumerate(reversed(item)):
                if position:
                    waiting.append(_COMMA)
                waiting.append(inner)
            parts.append("[")
        else:
            parts.append(attribute_text(item))
    return "".join(parts)


class _Punctuation(str):
    __slots__ = ()


_COMMA: Final = _Punctuation(", ")
_CLOSE: Final = _Punctuation("]")


def quoted(text: str) -> str:
    """A string in JSON's notation, on one line.

    >>> print(quoted("fc1.weight"), quoted('say "hi"'))
    "fc1.weight" "say \\"hi\\""
    """
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def array_text(array: np.ndarray[Any, Any]) -> str:
    """An array as text: its items when they are few and read back exactly, otherwise its bytes.

    >>> array_text(np.array([1, 2.5], np.float32)), array_text(np.zeros((0, 3), bool))
    ('tensor(f32[2], [1.0, 2.5])', 'tensor(bool[0, 3], [])')
    """
    name = _ARRAY_NAMES.get(array.dtype)
    if name is None:
        raise ArgumentError(f"an array of {array.dtype} cannot be a constant")
    head = f"{name}[{', '.join(map(str, array.shape))}]"
    if array.size <= MAX_PRINTED_ITEMS:
        items = [_item_text(item) for item in array.ravel()]
        back = array_from_items(head, [_item_value(item) for item in items])
        if back.tobytes() == array.tobytes():
            return f"tensor({head}, [{', '.join(items)}])"
    return f'tensor({head}, base64 "{base64.b64encode(array.tobytes()).decode()}")'


def _item_text(item: Any) -> str:
    """The shortest text that reads back as the item in its own precision."""
    if isinstance(item, (bool, np.bool_)):
        return _bool_text(bool(item))
    if isinstance(item, np.integer):
        return str(int(item))
    if isinstance(item, (np.float64, np.float32, np.float16)):
        return float.__repr__(float(str(item)))
    return float.__repr__(float(item))


def _item_value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.lstrip("-").isdigit() else float(text)


def array_from_items(head: str, items: Sequence[Any]) -> np.ndarray[Any, Any]:
    """The read-only array of `tensor(head, items)`.

    Raises:
        ArgumentError: when the head is not a dtype with sizes, or the items do not fill it exactly.
    """
    dtype, shape, count = _array_head(head)
    if len(items) != count:
        raise ArgumentError(f"tensor({head}): {len(items)} items", expected=f"{count} items")
    kind = {"b": bool, "i": int, "u": int}.get(dtype.kind, float)
    if any(type(item) is not kind and not (kind is float and type(item) is int) for item in items):
        raise ArgumentError(f"tensor({head}): an item is not of kind {kind.__name__}")
    try:
        with np.errstate(all="ignore"):
            array = np.array(items, dtype)
    except OverflowError:
        raise ArgumentError(f"tensor({head}): an item does not fit") from None
    array.flags.writeable = False
    return _shaped(array, shape, head)


def array_from_bytes(head: str, text: str) -> np.ndarray[Any, Any]:
    """The read-only array of `tensor(head, base64 text)`.

    Raises:
        ArgumentError: when the text is not base64, or not of exactly as many bytes as the sizes ask for.
    """
    dtype, shape, count = _array_head(head)
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ArgumentError(f"tensor({head}): not base64") from None
    if len(data) != count * dtype.itemsize:
        raise ArgumentError(f"tensor({head}): {len(data)} bytes", expected=f"{count * dtype.itemsize} bytes")
    if dtype == np.bool_ and data.strip(b"\0\1"):
        raise ArgumentError(f"tensor({head}): a bool is neither 0 nor 1")
    return _shaped(np.frombuffer(data, dtype), shape, head)


def _shaped(array: np.ndarray[Any, Any], shape: tuple[int, ...], head: str) -> np.ndarray[Any, Any]:
    try:
        return array.reshape(shape)
    except ValueError as error:  # an empty array whose other sizes are beyond what NumPy can hold
        raise ArgumentError(f"tensor({head}): {error}") from None


def _array_head(head: str) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    name, _, inside = head.rstrip("]").partition("[")
    dtype = _ARRAY_DTYPES.get(name)
    parts = [part.strip() for part in inside.split(",")] if inside.strip() else []
    if dtype is None or len(parts) > _MAX_ARRAY_RANK or any(not p.isdecimal() or len(p) > 18 for p in parts):
        raise ArgumentError(f"not a constant's dtype and sizes: {head}", expected="such as f32[2, 3]")
    shape = tuple(map(int, parts))
    return dtype, shape, math.prod(shape)


_RENDER: Final[dict[type, Any]] = {
    int: str,
    float: float.__repr__,
    bool: _bool_text,
    str: quoted,
    type(None): lambda _: "none",
    DType: lambda dtype: dtype.short,
    SizeExpr: str,
    np.ndarray: array_text,
}
