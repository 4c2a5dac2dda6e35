"""Operations on whole sizes: evaluation, substitution, polynomial quotients, solving for a variable.

Evaluation and substitution are one interpreter over two kinds of values: integers and sizes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from . import polynomial
from .errors import ArgumentError, ShapeError
from .polynomial import CONSTANT
from .size_bounds import maximum, minimum
from .size_expr import Atom, Size, SizeExpr, size_of

__all__ = [
    "OPERATIONS",
    "evaluate",
    "free_vars",
    "polynomial_quotient",
    "product",
    "solve",
    "substitute",
    "variables",
]

# The meaning of the atoms that are not variables, over integers and over sizes.
OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "//": operator.floordiv,
    "%": operator.mod,
    "min": minimum,
    "max": maximum,
}


def evaluate(size: Size, bindings: Mapping[str, int]) -> int:
    """The value of a size.

    Args:
        bindings: a value for every variable in it.

    Raises:
        ArgumentError: when a variable has no value.
        ShapeError: when it divides by zero.

    >>> from .size_expr import var
    >>> evaluate((var("H") - 3)//2 + 1, {"H": 28})
    13
    """
    if isinstance(size, int):
        return size
    try:
        value: int = _interpret(size, lambda atom: bindings[atom])
    except KeyError as missing:
        raise ArgumentError(
            f"size variable {missing.args[0]} has no value", found=f"{size} with {dict(bindings)}"
        ) from None
    except ZeroDivisionError:
        raise ShapeError(f"size {size} divides by zero", found=f"with {dict(bindings)}") from None
    return value


def substitute(size: Size, replacements: Mapping[str, Size]) -> Size:
    """The size with variables replaced; those that are not named stay.

    Raises:
        ZeroDivisionError: when a divisor becomes zero.

    >>> from .size_expr import var
    >>> substitute(var("B")*var("T"), {"T": var("B") + 1, "X": 3})
    B*B + B
    """
    if isinstance(size, int) or replacements.keys().isdisjoint(free_vars(size)):
        return size
    result: Size = _interpret(size, lambda atom: replacements.get(atom, SizeExpr({(atom,): 1})))
    return result


def _interpret(size: Size, variable: Callable[[Atom], Any]) -> Any:
    """The size's polynomial over whatever values `variable` gives."""
    if isinstance(size, int):
        return size
    total: Any = 0
    for monomial, coefficient in size.poly.items():
        term: Any = coefficient
        for atom in monomial:
            if atom.op == "var":
                term = term * variable(atom)
            else:
                term = term * OPERATIONS[atom.op](*[_interpret(arg, variable) for arg in atom.args])
        total = total + term
    return total


def free_vars(size: Size) -> frozenset[str]:
    """The names of the variables in a size.

    >>> from .size_expr import var
    >>> sorted(free_vars(var("B")*(var("H")//2) + 1))
    ['B', 'H']
    """
    if isinstance(size, int):
        return frozenset()
    return frozenset[str]().union(*(atom.names for monomial in size.poly for atom in monomial))


def variables(size: Size) -> tuple[SizeExpr, ...]:
    """The variables in a size with their bounds, ordered by name."""
    found: dict[str, Atom] = {}
    pending = [size]
    while pending:
        one = pending.pop()
        for atom in one.atoms if isinstance(one, SizeExpr) else ():
            if atom.op == "var":
                found[str(atom)] = atom
            else:
                pending.extend(atom.args)
    return tuple(SizeExpr({(found[name],): 1}) for name in sorted(found))


def product(sizes: Iterable[Size]) -> Size:
    """The product of sizes; 1 of none.

    >>> from .size_expr import var
    >>> product((var("B"), 3, var("T"), 2))
    6*B*T
    """
    number = 1
    symbolic: Size = 1
    for size in sizes:
        if isinstance(size, int):
            number *= size
        else:
            symbolic = size * symbolic
    return symbolic * number


def polynomial_quotient(a: Size, b: Size) -> Size | None:
    """The size q for which `q*b` is the same polynomial as a, whatever values b takes; None without one.

    >>> from .size_expr import var
    >>> B, T = var("B"), var("T")
    >>> polynomial_quotient(6*B*T, 2*B), polynomial_quotient(B*T + B, T + 1), polynomial_quotient(B, 2)
    (3*T, B, None)
    """
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return None if a % b else a // b
    quotient, rest = polynomial.divide(_as_poly(a), _as_poly(b))
    return None if rest else size_of(quotient)


def _as_poly(size: Size) -> polynomial.Polynomial:
    if isinstance(size, SizeExpr):
        return size.poly
    return {CONSTANT: size} if size else {}


def solve(size: Size, value: int) -> tuple[str, int] | None:
    """The one variable of a size `a*V + c`, and what it is when the size has the given value.

    The variable's bounds are not looked at. None when the size has another form, or no integer fits.

    >>> from .size_expr import var
    >>> solve(2*var("B") + 1, 9), solve(2*var("B"), 9), solve(var("B")*var("T"), 6)
    (('B', 4), None, None)
    """
    if isinstance(size, int):
        return None
    unknowns = [monomial for monomial in size.poly if monomial]
    if len(unknowns) != 1 or len(unknowns[0]) != 1 or unknowns[0][0].op != "var":
        return None
    rest = value - size.poly.get(CONSTANT, 0)
    factor = size.poly[unknowns[0]]
    return None if rest % factor else (str(unknowns[0][0]), rest // factor)
