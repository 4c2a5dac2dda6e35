"""The scalar language's primitives: names, types, exactly stated meanings, and their NumPy form.

A primitive is one typed operation on numbers. Its `meaning` binds every rendering (NumPy, C, CUDA); the tests
hold each of them against the NumPy form on special values: NaN, infinities, both zeros, extreme integers.
Unless a meaning says otherwise, integers wrap around, floats follow IEEE 754 with results rounded to their own
type, and transcendental functions are accurate to a few units in the last place.

Typing rules: `same` (operands of one type, result of that type), `float` (the same, floats only), `number` (no
bools), `compare` (operands of one type, result bool), `test` (one float, result bool), `bits` (bools and
integers), `bool`. `where`, `cast` and `const` have rules of their own in `scalar`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

__all__ = ["PRIMITIVES", "Primitive", "erf"]


@dataclass(frozen=True, slots=True)
class Primitive:
    """One operation of the scalar language."""

    name: str
    arity: int
    typing: str
    meaning: str
    array: Callable[..., Any]
    # The function's name in the `np` namespace, or the text of a function that must travel with emitted source.
    source: str = ""
    # Whether exchanging the two operands changes no bit of the result (which NaN comes out apart). Not so for
    # maximum and minimum: of zeros of both signs they may return the first.
    commutative: bool = False


# Abramowitz & Stegun's families are too coarse; these are W. J. Cody's rational approximations (Math. Comp. 23,
# 1969, "Rational Chebyshev approximations for the error function"), as in the netlib routine CALERF.
def erf(np: Any, x: Any) -> Any:
    """The error function, to about one unit in the last place of float64.

    Args:
        np: the array library.
        x: a float array of any shape. Halves and float32 are evaluated in float64.
    """
    small = np.asarray(x).astype(np.float64)
    a = np.abs(small)
    z = a * a
    low = (
        ((1.85777706184603153e-1 * z + 3.16112374387056560e0) * z + 1.13864154151050156e2) * z + 3.77485237685302021e2
    ) * z
    low = low + 3.20937758913846947e3
    low_d = (((z + 2.36012909523441209e1) * z + 2.44024637934444173e2) * z + 1.28261652607737228e3) * z
    low_d = low_d + 2.84423683343917062e3
    m = np.minimum(a, 6.0)
    mid = 2.15311535474403846e-8 * m + 5.64188496988670089e-1
    for c in (8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2):
        mid = mid * m + c
    for c in (1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3):
        mid = mid * m + c
    mid_d = m + 1.57449261107098347e1
    for c in (1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3, 3.29079923573345963e3):
        mid_d = mid_d * m + c
    for c in (4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3):
        mid_d = mid_d * m + c
    tail = 1.0 - np.exp(-(m * m)) * (mid / mid_d)
    value = np.where(a <= 0.46875, a * (low / low_d), np.where(a < 6.0, tail, 1.0))
    return np.where(np.isnan(small), small, np.copysign(value, small)).astype(x.dtype)


def _integer_power(x: Any, y: Any) -> Any:
    if not np.issubdtype(np.result_type(x, y), np.integer):
        return np.power(x, y)
    negative = np.asarray(y) < 0
    if not negative.any():
        return np.power(x, y)
    positive = np.power(x, np.where(negative, 0, y).astype(np.result_type(y)))
    unit = np.where(x == 1, 1, np.where(x == -1, np.where(np.asarray(y) % 2 == 0, 1, -1), 0))
    return np.where(negative, unit, positive).astype(positive.dtype)


def _power(x: Any, y: Any) -> Any:
    if isinstance(y, (int, float)) or (getattr(x, "dtype", None) is not None and x.dtype.kind == "f"):
        return (
            np.power(x, y)
            if not (isinstance(y, int) and y < 0 and x.dtype.kind in "iu")
            else _integer_power(x, np.asarray(y, x.dtype))
        )
    return _integer_power(x, y)


def _erf(x: Any) -> Any:
    return erf(np, x)


def _sign(x: Any) -> Any:
    return np.sign(x)


_COMMUTATIVE: Final = frozenset({"add", "mul", "eq", "ne", "and_", "or_", "xor"})


def _p(name: str, arity: int, typing: str, meaning: str, array: Callable[..., Any] | str) -> Primitive:
    source = f"np.{array}" if isinstance(array, str) else ""
    function = getattr(np, array) if isinstance(array, str) else array
    return Primitive(name, arity, typing, meaning, function, source, name in _COMMUTATIVE)


_ALL: Final = (
    _p("add", 2, "same", "x + y; on bools, logical or", "add"),
    _p("sub", 2, "number", "x - y", "subtract"),
    _p("mul", 2, "same", "x * y; on bools, logical and", "multiply"),
    _p("div", 2, "float", "x / y, IEEE 754: x/0 is an infinity or NaN", "divide"),
    _p(
        "floordiv",
        2,
        "number",
        "quotient rounded towards minus infinity, as Python's; an integer over 0 is 0",
        "floor_divide",
    ),
    _p(
        "mod",
        2,
        "number",
        "remainder with the divisor's sign, as Python's; an integer by 0 is 0",
        "remainder",
    ),
    _p("fmod", 2, "number", "remainder with the dividend's sign, as C's fmod; an integer by 0 is 0", "fmod"),
    _p(
        "pow",
        2,
        "number",
        "x to the y; integers: a negative exponent gives 0 unless the base is 1 or -1",
        _power,
    ),
    _p("neg", 1, "number", "-x", "negative"),
    _p("abs", 1, "number", "absolute value; the smallest integer stays as it is", "absolute"),
    _p("sign", 1, "number", "-1, 0 or 1; NaN stays NaN", _sign),
    _p("maximum", 2, "same", "the larger; NaN if either is NaN", "maximum"),
    _p("minimum", 2, "same", "the smaller; NaN if either is NaN", "minimum"),
    _p("exp", 1, "float", "e to the x", "exp"),
    _p("exp2", 1, "float", "2 to the x", "exp2"),
    _p("expm1", 1, "float", "exp(x) - 1 without cancellation near 0", "expm1"),
    _p("log", 1, "float", "natural logarithm; log 0 is minus infinity, of a negative number NaN", "log"),
    _p("log2", 1, "float", "logarithm to base 2", "log2"),
    _p("log10", 1, "float", "logarithm to base 10", "log10"),
    _p("log1p", 1, "float", "log(1 + x) without cancellation near 0", "log1p"),
    _p("sqrt", 1, "float", "square root, correctly rounded", "sqrt"),
    _p("sin", 1, "float", "sine of radians", "sin"),
    _p("cos", 1, "float", "cosine of radians", "cos"),
    _p("tan", 1, "float", "tangent of radians", "tan"),
    _p("asin", 1, "float", "arcsine in radians", "arcsin"),
    _p("acos", 1, "float", "arccosine in radians", "arccos"),
    _p("atan", 1, "float", "arctangent in radians", "arctan"),
    _p("atan2", 2, "float", "angle of the point (y, x), C's atan2(y, x)", "arctan2"),
    _p("sinh", 1, "float", "hyperbolic sine", "sinh"),
    _p("cosh", 1, "float", "hyperbolic cosine", "cosh"),
    _p("tanh", 1, "float", "hyperbolic tangent", "tanh"),
    _p("erf", 1, "float", "the error function, 2/sqrt(pi) times the integral of exp(-t*t) from 0 to x", _erf),
    _p("floor", 1, "float", "rounded towards minus infinity", "floor"),
    _p("ceil", 1, "float", "rounded towards plus infinity", "ceil"),
    _p("trunc", 1, "float", "rounded towards zero", "trunc"),
    _p("round", 1, "float", "rounded to the nearest integer, ties to the even one", "rint"),
    _p("isnan", 1, "test", "whether x is NaN", "isnan"),
    _p("isinf", 1, "test", "whether x is an infinity", "isinf"),
    _p("eq", 2, "compare", "x == y; NaN equals nothing", "equal"),
    _p("ne", 2, "compare", "x != y; NaN differs from everything", "not_equal"),
    _p("lt", 2, "compare", "x < y; false with NaN", "less"),
    _p("le", 2, "compare", "x <= y; false with NaN", "less_equal"),
    _p("gt", 2, "compare", "x > y; false with NaN", "greater"),
    _p("ge", 2, "compare", "x >= y; false with NaN", "greater_equal"),
    _p("and_", 2, "bits", "bitwise and; on bools, logical", "bitwise_and"),
    _p("or_", 2, "bits", "bitwise or; on bools, logical", "bitwise_or"),
    _p("xor", 2, "bits", "bitwise exclusive or; on bools, logical", "bitwise_xor"),
    _p("not_", 1, "bits", "bitwise complement; on bools, logical", "invert"),
)

PRIMITIVES: Final[dict[str, Primitive]] = {p.name: p for p in _ALL}
