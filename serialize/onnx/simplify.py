"""Nodes that need not be written, because their result is an operand or a constant.

Rules are written for the general case; what is trivial in a particular one is left out here, so that the file needs no
simplifier. Each function takes the operands of one operator and gives the result, or None where it is not trivial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...ir.dtypes import DType
from .values import OnnxValue

if TYPE_CHECKING:
    from .algebra import OnnxAlgebra

__all__ = ["simplified"]

_SMALL: Final = 4096  # elements of a constant that is written out rather than expanded when the model runs


def simplified(E: OnnxAlgebra, op_type: str, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
    """What an operator gives without being run, or None."""
    rule = _RULES.get(op_type)
    return None if rule is None else rule(E, *operands, **attrs)


def _identity(E: OnnxAlgebra, x: Any) -> Any:
    return x


def _cast(E: OnnxAlgebra, x: Any, *, to: DType, **_: Any) -> Any:
    if not isinstance(x, OnnxValue):
        return None
    if x.dtype is to:
        return x
    if not x.is_constant:
        return None
    with np.errstate(all="ignore"):
        return E.constant(x.array.astype(to.np))  # type: ignore[union-attr]


def _constant(x: Any) -> Any:
    """The elements of a constant operand, or None."""
    return x.array if isinstance(x, OnnxValue) and x.is_constant else None


def _expand(E: OnnxAlgebra, x: Any, shape: Any) -> Any:
    target = _constant(shape)
    if target is None or not isinstance(x, OnnxValue):
        return None
    sizes = tuple(map(int, target))
    if x.known_shape == sizes:
        return x
    array = _constant(x)
    if array is None or np.prod(sizes) > _SMALL:
        return None
    return E.constant(np.array(np.broadcast_to(array, np.broadcast_shapes(array.shape, sizes))))


def _reshape(E: OnnxAlgebra, x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    target = _constant(shape)
    if target is None:
        return None
    sizes = tuple(map(int, target))
    if x.known_shape == sizes and (0 not in sizes or allowzero):
        return x
    array = _constant(x)
    return None if array is None or 0 in sizes else E.constant(array.reshape(sizes))


def _transpose(E: OnnxAlgebra, x: Any, *, perm: Sequence[int]) -> Any:
    return x if list(perm) == list(range(len(perm))) else None


def _without_axes(E: OnnxAlgebra, x: Any, axes: Any = None, **_: Any) -> Any:
    """Squeeze and Unsqueeze of no dimension at all."""
    named = _constant(axes) if isinstance(axes, OnnxValue) else axes
    return x if named is not None and not len(named) else None


def _concat(E: OnnxAlgebra, *tensors: Any, axis: int) -> Any:
    return tensors[0] if len(tensors) == 1 else None


_RULES: Final[Mapping[str, Callable[..., Any]]] = {
    "Identity": _identity,
    "Cast": _cast,
    "Expand": _expand,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Squeeze": _without_axes,
    "Unsqueeze": _without_axes,
    "Concat": _concat,
}
