"""Symbolic sizes: everything about them that the rest of Ingot uses.

A tensor's size is an `int` or a `SizeExpr`: an expression such as `B*T` or `(H - 3)//2 + 1` over variables
that a graph's inputs bind. The modules behind this one: `polynomial` (integer polynomials), `size_expr`
(expressions, operators, printing), `size_interval` and `size_bounds` (bounds, comparison, minimum, maximum),
`size_algebra` (evaluation, substitution), `size_text` (the parser), `size_relation`, `size_facts` (what
follows from assumptions) and `size_context` (who answers a type rule's questions).

>>> B, H = var("B", lo=1), var("H", lo=3)
>>> (H - 3)//2 + 1, minimum(B, 4), decide("<=", 1, B)
((H - 3)//2 + 1, min(B, 4), True)
>>> evaluate(B*H, {"B": 2, "H": 28}), solve(2*B, 64)
(56, ('B', 32))
"""

from .size_algebra import evaluate, free_vars, product, solve, substitute, variables
from .size_bounds import COMPARISONS, bounds, decide, maximum, minimum
from .size_context import AssumingContext, SizeContext, ask, certain, current_context, equal, exact_div, use_context
from .size_expr import Atom, Size, SizeExpr, var
from .size_relation import SizeRelation, parse_relation
from .size_text import parse_size

__all__ = [
    "COMPARISONS",
    "AssumingContext",
    "Atom",
    "Size",
    "SizeContext",
    "SizeExpr",
    "SizeRelation",
    "ask",
    "bounds",
    "certain",
    "current_context",
    "decide",
    "equal",
    "evaluate",
    "exact_div",
    "free_vars",
    "maximum",
    "minimum",
    "parse_relation",
    "parse_size",
    "product",
    "solve",
    "substitute",
    "use_context",
    "var",
    "variables",
]
