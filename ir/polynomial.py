"""Integer polynomials in several unknowns, as plain dictionaries.

A polynomial is a dictionary from monomial to coefficient. A monomial is a sorted tuple of unknowns, repeated
for powers: `B*B*T` is `("B", "B", "T")`, the constant monomial is `()`. No coefficient is zero, so equal
dictionaries are equal polynomials. Unknowns are anything hashable and sortable.

What lives here: arithmetic on those dictionaries. What the unknowns are, and what a size is, is
`size_expr`'s subject.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd
from typing import Any, Final

from .errors import ShapeError

__all__ = ["CONSTANT", "MAX_DEGREE", "MAX_TERMS", "Monomial", "Polynomial", "Unknown"]

# Any sortable: size expressions use `Atom`, a string. A type variable would follow every signature here.
Unknown = Any
Monomial = tuple[Unknown, ...]
Polynomial = dict[Monomial, int]

CONSTANT: Final[Monomial] = ()
MAX_TERMS: Final = 1024  # products beyond these two limits are refused: a short text can ask for 2**100 terms
MAX_DEGREE: Final = 64
_MAX_STEPS: Final = 256  # of a division


def add(a: Polynomial, b: Polynomial, factor: int = 1) -> Polynomial:
    """`a + factor*b`.

    >>> add({("B",): 1, (): 2}, {("B",): 1}, -1)
    {(): 2}
    """
    if not factor:
        return a
    result = dict(a)
    for monomial, coefficient in b.items():
        total = result.get(monomial, 0) + factor * coefficient
        if total:
            result[monomial] = total
        else:
            del result[monomial]
    return result


def scale(a: Polynomial, factor: int) -> Polynomial:
    """`factor*a`."""
    return {monomial: factor * coefficient for monomial, coefficient in a.items()} if factor else {}


def multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    """`a*b`.

    Raises:
        ShapeError: when the product is larger than any real size expression.

    >>> multiply({("B",): 1, (): 1}, {("B",): 1, (): -1})
    {('B', 'B'): 1, (): -1}
    """
    if len(a) * len(b) > MAX_TERMS:
        raise ShapeError("size expression too large", expected=f"at most {MAX_TERMS} terms")
    result: Polynomial = {}
    for left, p in a.items():
        for right, q in b.items():
            monomial = join(left, right)
            total = result.get(monomial, 0) + p * q
            if total:
                result[monomial] = total
            else:
                del result[monomial]
    return result


def join(left: Monomial, right: Monomial) -> Monomial:
    """The product of two monomials."""
    if not left or not right:
        return left or right
    if len(left) + len(right) > MAX_DEGREE:
        raise ShapeError("size expression too large", expected=f"at most {MAX_DEGREE} factors in a product")
    return tuple(sorted(left + right))


def without(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    """`monomial / divisor`, or None where it does not divide.

    >>> without(("B", "B", "T"), ("B",))
    ('B', 'T')
    """
    rest = list(monomial)
    for unknown in divisor:
        if unknown not in rest:
            return None
        rest.remove(unknown)
    return tuple(rest)


def order(monomial: Monomial) -> tuple[int, Monomial]:
    """Sort key that puts the leading monomial first: by falling degree, then by name."""
    return -len(monomial), monomial


def divide(a: Polynomial, b: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder with `a == quotient*b + remainder`; no term of the remainder is divisible by
    b's leading term.

    >>> divide({("B", "T"): 2, ("B",): 2, (): 3}, {("T",): 1, (): 1})
    ({('B',): 2}, {(): 3})
    """
    lead = min(b, key=order)
    rest, quotient, remainder = dict(a), Polynomial(), Polynomial()
    # Every subtraction removes rest's leading term and adds smaller ones only, so this ends; the bound
    # keeps it short where the quotient would be long. `0*b + a` is an answer too.
    for _ in range(_MAX_STEPS):
        if not rest:
            return quotient, remainder
        top = min(rest, key=order)
        step = without(top, lead)
        if step is None or rest[top] % b[lead]:
            remainder[top] = rest.pop(top)
            continue
        factor = rest[top] // b[lead]
        quotient[step] = factor
        rest = add(rest, multiply({step: factor}, b), -1)
    return {}, a


def content(values: Iterable[int]) -> int:
    """The greatest common divisor of the coefficients."""
    return gcd(*values)
