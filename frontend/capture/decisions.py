"""Whether a value is true, when a capture may not know."""

from __future__ import annotations

from typing import Any

from ..mode import mode
from ..tensor_base import TensorBase
from .symbols import SymBool, SymFloat
from .symint import SymInt

__all__ = ["truth"]


def truth(value: Any) -> Any:
    """The truth of a value: a bool where it is known, else a `SymBool` or a tensor for the run to decide."""
    tracer = mode.tracer
    if tracer is None:
        return bool(value)
    if isinstance(value, (SymInt, SymFloat)):
        value = value != 0
    if isinstance(value, SymBool):
        if value.relation is not None:
            known = tracer.known(*value.relation)
            return value if known is None else known
        return value
    if isinstance(value, TensorBase) and tracer.varies(value):
        return value
    return bool(value)
