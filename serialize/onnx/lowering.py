"""What older opsets say differently: the one table by which rules in the newest form are written for them.

`LOWERINGS` maps an operator to the opset that brought its newest form and a function that states it for older ones,
over the same algebra. A function that gives None leaves the operator as it is: its form is the same in this case.
Operators that an older opset lacks and that are not in the table are errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...ir.dtypes import float32
from ...ir.errors import ExportError
from .values import OnnxValue, Scope

if TYPE_CHECKING:
    from .algebra import OnnxAlgebra

__all__ = ["LOWERINGS", "lowered"]


def lowered(E: OnnxAlgebra, op_type: str, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
    """An operator in the form of the algebra's opset, or None where its newest form will do."""
    brought, rule = LOWERINGS.get(op_type, (0, None))
    return None if rule is None or E.opset >= brought else rule(E, *operands, **attrs)


def _gelu(E: Any, x: Any, *, approximate: str = "none") -> Any:
    if approximate == "tanh":
        cubic = E.Mul(E.Mul(E.Mul(x, x), x), 0.044715)
        bent = E.Tanh(E.Mul(E.Add(x, cubic), math.sqrt(2.0 / math.pi)))
    else:
        bent = E.Erf(E.Mul(x, math.sqrt(0.5)))
    return E.Mul(E.Mul(x, 0.5), E.Add(bent, 1.0))


def _hard_swish(E: Any, x: Any) -> Any:
    return E.Mul(x, E.HardSigmoid(x, alpha=1.0 / 6.0, beta=0.5))


def _in_float32(E: Any, x: Any) -> Any:
    return E.Cast(x, to=float32) if x.dtype.itemsize < 4 else x


def _standardised(E: Any, x: Any, axes: Sequence[int], epsilon: float) -> Any:
    """Mean 0 and variance 1 over the given axes."""
    over = np.array(axes, np.int64)
    centred = E.Sub(x, E.ReduceMean(x, over, keepdims=1))
    variance = E.ReduceMean(E.Mul(centred, centred), over, keepdims=1)
    return E.Div(centred, E.Sqrt(E.Add(variance, epsilon)))


def _layer_norm(E: Any, x: Any, scale: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5) -> Any:
    axes = range(axis, 0) if axis < 0 else range(axis, x.ndim)
    unit = _standardised(E, _in_float32(E, x), axes, epsilon)
    found = E.Mul(E.Cast(unit, to=x.dtype), scale)
    return found if bias is None else E.Add(found, bias)


def _group_norm(E: Any, x: Any, scale: Any, bias: Any, *, num_groups: int, epsilon: float = 1e-5) -> Any:
    groups = E.Reshape(_in_float32(E, x), np.array([0, num_groups, -1], np.int64))
    unit = E.Cast(E.Reshape(_standardised(E, groups, (2,), epsilon), E.Shape(x)), to=x.dtype)
    column = np.array([-1] + [1] * (x.ndim - 2), np.int64)
    return E.Add(E.Mul(unit, E.Reshape(scale, column)), E.Reshape(bias, column))


def _reduction(op_type: str, E: Any, x: Any, axes: Any = None, *, keepdims: int = 1, **attrs: Any) -> Any:
    """Before opset 18 all reductions but ReduceSum took their axes as an attribute."""
    if axes is None or isinstance(axes, tuple):
        return None
    if axes.array is None:
        raise ExportError(f"ONNX's {op_type} takes axes that are computed from opset 18 on")
    return E.op(op_type, x, axes=tuple(map(int, axes.array)), keepdims=keepdims, **attrs)


def _shape(E: Any, x: Any, *, start: int = 0, end: int | None = None) -> Any:
    if start == 0 and end is None:
        return None
    first, last = (np.array([i], np.int64) for i in (start, np.iinfo(np.int64).max if end is None else end))
    return E.Slice(E.Shape(x), first, last, np.array([0], np.int64))


def _relu(E: Any, x: Any) -> Any:
    return None if x.dtype.is_floating_point else E.Max(x, 0)


def _reshape(E: Any, x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    """A result with a size of 0 has no elements: any tensor of that shape is the same."""
    return E.Expand(E.number(0, x), shape) if allowzero else None


def _scattered(op_type: str, E: Any, *operands: Any, reduction: str | None = None, **attrs: Any) -> Any:
    if reduction is None:
        return None
    if reduction != "none":
        raise ExportError(
            f"ONNX's {op_type} combines with {reduction!r} from opset 16 on", found=f"opset_version={E.opset}"
        )
    return E.op(op_type, *operands, **attrs)


def _triangle(E: Any, x: Any, k: Any = 0, *, upper: int = 1) -> Any:
    zero, one = np.array(0, np.int64), np.array(1, np.int64)

    def counted(axis: int, shape: Sequence[int]) -> Any:
        size = E.Squeeze(E.Shape(x, start=x.ndim + axis, end=x.ndim + axis + 1), np.array([0], np.int64))
        return E.Reshape(E.Range(zero, size, one), np.array(shape, np.int64))

    distance = E.Sub(counted(-1, (1, -1)), counted(-2, (-1, 1)))
    inside = E.GreaterOrEqual(distance, k) if upper else E.LessOrEqual(distance, k)
    return E.Where(inside, x, E.number(0, x))


def _running_product(E: Any, x: Any, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    """A scan over the slices along the axis, whose body multiplies."""
    if exclusive or reverse or axis.array is None:
        raise ExportError("ONNX has CumProd from opset 26 on", found=f"opset_version={E.opset}")
    at = int(axis.array)
    if x.shape[at] == 0:
        return x
    body = Scope(E.scope)
    rest = [*x.shape[:at], *x.shape[at + 1 :]]
    body.inputs = [OnnxValue(x.dtype, rest, body, E.names.take(name)) for name in ("product", "factor")]
    with E.inside(body):
        now = E.Mul(*body.inputs)
        body.outputs = [now, E.renamed(now)]
    sizes = E.Concat(E.Shape(x, start=0, end=at), E.Shape(x, start=at + 1, end=x.ndim), axis=0)
    start = E.Expand(E.number(1, x), sizes)
    types = [(x.dtype, rest), (x.dtype, x.shape)]
    found = E.structured(
        "Scan", [start, x], types, body=body, num_scan_inputs=1, scan_input_axes=(at,), scan_output_axes=(at,)
    )
    return found[1]


_REDUCTIONS: Final = (
    *("ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2"),
    *("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"),
)

LOWERINGS: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "CumProd": (26, _running_product),
    "GroupNormalization": (21, _group_norm),
    "Gelu": (20, _gelu),
    **{name: (18, partial(_reduction, name)) for name in _REDUCTIONS},
    "LayerNormalization": (17, _layer_norm),
    "ScatterElements": (16, partial(_scattered, "ScatterElements")),
    "ScatterND": (16, partial(_scattered, "ScatterND")),
    "Shape": (15, _shape),
    "HardSwish": (14, _hard_swish),
    "Relu": (14, _relu),
    "Reshape": (14, _reshape),
    "Trilu": (14, _triangle),
}
"""The opset that brought each operator's newest form, and what to write before it."""
