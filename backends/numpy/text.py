"""Pieces of emitted Python: names, literals, attributes, comments.

Every identifier in emitted source is ours, counted by `Names`. Text that came from a file enters a source in two
ways only: escaped, within a comment, and as a message to raise, a literal that `message` writes.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...ir.binding import python_size
from ...ir.dtypes import DType, bfloat16
from ...ir.errors import UnsupportedError
from ...ir.locations import Location
from ...ir.sizes import SizeExpr

__all__ = ["Names", "attribute", "comment", "dtype_text", "message", "number", "place", "shape_text", "small_array"]

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_COMMENT_LENGTH = 100
_PLAIN = frozenset(" !#$%&'()*+,-./:;<=>?@[]^_`{|}~" + string.ascii_letters)


class Names:
    """Fresh identifiers: `v0`, `v1`, ..."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def new(self, prefix: str) -> str:
        """The next identifier with that prefix."""
        count = self._counts.get(prefix, 0)
        self._counts[prefix] = count + 1
        return f"{prefix}{count}"


def dtype_text(dtype: DType) -> str:
    """The dtype's NumPy type in source. bfloat16 is no type of NumPy's own; a source that has it imports ml_dtypes.

    >>> from ...ir.dtypes import float32
    >>> dtype_text(float32)
    'np.float32'
    """
    if dtype is bfloat16:
        return "bfloat16"
    return f"np.{'bool_' if dtype.kind == 'bool' else dtype.name}"


def number(value: bool | int | float) -> str:
    """A Python number as an expression.

    >>> number(-0.5), number(float("-inf"))
    ('-0.5', '-np.inf')
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "np.nan" if math.isnan(value) else ("np.inf" if value > 0 else "-np.inf")
    return repr(value)


def shape_text(sizes: Any, names: Mapping[str, str]) -> str:
    """Sizes as a tuple expression."""
    parts = [python_size(size, names) for size in sizes]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def attribute(value: Any, names: Mapping[str, str], dtype: Callable[[DType], str] = dtype_text) -> str:
    """An attribute as an expression.

    Args:
        names: the size variables' names.
        dtype: how dtypes are written.

    Raises:
        UnsupportedError: for a string that is not a plain word: none of our ops takes one, and files may hold any.
    """
    if isinstance(value, SizeExpr):
        return python_size(value, names)
    if isinstance(value, tuple):
        items = [attribute(item, names, dtype) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, DType):
        return dtype(value)
    if value is None or isinstance(value, (bool, int, float)):
        return number(value) if value is not None else "None"
    if isinstance(value, str) and _WORD.fullmatch(value):
        return f'"{value}"'
    raise UnsupportedError(f"the attribute {value!r:.80} cannot be written in NumPy source")


def small_array(value: np.ndarray) -> str | None:
    """A constant array as an expression, or None where it is large or not exact in decimal."""
    dtype = DType.of(value.dtype) if value.dtype != np.uint64 else None
    if value.size > 16 or dtype is None or dtype is bfloat16:
        return None
    if not value.size:  # whose sizes a list does not tell
        return f"np.empty({value.shape}, {dtype_text(dtype)})"
    text = repr(value.tolist())
    if dtype.kind == "float" and not np.isfinite(value).all():
        return None
    return f"np.array({text}, {dtype_text(dtype)})"


def comment(text: str) -> str:
    """Text from outside as it may stand behind a `#`: plain ASCII on one line, cut to a readable length.

    >>> comment("a" + chr(10) + "import os")
    'a\\\\nimport os'
    """
    plain = text.encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= _COMMENT_LENGTH else plain[: _COMMENT_LENGTH - 3] + "..."


def message(text: str) -> str:
    """Text from outside as a string literal: plain ASCII on one line, in which no word looks like one of our names.

    >>> message('see "v3"')
    '"see \\\\u0022v\\\\u0033\\\\u0022"'
    """
    return (
        '"'
        + "".join(c if c in _PLAIN else f"\\u{ord(c):04x}" if ord(c) < 1 << 16 else f"\\U{ord(c):08x}" for c in text)
        + '"'
    )


def place(location: Location | None, path: str) -> str:
    """A comment that says where in the user's source a node comes from, or an empty string."""
    if location is None:
        return ""
    within = f" in {path}" if path else ""
    line = f"  {location.source.strip()}" if location.source else ""
    return comment(f"{location.file}:{location.line}{within}{line}")
