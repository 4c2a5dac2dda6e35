"""Identities of arithmetic that hold bit by bit in floating point.

`x + 0.0` is not among them, because -0.0 + 0.0 is 0.0, nor is `x * 0`, because of infinities and NaN.
"""

from __future__ import annotations

import math
from typing import Final

import ml_dtypes

from ...ir.types import TensorType
from ..facts import number_of
from ..patterns import Match
from ..rewrite import Rule, rule

__all__ = ["RULES"]


def _without_negative_zero(m: Match) -> str | None:
    return "-0.0 + 0 is 0.0" if _is_float(m) else None


def _is_float(m: Match) -> bool:
    type_ = m.output.type
    return isinstance(type_, TensorType) and type_.dtype.is_floating_point


def _power_of_two(m: Match) -> str | None:
    """Whether dividing by `c` and multiplying by 1/c round the same number: where 1/c is exact."""
    number = number_of(m.c)
    if number is None:
        return "the divisor is not a constant number"
    if isinstance(number, bool) or not math.isfinite(number) or abs(math.frexp(number)[0]) != 0.5:
        return "the divisor is not a power of two"
    type_ = m.output.type
    if not isinstance(type_, TensorType):
        return "the result is not a tensor"
    info = ml_dtypes.finfo(type_.dtype.np)
    exponent = math.frexp(number)[1] - 1
    fits = info.minexp <= min(exponent, -exponent) and max(exponent, -exponent) < info.maxexp
    return None if fits else "the reciprocal is not a normal number"


def _negation_is_exact(m: Match) -> str | None:
    """Negation wraps around in the integers' own dtype, and a wider result would show it."""
    result = m.output.type
    for node in m.nodes[1:]:
        type_ = node.output.type
        exact = isinstance(type_, TensorType) and (
            type_.dtype.is_floating_point or (isinstance(result, TensorType) and type_.dtype is result.dtype)
        )
        if not exact:
            return f"the negation is in {type_}, the result {result}"
    return None


def _is_signed(m: Match) -> str | None:
    type_ = m.output.type
    signed = isinstance(type_, TensorType) and type_.dtype.is_signed
    return None if signed else "a negation without a sign wraps around"


RULES: Final[tuple[Rule, ...]] = (
    rule("times one", lambda F, x: x * 1, lambda F, x: x),
    rule("divided by one", lambda F, x: x / 1, lambda F, x: x),
    rule("minus zero", lambda F, x: x - 0, lambda F, x: x),
    rule("plus negative zero", lambda F, x: x + -0.0, lambda F, x: x),
    rule("plus zero", lambda F, x: x + 0, lambda F, x: x, when=_without_negative_zero),
    rule("double negation", lambda F, x: F.neg(F.neg(x)), lambda F, x: x),
    rule(
        "plus a negation",
        lambda F, x, y: x + -y,
        lambda F, x, y: x - y,
        when=_negation_is_exact,
    ),
    rule(
        "minus a negation",
        lambda F, x, y: x - -y,
        lambda F, x, y: x + y,
        when=_negation_is_exact,
    ),
    rule(
        "product of negations",
        lambda F, x, y: (-x) * (-y),
        lambda F, x, y: x * y,
        when=_negation_is_exact,
    ),
    rule(
        "quotient of negations",
        lambda F, x, y: (-x) / (-y),
        lambda F, x, y: x / y,
        when=_negation_is_exact,
    ),
    rule("absolute value twice", lambda F, x: abs(abs(x)), lambda F, x: abs(x)),
    rule("absolute value of a negation", lambda F, x: abs(-x), lambda F, x: abs(x), when=_is_signed),
    rule("relu twice", lambda F, x: F.relu(F.relu(x)), lambda F, x: F.relu(x)),
    rule(
        "divided by a power of two",
        lambda F, x, c: x / c,
        lambda F, x, m: x * (1.0 / float(number_of(m.c) or 1)),
        when=_power_of_two,
    ),
)
