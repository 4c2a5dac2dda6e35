"""Functions of one operand: sign and rounding, exponentials and logarithms, trigonometry, `erf`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..families import elementwise
from ..registry import NotDifferentiable

_STEPS = NotDifferentiable("its result is piecewise constant")


def _unary(name: str, scalar: Any, grad: Any, onnx: Any, doc: str, promotion: str = "float") -> None:
    rules: Any = {"input": grad} if isinstance(grad, Callable) else grad  # type: ignore[arg-type]
    elementwise(f"{name}(input: Tensor) -> Tensor", scalar=scalar, grad=rules, onnx=onnx, doc=doc, promotion=promotion)


_unary("neg", lambda s, x: s.neg(x), lambda g: -g, "Neg", "-input.", "same")
_unary("abs", lambda s, x: s.abs(x), lambda F, g, input: g * F.sign(input), "Abs", "The absolute value.", "same")
_unary("sign", lambda s, x: s.sign(x), lambda g: g * 0.0, "Sign", "-1, 0 or 1; NaN stays NaN.", "same")
_unary(
    "square",
    lambda s, x: x * x,
    lambda g, input: g * (input * 2.0),
    lambda E, input: E.Mul(input, input),
    "input * input.",
    "same",
)

_unary("exp", lambda s, x: s.exp(x), lambda g, y: g * y, "Exp", "e to the input.")
_unary(
    "exp2", lambda s, x: s.exp2(x), lambda g, y: g * (y * math.log(2)),
    lambda E, input: E.Pow(E.number(2.0, input), input), "2 to the input.",
)  # fmt: skip
_unary(
    "expm1", lambda s, x: s.expm1(x), lambda g, y: g * (y + 1.0),
    lambda E, input: E.Sub(E.Exp(input), E.number(1.0, input)), "exp(input) - 1, exact near 0.",
)  # fmt: skip
_unary("log", lambda s, x: s.log(x), lambda g, input: g / input, "Log", "The natural logarithm.")
_unary(
    "log2", lambda s, x: s.log2(x), lambda g, input: g / (input * math.log(2)),
    lambda E, input: E.Div(E.Log(input), E.number(math.log(2), input)), "The logarithm to base 2.",
)  # fmt: skip
_unary(
    "log10", lambda s, x: s.log10(x), lambda g, input: g / (input * math.log(10)),
    lambda E, input: E.Div(E.Log(input), E.number(math.log(10), input)), "The logarithm to base 10.",
)  # fmt: skip
_unary(
    "log1p", lambda s, x: s.log1p(x), lambda g, input: g / (input + 1.0),
    lambda E, input: E.Log(E.Add(input, E.number(1.0, input))), "log(1 + input), exact near 0.",
)  # fmt: skip
_unary("sqrt", lambda s, x: s.sqrt(x), lambda g, y: g / (y * 2.0), "Sqrt", "The square root.")
_unary(
    "rsqrt", lambda s, x: 1.0 / s.sqrt(x), lambda g, y: g * (y * y * y * -0.5),
    lambda E, input: E.Reciprocal(E.Sqrt(input)), "1 / sqrt(input).",
)  # fmt: skip
_unary("reciprocal", lambda s, x: 1.0 / x, lambda g, y: -g * (y * y), "Reciprocal", "1 / input.")

_unary("sin", lambda s, x: s.sin(x), lambda F, g, input: g * F.cos(input), "Sin", "The sine of radians.")
_unary("cos", lambda s, x: s.cos(x), lambda F, g, input: -g * F.sin(input), "Cos", "The cosine of radians.")
_unary("tan", lambda s, x: s.tan(x), lambda g, y: g * (y * y + 1.0), "Tan", "The tangent of radians.")
_unary(
    "asin",
    lambda s, x: s.asin(x),
    lambda F, g, input: g * F.rsqrt(1.0 - input * input),
    "Asin",
    "The arcsine.",
)
_unary(
    "acos",
    lambda s, x: s.acos(x),
    lambda F, g, input: -g * F.rsqrt(1.0 - input * input),
    "Acos",
    "The arccosine.",
)
_unary("atan", lambda s, x: s.atan(x), lambda g, input: g / (input * input + 1.0), "Atan", "The arctangent.")
_unary("sinh", lambda s, x: s.sinh(x), lambda F, g, input: g * F.cosh(input), "Sinh", "The hyperbolic sine.")
_unary("cosh", lambda s, x: s.cosh(x), lambda F, g, input: g * F.sinh(input), "Cosh", "The hyperbolic cosine.")
_unary("tanh", lambda s, x: s.tanh(x), lambda g, y: g * (1.0 - y * y), "Tanh", "The hyperbolic tangent.")
_unary(
    "erf", lambda s, x: s.erf(x), lambda F, g, input: g * (F.exp(-(input * input)) * (2.0 / math.sqrt(math.pi))),
    "Erf", "The error function.",
)  # fmt: skip


def _rounding(name: str, onnx: Any, doc: str) -> None:
    def body(s: Any, x: Any) -> Any:
        return getattr(s, name)(x) if s.dtype(x).kind == "float" else x

    elementwise(f"{name}(input: Tensor) -> Tensor", scalar=body, grad={"input": lambda g: g * 0.0}, onnx=onnx, doc=doc)


def _whole(E: Any, input: Any, name: str) -> Any:
    return getattr(E, name)(input) if input.dtype.is_floating_point else E.Identity(input)


_rounding("floor", lambda E, input: _whole(E, input, "Floor"), "Rounded towards minus infinity.")
_rounding("ceil", lambda E, input: _whole(E, input, "Ceil"), "Rounded towards plus infinity.")
_rounding("round", lambda E, input: _whole(E, input, "Round"), "Rounded to the nearest integer, ties to even.")
_rounding(
    "trunc",
    lambda E, input: (
        E.Mul(E.Sign(input), E.Floor(E.Abs(input))) if input.dtype.is_floating_point else E.Identity(input)
    ),
    "Rounded towards zero.",
)
