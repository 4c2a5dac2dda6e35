"""Arithmetic on two operands, bitwise and logical operations, `where`, `clamp`, `cast`."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import bool_
from ..families import elementwise
from ..registry import NotDifferentiable, StopsGradient

_STEPS = NotDifferentiable("its result is piecewise constant")
_WHOLE = NotDifferentiable("it works on integers and bools")

elementwise(
    "add(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.add(x, y),
    grad={"input": lambda g: g, "other": lambda g: g},
    onnx=lambda E, input, other: E.Or(input, other) if input.dtype is bool_ else E.Add(input, other),
    doc="input + other, with broadcasting; the logical or of bools.",
)
elementwise(
    "sub(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.sub(x, y),
    grad={"input": lambda g: g, "other": lambda g: -g},
    onnx="Sub",
    doc="input - other, with broadcasting.",
)
elementwise(
    "mul(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.mul(x, y),
    grad={"input": lambda g, other: g * other, "other": lambda g, input: g * input},
    onnx=lambda E, input, other: E.And(input, other) if input.dtype is bool_ else E.Mul(input, other),
    doc="input * other, with broadcasting; the logical and of bools.",
)
elementwise(
    "div(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.div(x, y),
    promotion="float",
    grad={"input": lambda g, other: g / other, "other": lambda g, y, other: -g * y / other},
    onnx="Div",
    doc="input / other in floating point, with broadcasting.",
)


def _floored_onnx(E: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The remainder with the sign of y, and the quotient that belongs to it, both exact: by way of fmod."""
    rest = E.Mod(x, y, fmod=1)
    moved = E.And(E.Not(E.Equal(rest, 0)), E.Xor(E.Less(rest, 0), E.Less(y, 0)))
    quotient = E.Round(E.Div(E.Sub(x, rest), y))
    return E.Where(moved, E.Add(rest, y), rest), E.Where(moved, E.Sub(quotient, 1), quotient)


def _floor_divide_onnx(E: Any, x: Any, y: Any) -> Any:
    if x.dtype.is_floating_point:
        # By 0 the quotient is an infinity or NaN, and there is no remainder.
        return E.Where(E.Equal(y, 0), E.Div(x, y), _floored_onnx(E, x, y)[1])
    return E.Div(E.Sub(x, E.Mod(x, y, fmod=0)), y)


elementwise(
    "floor_divide(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.floordiv(x, y),
    grad=_STEPS,
    onnx=lambda E, input, other: _floor_divide_onnx(E, input, other),
    doc="The quotient rounded towards minus infinity; an integer divided by 0 is 0.",
)
elementwise(
    "remainder(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.mod(x, y),
    grad={"input": lambda g: g, "other": lambda F, g, input, other: -g * F.detach(F.floor_divide(input, other))},
    onnx=lambda E, input, other: (
        _floored_onnx(E, input, other)[0] if input.dtype.is_floating_point else E.Mod(input, other, fmod=0)
    ),
    doc="The remainder with the sign of `other`, as Python's %.",
)
elementwise(
    "fmod(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.fmod(x, y),
    grad={"input": lambda g: g, "other": lambda F, g, input, other: -g * F.trunc(input / other)},
    onnx=lambda E, input, other: E.Mod(input, other, fmod=1),
    doc="The remainder with the sign of `input`, as C's fmod.",
)


def _pow_input(F: Any, g: Any, input: Any, other: Any) -> Any:
    return (
        F.where(F.eq(other, 0), 0.0, g * (other * F.pow(input, other - 1)))
        if hasattr(other, "dtype")
        else (g * (float(other) * F.pow(input, other - 1)) if other != 0 else g * 0.0)
    )


def _pow_other(F: Any, g: Any, y: Any, input: Any, other: Any) -> Any:
    if not hasattr(input, "dtype"):
        base = F.full(size=(), value=float(input), dtype=y.dtype)
    else:  # an integer's logarithm would be of the default dtype
        base = input if input.dtype is y.dtype else F.full(size=(), value=1.0, dtype=y.dtype) * input
    flat = F.logical_and(F.eq(base, 0), F.ge(other, 0))
    return g * F.where(flat, 0.0, y * F.log(F.where(flat, 1.0, base)))


elementwise(
    "pow(input: Tensor, exponent: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.pow(x, y),
    grad={
        "input": lambda F, g, input, exponent: _pow_input(F, g, input, exponent),
        "exponent": lambda F, g, y, input, exponent: _pow_other(F, g, y, input, exponent),
    },
    onnx="Pow",
    doc="input to the power of exponent; a negative integer exponent of an integer gives 0 unless the base is 1 or -1.",
)
elementwise(
    "maximum(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.maximum(x, y),
    grad={
        "input": lambda F, g, input, other: F.where(F.eq(input, other), g * 0.5, F.where(F.lt(input, other), 0.0, g)),
        "other": lambda F, g, input, other: F.where(F.eq(input, other), g * 0.5, F.where(F.lt(input, other), g, 0.0)),
    },
    onnx="Max",
    doc="The larger of both; NaN if either is NaN.",
)
elementwise(
    "minimum(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, x, y: s.minimum(x, y),
    grad={
        "input": lambda F, g, input, other: F.where(F.eq(input, other), g * 0.5, F.where(F.gt(input, other), 0.0, g)),
        "other": lambda F, g, input, other: F.where(F.eq(input, other), g * 0.5, F.where(F.gt(input, other), g, 0.0)),
    },
    onnx="Min",
    doc="The smaller of both; NaN if either is NaN.",
)


