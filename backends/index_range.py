"""What is certain about index expressions: bounds from their letters, and from conditions in force around them.

A printer asks here which reads need a check at run time, and where plain `/` and `%` do for Python's. Every
answer is sound: "not certain" only costs a check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ..ir.dtypes import bool_, int64
from ..ir.errors import ShapeError
from ..ir.nest import Letter
from ..ir.scalar import Const, Expr, SizeLeaf, walk
from ..ir.sizes import Size, current_context, decide, maximum, minimum

__all__ = ["Fact", "certain", "index_range", "is_plain_index", "surely_inside", "surely_natural"]

Range = tuple[Size, Size]
# A condition, and whether it holds.
Fact = tuple[Expr, bool]

_PLAIN: Final = frozenset({"add", "sub", "mul", "neg", "floordiv", "mod", "maximum", "minimum"})
_NEGATED: Final = {"lt": "ge", "ge": "lt", "gt": "le", "le": "gt", "eq": "ne", "ne": "eq"}
_MIRRORED: Final = {"lt": "gt", "gt": "lt", "ge": "le", "le": "ge", "eq": "eq", "ne": "ne"}


def certain(op: str, a: Size, b: Size) -> bool:
    """Whether `a op b` holds by the variables' bounds and the facts of the current size context."""
    context = current_context()
    return (context.known(op, a, b) if context is not None else decide(op, a, b)) is True


def is_plain_index(expr: Expr) -> bool:
    """Whether an expression is computed from letters, sizes and literals alone.

    Such a value is an offset within real tensors, so it cannot overflow and needs no wrap-around arithmetic.
    """
    return all(
        isinstance(node, (Letter, SizeLeaf, Const)) or (node.dtype is int64 and node.op in _PLAIN)
        for node in walk(expr)
    )


def index_range(expr: Expr, facts: Iterable[Fact] = ()) -> Range | None:
    """The least and the greatest value of an integer expression while its letters run; None when unknown.

    Args:
        facts: conditions that hold or do not hold where the expression is computed.

    >>> from ingot.ir.sizes import var
    >>> i = Letter(0, var("B"))
    >>> index_range(i * 2 + 1), index_range(i - 1, [(i >= 1, True)])
    ((1, 2*B - 1), (0, B - 2))
    """
    known = [comparison for condition, holds in facts for comparison in _comparisons(condition, holds)]
    ranges: dict[Expr, Range | None] = {}
    for node in walk(expr):
        try:
            ranges[node] = _range_of(node, [ranges[arg] for arg in node.args])
        except ShapeError:  # the bound outgrew the limits of size expressions
            ranges[node] = None
        if (found := ranges[node]) is not None and known:
            ranges[node] = _tightened(node, found, known)
    return ranges[expr]


def _tightened(node: Expr, range_: Range, known: Iterable[tuple[str, Expr, Expr]]) -> Range:
    low, high = range_
    for least, greatest in _said_about(node, known):
        if least is not None and certain(">", least, low):
            low = least
        if greatest is not None and certain("<", greatest, high):
            high = greatest
    return low, high


def _range_of(node: Expr, args: list[Range | None]) -> Range | None:
    if isinstance(node, Letter):
        return 0, node.extent - 1
    if isinstance(node, SizeLeaf):
        return node.size, node.size
    if isinstance(node, Const) and node.dtype is int64:
        return int(node.value), int(node.value)
    if node.op == "cast" and node.args[0].dtype is bool_ and node.dtype is int64:
        return 0, 1
    if node.op == "where":
        args = args[1:]
    known = [arg for arg in args if arg is not None]
    if node.dtype is not int64 or not args or len(known) < len(args):
        return None
    return _combined(node.op, known)


def _combined(op: str, args: list[Range]) -> Range | None:
    low, high = args[0]
    if op == "neg":
        return -high, -low
    if len(args) < 2:
        return None
    other_low, other_high = args[1]
    if op == "add":
        return low + other_low, high + other_high
    if op == "sub":
        return low - other_high, high - other_low
    if op == "mul":
        return _scaled(args[0], args[1]) or _scaled(args[1], args[0])
    if op in ("floordiv", "mod"):
        return _divided(op, args[0], args[1])
    if op == "maximum":
        return maximum(low, other_low), maximum(high, other_high)
    if op == "minimum":
        return minimum(low, other_low), minimum(high, other_high)
    return (minimum(low, other_low), maximum(high, other_high)) if op == "where" else None


def _scaled(range_: Range, factor: Range) -> Range | None:
    low, high = range_
    size, same = factor
    if size != same:
        return None
    if certain(">=", size, 0):
        return low * size, high * size
    return (high * size, low * size) if certain("<=", size, 0) else None


def _divided(op: str, range_: Range, divisor: Range) -> Range | None:
    low, high = range_
    size, same = divisor
    if size != same or not certain(">", size, 0):
        return None
    if op == "floordiv":
        return low // size, high // size
    inside = certain(">=", low, 0) and certain("<", high, size)
    return (low, high) if inside else (0, size - 1)


def surely_natural(expr: Expr, facts: Iterable[Fact] = ()) -> bool:
    """Whether an index is certainly not negative."""
    found = index_range(expr, facts)
    return found is not None and certain(">=", found[0], 0)


def surely_inside(index: Expr, size: Size, facts: Sequence[Fact] = ()) -> bool:
    """Whether `0 <= index < size` is certain, given the facts in force.

    >>> surely_inside(Letter(0, 4), 4), surely_inside(Letter(0, 4) + 1, 4)
    (True, False)
    """
    known = [comparison for condition, holds in facts for comparison in _comparisons(condition, holds)]
    ranges: list[tuple[Size | None, Size | None]] = list(_said_about(index, known))
    if (own := index_range(index, facts)) is not None:
        ranges.append(own)
    above = any(low is not None and certain(">=", low, 0) for low, _ in ranges)
    return above and any(high is not None and certain("<", high, size) for _, high in ranges)


def _said_about(node: Expr, known: Iterable[tuple[str, Expr, Expr]]) -> Iterator[tuple[Size | None, Size | None]]:
    """The bounds that comparisons give to a value; None where they give none."""
    for op, left, right in known:
        if left == node:
            yield _bound(op, right)
        if right == node:
            yield _bound(_MIRRORED[op], left)


def _bound(op: str, other: Expr) -> tuple[Size | None, Size | None]:
    """What `x op other` says about the bounds of x."""
    found = index_range(other)
    if found is None or op == "ne":
        return None, None
    low, high = found
    if op == "lt":
        return None, high - 1
    if op == "gt":
        return low + 1, None
    return low if op in ("ge", "eq") else None, high if op in ("le", "eq") else None


def _comparisons(condition: Expr, holds: bool) -> Iterator[tuple[str, Expr, Expr]]:
    """The comparisons of integers that certainly hold when the condition does, or does not."""
    pending = [(condition, holds)]
    while pending:
        node, truth = pending.pop()
        if node.op == "not_":
            pending.append((node.args[0], not truth))
        elif node.op == ("and_" if truth else "or_"):
            pending += [(arg, truth) for arg in node.args]
        elif node.op in _NEGATED and node.args[0].dtype is int64:
            yield (node.op if truth else _NEGATED[node.op]), node.args[0], node.args[1]
