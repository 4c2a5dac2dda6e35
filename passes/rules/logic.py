"""Identities of choice and of truth values."""

from __future__ import annotations

from typing import Final

from ...ir.dtypes import bool_
from ...ir.graph import Value
from ...ir.types import TensorType
from ..patterns import Match
from ..rewrite import Rule, rule

__all__ = ["RULES"]


def _holds_bools(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype is bool_


def _condition_is_bool(m: Match) -> str | None:
    return None if _holds_bools(m.c) else f"the condition is {m.c.type}"


def _inner_dtype_is_the_result(m: Match) -> str | None:
    inner, outer = m.nodes[1].output.type, m.output.type
    same = isinstance(inner, TensorType) and isinstance(outer, TensorType) and inner.dtype is outer.dtype
    return None if same else f"{inner} becomes {outer}"


RULES: Final[tuple[Rule, ...]] = (
    rule("where true", lambda F, x, y: F.where(True, x, y), lambda F, x: x),
    rule("where false", lambda F, x, y: F.where(False, x, y), lambda F, y: y),
    rule("where with equal branches", lambda F, c, x: F.where(c, x, x), lambda F, x: x),
    rule(
        "where not",
        lambda F, c, x, y: F.where(F.logical_not(c), x, y),
        lambda F, c, x, y: F.where(c, y, x),
        when=_condition_is_bool,
    ),
    rule("where complement", lambda F, c, x, y: F.where(~c, x, y), lambda F, c, x, y: F.where(c, y, x)),
    rule(
        "where the same condition inside",
        lambda F, c, x, y, z: F.where(c, F.where(c, x, y), z),
        lambda F, c, x, z: F.where(c, x, z),
        when=_inner_dtype_is_the_result,
    ),
    rule("not twice", lambda F, x: F.logical_not(F.logical_not(x)), lambda F, x: x),
    rule("complement twice", lambda F, x: ~~x, lambda F, x: x),
    rule("not equal", lambda F, x, y: F.logical_not(F.eq(x, y)), lambda F, x, y: F.ne(x, y)),
    rule("not unequal", lambda F, x, y: F.logical_not(F.ne(x, y)), lambda F, x, y: F.eq(x, y)),
    rule("complement of equal", lambda F, x, y: ~F.eq(x, y), lambda F, x, y: F.ne(x, y)),
    rule("complement of unequal", lambda F, x, y: ~F.ne(x, y), lambda F, x, y: F.eq(x, y)),
)
