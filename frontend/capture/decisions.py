"""Whether a value is true, when a capture may not know."""

from __future__ import annotations

from typing import Any

from ...ir.errors import CaptureError
from ...ir.locations import here
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase
from .grown_list import SymList
from .symbols import SymBool, SymFloat
from .symint import SymInt

__all__ = ["truth"]


def truth(value: Any) -> Any:
    """The truth of a value: a bool where it is known, else a `SymBool` for the run to decide.

    Raises:
        CaptureError: for a tensor of more than one element, or none.
    """
    tracer = mode.tracer
    if tracer is None:
        return bool(value)
    if isinstance(value, SymList) and value.has_runs:
        value = value.length()
    if isinstance(value, (SymInt, SymFloat)):
        value = value != 0
    if isinstance(value, SymBool):
        if value.relation is not None:
            known = tracer.known(*value.relation)
            return value if known is None else known
        return value
    if isinstance(value, TensorBase) and tracer.varies(value):
        return SymBool(_single(value), tracer)
    return bool(value)


def _single(tensor: Any) -> Any:
    """A tensor of one element as a bool tensor without dimensions."""
    if tensor._array.size != 1:
        raise CaptureError(
            "the condition is not a single truth value",
            found=f"sizes {list(tensor.shape)}",
            location=here(),
            context=mode.tracer.context,
            advice="use any() or all()",
        )
    single = EAGER.reshape(tensor, ()) if tensor._array.ndim else tensor
    return single if single.dtype.kind == "bool" else EAGER.ne(single, 0)
