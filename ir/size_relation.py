"""A relation of two sizes, such as `H % 2 == 0`: what an assumption of a graph says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .errors import ArgumentError
from .size_algebra import evaluate, free_vars
from .size_bounds import COMPARISONS
from .size_expr import Size, SizeExpr
from .size_text import parse_comparison

__all__ = ["SizeRelation", "parse_relation"]

_OPPOSITE: Final = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_FLIPPED: Final = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True, slots=True)
class SizeRelation:
    """`left op right`.

    Args:
        op: one of `== != < <= > >=`.

    Raises:
        ArgumentError: for another op.

    >>> from .size_expr import var
    >>> even = SizeRelation("==", var("H") % 2, 0)
    >>> str(even), str(even.negated()), even.holds({"H": 7})
    ('H % 2 == 0', 'H % 2 != 0', False)
    """

    op: str
    left: Size
    right: Size

    def __post_init__(self) -> None:
        if self.op not in COMPARISONS:
            raise ArgumentError(f"no comparison {self.op!r}", expected="one of " + " ".join(COMPARISONS))

    def holds(self, bindings: Mapping[str, int]) -> bool:
        """Whether it is true of the given values of the variables.

        Raises:
            ArgumentError: when a variable has no value.
            ShapeError: when a side divides by zero.
        """
        return COMPARISONS[self.op](evaluate(self.left, bindings), evaluate(self.right, bindings))

    def negated(self) -> SizeRelation:
        """The relation that holds exactly when this one does not."""
        return SizeRelation(_OPPOSITE[self.op], self.left, self.right)

    def flipped(self) -> SizeRelation:
        """The same relation with its sides exchanged: `0 < B` becomes `B > 0`."""
        return SizeRelation(_FLIPPED[self.op], self.right, self.left)

    def plainer(self) -> SizeRelation:
        """The same condition in words that a user would choose, for messages.

        >>> from .size_bounds import minimum
        >>> from .size_expr import var
        >>> str(SizeRelation("==", var("n"), minimum(var("n"), 10)).plainer())
        'n <= 10'
        """
        for one, other in ((self.left, self.right), (self.right, self.left)):
            terms = other.terms if isinstance(other, SizeExpr) and self.op == "==" else ()
            if len(terms) != 1 or terms[0][0] != 1 or len(terms[0][1]) != 1:
                continue
            atom = terms[0][1][0]
            if atom.op in ("min", "max") and len(atom.args) == 2 and one in atom.args:
                limit = atom.args[1 - atom.args.index(one)]
                return SizeRelation("<=" if atom.op == "min" else ">=", one, limit)
        return self

    @property
    def free_vars(self) -> frozenset[str]:
        """The names of the variables on both sides."""
        return free_vars(self.left) | free_vars(self.right)

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right}"


def parse_relation(text: str, variables: Mapping[str, SizeExpr]) -> SizeRelation:
    """The relation that a text stands for; `parse_relation(str(r), ...) == r`.

    Raises:
        ParseError: for anything that is not a relation of two sizes over the given variables.

    >>> from .size_expr import var
    >>> str(parse_relation("H*4 % 8 == 0", {"H": var("H")}))
    '4*(H % 2) == 0'
    """
    op, left, right = parse_comparison(text, variables)
    return SizeRelation(op, left, right)
