"""What is certain about sizes: bounds, comparison, and the minima and maxima that bounds settle.

Term-by-term intervals (`size_interval`) know nothing of terms that move together. Here a size is also
looked at through rewritings that keep its value, and the sharpest answer counts:

- variables shifted to their bounds, so that `B*T - B` with `T >= 1` becomes `B*T'`, which is not negative;
- `x//k` as `(x - x % k)/k`, so that `2*(H//2)` is seen to be at most `H`;
- `x % k` as `x - k*(x//k)`;
- `min` and `max` as each of their arguments in turn.

All answers are sound where the size is defined; `None` means not known, not "no".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Final

from . import polynomial
from .errors import ArgumentError, ShapeError
from .polynomial import CONSTANT, Polynomial
from .size_expr import Atom, Size, SizeExpr, interval, make_atom, size_of
from .size_interval import Bound, Interval, plus, times

__all__ = ["COMPARISONS", "bounds", "decide", "maximum", "minimum"]

COMPARISONS: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_EFFORT: Final = 3  # rewritings on top of each other
_MAX_CASES: Final = 3  # min and max atoms that are taken apart, and four arguments at most
_MAX_QUOTIENTS: Final = 8  # // and % atoms that are rewritten
MAX_ARGUMENTS: Final = 16  # of one min or max, which compares all pairs
_MAX_SHIFTED: Final = 32  # terms of a polynomial that is shifted


def bounds(size: Size) -> tuple[int | None, int | None]:
    """The smallest and the largest value that a size can take; None where it is unbounded or unknown.

    >>> from .size_expr import var
    >>> bounds(var("H", lo=4)//2 + 1), bounds(var("H") % 8)
    ((3, None), (0, 7))
    """
    lo, hi = _tight(size)
    return _finite(lo), _finite(hi)


def _finite(bound: Bound) -> int | None:
    return bound if isinstance(bound, int) else None


def decide(op: str, a: Size, b: Size) -> bool | None:
    """Whether `a op b` holds for all values of the variables within their bounds.

    Args:
        op: one of `== != < <= > >=`.

    Returns:
        True or False when it is certain, None when it depends on the variables or is not known.

    Raises:
        ArgumentError: for another op.

    >>> from .size_expr import var
    >>> B, H = var("B", lo=1), var("H")
    >>> decide("<", 0, B), decide("<=", 2*(H//2), H), decide("==", B, 1), decide("==", 2*B, 3)
    (True, True, None, False)
    """
    if op not in COMPARISONS:
        raise ArgumentError(f"no comparison {op!r}", expected="one of " + " ".join(COMPARISONS))
    difference = a - b
    if isinstance(difference, int):
        return COMPARISONS[op](difference, 0)
    verdict = _verdict(op, interval(difference))
    if verdict is None:
        verdict = _verdict(op, _tight(difference))
    if verdict is None and op in ("==", "!=") and _never_zero(difference.poly):
        return op == "!="
    return verdict


def _verdict(op: str, difference: Interval) -> bool | None:
    lo, hi = difference
    if op in ("==", "!="):
        if lo > 0 or hi < 0:
            return op == "!="
        return (op == "==") if lo == hi == 0 else None
    if op in (">", ">="):
        lo, hi = -hi, -lo
    if op in ("<", ">"):
        return True if hi < 0 else False if lo >= 0 else None
    return True if hi <= 0 else False if lo > 0 else None


def _never_zero(poly: Polynomial) -> bool:
    """Whether the common divisor of the other coefficients does not divide the constant."""
    constant = poly.get(CONSTANT, 0)
    return bool(constant % polynomial.content(c for m, c in poly.items() if m))


# -- bounds through rewritings


def _tight(size: Size) -> Interval:
    if isinstance(size, int):
        return size, size
    if size.tight is None:
        size.tight = _refined(size, _EFFORT)
    return size.tight


def _refined(size: Size, effort: int) -> Interval:
    lo, hi = interval(size)
    # A single term has nothing to move together with.
    if isinstance(size, int) or effort == 0 or len(size.poly) - (CONSTANT in size.poly) < 2:
        return lo, hi
    try:
        for low, high in _views(size, effort):
            lo, hi = max(lo, low), min(hi, high)
            if lo == hi:
                break
    except ShapeError:  # a rewriting outgrew the limits of expressions: what is known by now is true still
        pass
    return lo, hi


def _views(size: SizeExpr, effort: int) -> Iterator[Interval]:
    """Bounds of the size through each of the rewritings that applies."""
    atoms = size.atoms
    if any(len(monomial) > 1 for monomial in size.poly):
        yield from _shifted_intervals(size.poly, atoms)
    ops = {atom.op for atom in atoms}
    if "//" in ops:
        whole, divisor = _without_quotients(size)
        if divisor > 1:
            yield _divided(_refined(whole, effort - 1), divisor)
    if "%" in ops:
        yield interval(_without_remainders(size))
    if "min" in ops or "max" in ops:
        yield from _cases(size, effort)


def _divided(bound: Interval, divisor: int) -> Interval:
    lo, hi = bound
    return -(-lo // divisor) if isinstance(lo, int) else lo, hi // divisor if isinstance(hi, int) else hi


def _shifted_intervals(poly: Polynomial, atoms: frozenset[Atom]) -> Iterator[Interval]:
    """Bounds with every atom counted from its lower bound, and with one of them from its upper bound."""
    if len(poly) > _MAX_SHIFTED or max(map(len, poly)) > 4:
        return
    low = {atom: (atom.lo, 1) for atom in atoms if isinstance(atom.lo, int)}
    yield _interval_from(poly, low)
    for atom in sorted(atoms)[:8]:
        if isinstance(atom.hi, int):
            yield _interval_from(poly, low | {atom: (atom.hi, -1)})


def _interval_from(poly: Polynomial, origins: dict[Atom, tuple[int, int]]) -> Interval:
    """Bounds where `atom = origin + direction*step`; the atom's place in monomials is taken by its step."""
    shifted: Polynomial = {}
    for monomial, coefficient in poly.items():
        product: Polynomial = {CONSTANT: coefficient}
        for atom in monomial:
            origin, direction = origins.get(atom, (0, 1))
            factor = {(atom,): direction, CONSTANT: origin} if origin else {(atom,): direction}
            product = polynomial.multiply(product, factor)
        shifted = polynomial.add(shifted, product)
    low: Bound = 0
    high: Bound = 0
    for monomial, coefficient in shifted.items():
        lo, hi = _step_interval(monomial, origins)
        low = plus(low, times(coefficient, lo if coefficient > 0 else hi))
        high = plus(high, times(coefficient, hi if coefficient > 0 else lo))
    return low, high


def _step_interval(monomial: tuple[Atom, ...], origins: dict[Atom, tuple[int, int]]) -> Interval:
    low: Bound = 1
    high: Bound = 1
    for atom in monomial:
        lo, hi = (0, plus(atom.hi, -atom.lo)) if atom in origins else (atom.lo, atom.hi)
        corners = [times(x, y) for x in (low, high) for y in (lo, hi)]
        low, high = min(corners), max(corners)
    return low, high


def _without_quotients(size: SizeExpr) -> tuple[Size, int]:
    """`(w, d)` where `w == d*size` and quotients by constants have given way to remainders."""
    result: Size = size
    divisor = 1
    quotients = sorted(a for a in size.atoms if a.op == "//" and isinstance(a.args[1], int))
    for atom in quotients[:_MAX_QUOTIENTS]:
        if not isinstance(result, SizeExpr):
            break
        split = _linear_in(result, atom)
        if split is None:
            continue
        factor, rest = split
        if factor == 0:
            continue
        dividend, k = atom.args
        assert isinstance(k, int)
        result = k * rest + factor * (dividend - dividend % k)
        divisor *= k
    return result, divisor


def _without_remainders(size: SizeExpr) -> Size:
    result: Size = size
    for atom in sorted(a for a in size.atoms if a.op == "%")[:_MAX_QUOTIENTS]:
        if not isinstance(result, SizeExpr):
            break
        split = _linear_in(result, atom)
        if split is not None:
            factor, rest = split
            dividend, modulus = atom.args
            result = rest + factor * (dividend - modulus * (dividend // modulus))
    return result


def _linear_in(size: SizeExpr, atom: Atom) -> tuple[Size, Size] | None:
    """`(f, r)` with `size == f*atom + r` and no atom in f or r; None when it occurs in a higher power."""
    factor: Polynomial = {}
    rest: Polynomial = {}
    for monomial, coefficient in size.poly.items():
        cofactor = polynomial.without(monomial, (atom,))
        if cofactor is None:
            rest[monomial] = coefficient
        elif atom in cofactor:
            return None
        else:
            factor[cofactor] = coefficient
    return size_of(factor), size_of(rest)


def _cases(size: SizeExpr, effort: int) -> Iterator[Interval]:
    """Bounds with one min or max replaced by each of its arguments: the value is one of those."""
    extremes = sorted(atom for atom in size.atoms if atom.op in ("min", "max") and len(atom.args) <= 4)
    for atom in extremes[:_MAX_CASES]:
        split = _linear_in(size, atom)
        if split is None:
            continue
        factor, rest = split
        cases = [_refined(factor * arg + rest, effort - 1) for arg in atom.args]
        lows, highs = [low for low, _ in cases], [high for _, high in cases]
        lo, hi = min(lows), max(highs)
        smallest, largest = interval(factor)
        if smallest >= 0 or largest <= 0:
            # Below every case when `min` adds to it or `max` takes from it, else above every case.
            if (atom.op == "min") == (smallest >= 0):
                hi = min(highs)
            else:
                lo = max(lows)
        yield lo, hi


# -- minimum and maximum


def minimum(*sizes: Size) -> Size:
    """The smallest of the sizes, simplified where bounds tell.

    >>> from .size_expr import var
    >>> B = var("B")
    >>> minimum(B, 4), minimum(B, B + 1), minimum(B, 0), minimum(B, minimum(4, 8))
    (min(B, 4), B, 0, min(B, 4))
    """
    return _extreme("min", sizes)


def maximum(*sizes: Size) -> Size:
    """The largest of the sizes, simplified where bounds tell.

    >>> from .size_expr import var
    >>> maximum(var("B"), 0), maximum(3, 4)
    (B, 4)
    """
    return _extreme("max", sizes)


def _extreme(op: str, sizes: tuple[Size, ...]) -> Size:
    if not sizes:
        raise ArgumentError(f"{op} of no sizes")
    plain: list[Size] = [getattr(size, "__ingot_size__", size) for size in sizes]  # those of a capture are SymInts
    flat: set[Size] = {argument for size in plain for argument in _arguments(op, size)}
    if len(flat) > MAX_ARGUMENTS:
        raise ShapeError("size expression too large", expected=f"{op} of at most {MAX_ARGUMENTS} sizes")
    kept = _undominated("<=" if op == "min" else ">=", sorted(flat, key=_constants_last))
    if len(kept) == 1:
        return kept[0]
    ranges = [_tight(size) for size in kept]
    pick = min if op == "min" else max
    return make_atom(op, tuple(kept), (pick(lo for lo, _ in ranges), pick(hi for _, hi in ranges)))


def _arguments(op: str, size: Size) -> tuple[Size, ...]:
    """Those of a nested min in a min."""
    if isinstance(size, SizeExpr) and len(size.poly) == 1:
        ((monomial, coefficient),) = size.poly.items()
        if coefficient == 1 and len(monomial) == 1 and monomial[0].op == op:
            args: tuple[Size, ...] = monomial[0].args
            return args
    return (size,)


def _constants_last(size: Size) -> tuple[bool, str]:
    return isinstance(size, int), str(size)


def _undominated(op: str, sizes: list[Size]) -> list[Size]:
    """The sizes without those that another one makes superfluous."""
    kept: list[Size] = []
    for size in sizes:
        if any(decide(op, other, size) for other in kept):
            continue
        kept = [other for other in kept if not decide(op, size, other)]
        kept.append(size)
    return kept
