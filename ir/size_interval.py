"""Interval arithmetic: bounds of polynomials over atoms, of quotients and of remainders.

What lives here knows of an atom only its ends `lo` and `hi`. What else can be known about a size's bounds is
`size_bounds`' subject.
"""

from __future__ import annotations

import math
from typing import Final

from .polynomial import Monomial, Polynomial

__all__ = [
    "INFINITY",
    "Bound",
    "Interval",
    "plus",
    "poly_interval",
    "quotient_interval",
    "remainder_interval",
    "times",
]

# Infinite ends are floats, finite ones are integers of any length: both compare exactly in Python.
Bound = int | float
Interval = tuple[Bound, Bound]
INFINITY: Final = math.inf


def poly_interval(poly: Polynomial) -> Interval:
    """Bounds of a polynomial over atoms: the sum of its terms' bounds, each term for itself."""
    low: Bound = 0
    high: Bound = 0
    for monomial, coefficient in poly.items():
        lo, hi = monomial_interval(monomial)
        if coefficient < 0:
            lo, hi = hi, lo
        low, high = plus(low, times(coefficient, lo)), plus(high, times(coefficient, hi))
    return low, high


def monomial_interval(monomial: Monomial) -> Interval:
    low: Bound = 1
    high: Bound = 1
    for atom in monomial:
        if low >= 0 and atom.lo >= 0:
            low, high = times(low, atom.lo), times(high, atom.hi)
        else:
            corners = [times(x, y) for x in (low, high) for y in (atom.lo, atom.hi)]
            low, high = min(corners), max(corners)
    return low, high


def plus(x: Bound, y: Bound) -> Bound:
    """Sum of two bounds that are not opposite infinities; integers may be too long for a float."""
    return x if isinstance(x, float) else y if isinstance(y, float) else x + y


def times(x: Bound, y: Bound) -> Bound:
    """Product of two bounds. Zero times infinity is zero: a size is finite, only its bound is not."""
    if x == 0 or y == 0:
        return 0
    if isinstance(x, float) or isinstance(y, float):
        return INFINITY if (x > 0) == (y > 0) else -INFINITY
    return x * y


def quotient_interval(a: Interval, b: Interval) -> Interval:
    """Bounds of `a//b`. A divisor that is not negative is positive: zero has no quotient."""
    if b[0] < 0:
        return -INFINITY, INFINITY
    smallest, largest = max(b[0], 1), b[1]
    low = _quotient(a[0], smallest if a[0] < 0 else largest)
    return low, _quotient(a[1], largest if a[1] < 0 else smallest)


def _quotient(a: Bound, b: Bound) -> Bound:
    """`a//b` for positive b, as a limit where an end is infinite."""
    if isinstance(a, float):
        return a
    if isinstance(b, float):
        return -1 if a < 0 else 0
    return a // b


def remainder_interval(a: Interval, b: Interval) -> Interval:
    """Bounds of `a % b`, which lies between zero and b."""
    if b[0] < 0:
        return min(0, b[0] + 1), max(0, b[1] - 1)
    high = b[1] - 1
    return 0, min(high, a[1]) if a[0] >= 0 else high
