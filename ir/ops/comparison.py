"""Comparisons and tests, whose results are bools."""

from __future__ import annotations

from ..families import elementwise
from ..registry import NotDifferentiable

_BOOL = NotDifferentiable("its result is a bool")

for _name, _onnx, _doc in (
    ("eq", "Equal", "input == other; NaN equals nothing."),
    ("ne", None, "input != other; NaN differs from everything."),
    ("lt", "Less", "input < other; false with NaN."),
    ("le", "LessOrEqual", "input <= other; false with NaN."),
    ("gt", "Greater", "input > other; false with NaN."),
    ("ge", "GreaterOrEqual", "input >= other; false with NaN."),
):
    elementwise(
        f"{_name}(input: Tensor, other: Tensor) -> Tensor",
        scalar=lambda s, x, y, p=_name: getattr(s, p)(x, y),
        grad=_BOOL,
        onnx=_onnx or (lambda E, input, other: E.Not(E.Equal(input, other))),
        doc=_doc,
    )

elementwise(
    "isnan(input: Tensor) -> Tensor",
    scalar=lambda s, x: s.isnan(x),
    promotion="float",
    grad=_BOOL,
    onnx="IsNaN",
    doc="Whether each element is NaN.",
)
elementwise(
    "isinf(input: Tensor) -> Tensor",
    scalar=lambda s, x: s.isinf(x),
    promotion="float",
    grad=_BOOL,
    onnx="IsInf",
    doc="Whether each element is an infinity.",
)
elementwise(
    "isfinite(input: Tensor) -> Tensor",
    scalar=lambda s, x: s.not_(s.or_(s.isnan(x), s.isinf(x))),
    promotion="float",
    grad=_BOOL,
    onnx=lambda E, input: E.Not(E.Or(E.IsNaN(input), E.IsInf(input))),
    doc="Whether each element is neither NaN nor an infinity.",
)
