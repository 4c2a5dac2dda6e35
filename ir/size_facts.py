"""What follows from facts about sizes: rewriting by equalities, and inequalities implied by inequalities.

`Facts` takes relations that hold and answers which others follow. It is sound and deliberately incomplete:

- an equality becomes a substitution of a variable (`T == 2*B`; `H % 2 == 0` makes `H` into `2*(H//2)`), or
  else of its leading monomial (`B*T == 64`);
- an inequality of one variable sharpens that variable's bounds;
- other inequalities prove those that differ from a positive multiple of one or two of them by something
  that bounds show to be positive.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from . import polynomial
from .errors import ShapeError
from .polynomial import CONSTANT, Monomial
from .size_algebra import OPERATIONS, free_vars
from .size_bounds import bounds, decide
from .size_expr import Atom, Size, SizeExpr, size_of, var
from .size_relation import SizeRelation

__all__ = ["Facts"]

_PASSES: Final = 8  # of rewriting, until nothing changes
_ATTEMPTS: Final = 64  # differences that are looked at in one proof
_MAX_KEPT: Final = 1000  # inequalities; those beyond are not made use of, which is sound


class Facts:
    """Relations known to hold. A variable's name means one variable throughout.

    >>> from .size_expr import var
    >>> H, facts = var("H"), Facts()
    >>> facts.add(SizeRelation("==", H % 2, 0))
    >>> facts.follows("==", H//2*2, H), facts.follows("==", (H + 1) % 2, 1), facts.follows("==", H, 4)
    (True, True, None)
    """

    def __init__(self) -> None:
        self._variables: dict[str, Size] = {}  # what stands for a variable, or itself with sharper bounds
        self._leading: dict[Monomial, Size] = {}  # what stands for a monomial
        self._not_negative: list[SizeExpr] = []
        self._not_zero: set[SizeExpr] = set()

    def add(self, relation: SizeRelation) -> None:
        """Take one more relation to hold.

        Raises:
            ShapeError: when the facts so far rule it out.
        """
        try:
            self._add(relation)
        except ZeroDivisionError:
            raise ShapeError(f"assumption {relation} makes a divisor zero") from None

    def _add(self, relation: SizeRelation) -> None:
        op, left, right = relation.op, self._normal(relation.left), self._normal(relation.right)
        known = self._follows(op, left - right)
        if known is False:
            raise ShapeError(f"assumption {relation} contradicts what is known already")
        difference = left - right
        if known or isinstance(difference, int):
            return
        if op in (">", ">="):
            op, difference = {">": "<", ">=": "<="}[op], -difference
        if op == "==":
            self._add_equality(difference)
        elif op == "!=":
            if len(self._not_zero) < _MAX_KEPT:
                self._not_zero.add(_primitive(difference))
        else:
            self._add_not_negative(-difference - 1 if op == "<" else -difference)

    def follows(self, op: str, a: Size, b: Size) -> bool | None:
        """Whether `a op b` is certain to hold (True), certain not to (False), or neither (None)."""
        try:
            return self._follows(op, self._normal(a) - self._normal(b))
        except ZeroDivisionError:  # by something that is known to be zero
            return None

    # -- proofs

    def _follows(self, op: str, difference: Size) -> bool | None:
        settled = decide(op, difference, 0)
        if settled is not None or isinstance(difference, int):
            return settled
        if op in ("==", "!="):
            equal = self._is_zero(difference)
            return equal if equal is None or op == "==" else not equal
        if op in (">", ">="):
            op, difference = {">": "<", ">=": "<="}[op], -difference
        if op == "<":
            return True if self._positive(-difference) else False if self._proven(difference) else None
        return True if self._proven(-difference) else False if self._positive(difference) else None

    def _is_zero(self, size: SizeExpr) -> bool | None:
        if _primitive(size) in self._not_zero:
            return False
        at_least, at_most = self._proven(size), self._proven(-size)
        if at_least and at_most:
            return True
        return False if self._proven(size - 1) or self._proven(-size - 1) else None

    def _positive(self, size: SizeExpr) -> bool:
        if self._proven(size - 1):
            return True
        return _primitive(size) in self._not_zero and self._proven(size)

    def _proven(self, size: Size) -> bool:
        """Whether `size >= 0` follows, at most two inequalities taken together."""
        if decide(">=", size, 0):
            return True
        if isinstance(size, int):
            return False
        once = list(islice(self._without_facts(size), _ATTEMPTS))
        if any(decide(">=", rest, 0) for rest in once):
            return True
        twice = (rest for first in once if isinstance(first, SizeExpr) for rest in self._without_facts(first))
        return any(decide(">=", rest, 0) for rest in islice(twice, _ATTEMPTS))

    def _without_facts(self, size: SizeExpr) -> Iterator[Size]:
        """What remains of a positive multiple of the size when a fact is taken off: if this is not negative,
        neither is the size."""
        for fact in self._not_negative:
            for monomial, coefficient in fact.poly.items():
                other = size.poly.get(monomial, 0)
                if monomial and other * coefficient > 0:
                    common = polynomial.content((other, coefficient))
                    yield size * abs(coefficient // common) - fact * abs(other // common)

    # -- taking facts in

    def _add_equality(self, difference: SizeExpr) -> None:
        """Use `difference == 0`."""
        found = _residue_rule(difference) or _variable_rule(difference) or _leading_rule(difference)
        if found is None:
            self._not_negative += [difference, -difference]
            return
        monomial, meaning = found
        if len(monomial) == 1 and monomial[0].op == "var":
            self._variables[str(monomial[0])] = meaning
        else:
            self._leading[monomial] = meaning
        self._refresh(free_vars(SizeExpr({monomial: 1})))
        self._keep_bounds(monomial, meaning)

    def _keep_bounds(self, monomial: Monomial, meaning: Size) -> None:
        """What the bounds of a substituted monomial said, said of its substitute."""
        lo, hi = bounds(SizeExpr({monomial: 1}))
        for size in (() if lo is None else (meaning - lo,)) + (() if hi is None else (hi - meaning,)):
            remaining = self._normal(size)
            if isinstance(remaining, SizeExpr) and not self._proven(remaining):
                self._add_not_negative(remaining)

    def _add_not_negative(self, size: Size) -> None:
        """Use `size >= 0`."""
        if isinstance(size, int):
            return
        unknowns = [monomial for monomial in size.poly if monomial]
        if len(unknowns) == 1 and len(unknowns[0]) == 1 and unknowns[0][0].op == "var":
            self._sharpen(unknowns[0][0], size.poly[unknowns[0]], size.poly.get(CONSTANT, 0))
        elif len(self._not_negative) < _MAX_KEPT:
            self._not_negative.append(size)

    def _sharpen(self, atom: Atom, coefficient: int, constant: int) -> None:
        """Use `coefficient*atom + constant >= 0` as a bound."""
        variable = SizeExpr({(atom,): 1})
        lo, hi = bounds(variable)
        if coefficient > 0:
            lo = -(constant // coefficient)
            while _primitive(variable - lo) in self._not_zero:
                lo += 1
        else:
            hi = constant // -coefficient
            while _primitive(variable - hi) in self._not_zero:
                hi -= 1
        if lo is not None and hi is not None and lo > hi:
            raise ShapeError(f"assumptions leave no value for size {atom}")
        self._variables[str(atom)] = var(str(atom), lo, hi)
        self._refresh(atom.names)

    def _refresh(self, changed: frozenset[str]) -> None:
        """Say the collected facts about the given variables in terms of the newest substitution."""
        stale = [fact for fact in self._not_negative if changed & free_vars(fact)]
        if stale:
            self._not_negative = [fact for fact in self._not_negative if not changed & free_vars(fact)]
            normal = [self._normal(fact) for fact in stale]
            self._not_negative += [g for g in normal if isinstance(g, SizeExpr) and not decide(">=", g, 0)]
        for size in [size for size in self._not_zero if changed & free_vars(size)]:
            self._not_zero.remove(size)
            renewed = self._normal(size)
            if isinstance(renewed, SizeExpr):
                self._not_zero.add(_primitive(renewed))

    # -- rewriting

    def _normal(self, size: Size) -> Size:
        """The size with everything substituted that equalities allow."""
        for _ in range(_PASSES):
            if isinstance(size, int) or not (self._variables or self._leading):
                return size
            try:
                before, size = size, self._rewritten(size)
            except ShapeError:  # it outgrew the limits of expressions; what it was before is as true
                return size
            if size == before:
                return size
        return size

    def _rewritten(self, size: Size) -> Size:
        if isinstance(size, int):
            return size
        total: Size = 0
        for monomial, coefficient in size.poly.items():
            term: Size = coefficient
            lead, cofactor = self._leading_part(monomial)
            if lead is not None:
                term = term * self._leading[lead]
            for atom in cofactor:
                term = term * self._rewritten_atom(atom)
            total = total + term
        return total

    def _leading_part(self, monomial: Monomial) -> tuple[Monomial | None, Monomial]:
        for lead in self._leading:
            cofactor = polynomial.without(monomial, lead)
            if cofactor is not None:
                return lead, cofactor
        return None, monomial

    def _rewritten_atom(self, atom: Atom) -> Size:
        if atom.op == "var":
            return self._variables.get(str(atom), SizeExpr({(atom,): 1}))
        args = [self._rewritten(arg) for arg in atom.args]
        result: Size = OPERATIONS[atom.op](*args)
        return result


# A rule is a monomial and what it is equal to.
_Rule = tuple[Monomial, Size]


def _residue_rule(difference: SizeExpr) -> _Rule | None:
    """From `x % k == r`, where x is `m + rest`: m is `k*(x//k) + r - rest`. A variable is preferred as m."""
    for monomial, coefficient in difference.poly.items():
        if len(monomial) != 1 or monomial[0].op != "%" or abs(coefficient) != 1:
            continue
        x, k = monomial[0].args
        residue = -coefficient * _rest(difference, monomial)
        if not (isinstance(k, int) and isinstance(residue, int) and 0 <= residue < k):
            continue
        products = (m for m in x.poly if len(m) > 1 and abs(x.poly[m]) == 1)
        found = next(_lone_variables(x), None) or next(products, None)
        if found is not None:
            return found, x.poly[found] * (k * (x // k) + residue - _rest(x, found))
    return None


def _variable_rule(difference: SizeExpr) -> _Rule | None:
    """From `±V + rest == 0`: V is `∓rest`."""
    found = next(_lone_variables(difference), None)
    return None if found is None else (found, -difference.poly[found] * _rest(difference, found))


def _leading_rule(difference: SizeExpr) -> _Rule | None:
    """From `±m + rest == 0`, where m is the deepest and then the leading monomial.

    Rest has no atom that is deeper, so m is not inside of one, and rewriting does not feed itself.
    """
    lead = min(difference.poly, key=lambda m: (-max((a.depth for a in m), default=-1), polynomial.order(m)))
    coefficient = difference.poly[lead]
    return (lead, -coefficient * _rest(difference, lead)) if abs(coefficient) == 1 else None


def _rest(size: SizeExpr, monomial: Monomial) -> Size:
    return size_of({m: c for m, c in size.poly.items() if m != monomial})


def _lone_variables(size: SizeExpr) -> Iterator[Monomial]:
    """The variables that occur once, as a term of their own with coefficient 1 or -1; last names first."""
    for monomial in sorted(size.poly, reverse=True):
        if len(monomial) != 1 or monomial[0].op != "var" or abs(size.poly[monomial]) != 1:
            continue
        if monomial[0] not in free_vars(_rest(size, monomial)):
            yield monomial


def _primitive(size: Size) -> SizeExpr:
    """The size divided by its coefficients' common divisor, its leading coefficient positive."""
    assert isinstance(size, SizeExpr)
    divisor = polynomial.content(size.poly.values())
    if size.poly[min(size.poly, key=polynomial.order)] < 0:
        divisor = -divisor
    return SizeExpr({m: c // divisor for m, c in size.poly.items()})