def _atan2_onnx(E: Any, y: Any, x: Any) -> Any:
    """The arctangent of the quotient, turned by pi where x is negative. Zeros count as positive, and two infinities
    give NaN."""
    x = E.Where(E.Equal(x, 0), E.number(0, x), x)
    at_origin = E.And(E.Equal(y, 0), E.Equal(x, 0))
    near = E.Where(at_origin, E.number(0, y), E.Atan(E.Div(y, x)))
    turn = E.Where(E.Less(y, 0), E.number(-math.pi, y), E.number(math.pi, y))
    return E.Where(E.Less(x, 0), E.Add(near, turn), near)


elementwise(
    "atan2(input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, y, x: s.atan2(y, x),
    promotion="float",
    grad={
        "input": lambda g, input, other: g * other / (input * input + other * other),
        "other": lambda g, input, other: -g * input / (input * input + other * other),
    },
    onnx=lambda E, input, other: _atan2_onnx(E, input, other),
    doc="The angle in radians of the point (other, input).",
)
elementwise(
    "where(condition: Tensor, input: Tensor, other: Tensor) -> Tensor",
    scalar=lambda s, c, x, y: s.where(c, x, y),
    keep=("condition",),
    grad={
        "input": lambda F, g, condition: F.where(condition, g, 0.0),
        "other": lambda F, g, condition: F.where(condition, 0.0, g),
    },
    onnx="Where",
    doc="input where the condition holds, else other.",
)


def _clamp(s: Any, x: Any, min: Any, max: Any) -> Any:
    low = x if min is None else s.maximum(x, min)
    return low if max is None else s.minimum(low, max)


def _clamp_grad(F: Any, g: Any, input: Any, min: Any, max: Any) -> Any:
    inside = g
    if min is not None:
        inside = F.where(F.ge(input, min), inside, 0.0)
    return inside if max is None else F.where(F.le(input, max), inside, 0.0)


elementwise(
    "clamp(input: Tensor, min: number? = None, max: number? = None) -> Tensor",
    scalar=_clamp,
    grad={"input": lambda F, g, input, min, max: _clamp_grad(F, g, input, min, max)},
    onnx=lambda E, input, min, max: E.Clip(
        input, None if min is None else E.number(min, input), None if max is None else E.number(max, input)
    ),
    doc="input limited to [min, max]; NaN stays NaN.",
)
elementwise(
    "cast(input: Tensor, *, dtype: dtype) -> Tensor",
    scalar=lambda s, x, dtype: s.cast(x, dtype),
    keep=("input",),
    grad={"input": lambda g: g},
    onnx=lambda E, input, dtype: E.Cast(input, to=dtype),
    doc="input as another dtype; floats to integers truncate.",
)
elementwise(
    "detach(input: Tensor) -> Tensor",
    scalar=lambda s, x: x,
    keep=("input",),
    grad=StopsGradient("it cuts its input off"),
    view=True,
    inverse=lambda F, base, new: new,
    onnx="Identity",
    doc="input, cut off from the gradient.",
)

for _name, _primitive, _onnx in (("and", "and_", "And"), ("or", "or_", "Or"), ("xor", "xor", "Xor")):
    elementwise(
        f"bitwise_{_name}(input: Tensor, other: Tensor) -> Tensor",
        scalar=lambda s, x, y, p=_primitive: getattr(s, p)(x, y),
        grad=_WHOLE,
        onnx=lambda E, input, other, form=_onnx: getattr(E, form if input.dtype is bool_ else f"Bitwise{form}")(
            input, other
        ),
        doc=f"Bitwise {_name} of integers, logical {_name} of bools.",
    )
    elementwise(
        f"logical_{_name}(input: Tensor, other: Tensor) -> Tensor",
        scalar=lambda s, x, y, p=_primitive: getattr(s, p)(s.cast(x, bool_), s.cast(y, bool_)),
        keep=("input", "other"),
        grad=_WHOLE,
        onnx=lambda E, input, other, form=_onnx: getattr(E, form)(E.Cast(input, to=bool_), E.Cast(other, to=bool_)),
        doc=f"Logical {_name}; what is not 0 counts as true.",
    )
elementwise(
    "bitwise_not(input: Tensor) -> Tensor",
    scalar=lambda s, x: s.not_(x),
    grad=_WHOLE,
    onnx=lambda E, input: E.Not(input) if input.dtype is bool_ else E.BitwiseNot(input),
    doc="Bitwise complement of integers, logical not of bools.",
)
elementwise(
    "logical_not(input: Tensor) -> Tensor",
    scalar=lambda s, x: s.not_(s.cast(x, bool_)),
    keep=("input",),
    grad=_WHOLE,
    onnx=lambda E, input: E.Not(E.Cast(input, to=bool_)),
    doc="Logical not; what is not 0 counts as true.",
)
