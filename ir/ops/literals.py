"""Numbers that are attributes, as Python numbers of the kind that a dtype holds."""

from __future__ import annotations

from typing import Any

from ..dtypes import DType

__all__ = ["literal_of"]


def literal_of(value: Any, dtype: DType) -> Any:
    """A number as `full`, `pad` or a limit writes it into a tensor: floats truncate beside integers.

    >>> from ingot.ir.dtypes import int64
    >>> literal_of(2.7, int64)
    2
    """
    if dtype.kind == "bool":
        return bool(value)
    return int(value) if dtype.kind == "int" and isinstance(value, (bool, float)) else value
