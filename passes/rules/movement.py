"""Identities of ops that only move elements: those that move nothing, and two in a row that one can do.

Where a rule has no condition, the types decide: a reshape to the same sizes moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..facts import ndim_of
from ..patterns import Match
from ..rewrite import Rule, rule

__all__ = ["RULES"]


def _order(dims: Sequence[int]) -> list[int]:
    return [dim % len(dims) for dim in dims]


def _keeps_order(m: Match) -> str | None:
    return None if _order(m.dims) == list(range(len(m.dims))) else "dimensions change places"


def _one_dim_both_times(m: Match) -> str | None:
    ndim = ndim_of(m.root.inputs[0])
    dropped = [dim % ndim for dim in m.dims] if m.dims is not None else []
    return None if dropped == [m.dim % ndim] else "squeeze drops another dimension than unsqueeze adds"


def _pads_nothing(m: Match) -> str | None:
    return None if all(type(n) is int and n == 0 for n in m.amounts) else "something is added or cropped"


RULES: Final[tuple[Rule, ...]] = (
    rule("reshape to the same sizes", lambda F, x, a: F.reshape(x, shape=a), lambda F, x: x),
    rule(
        "reshape of a reshape",
        lambda F, x, a, b: F.reshape(F.reshape(x, shape=a), shape=b),
        lambda F, x, m: F.reshape(x, shape=m.output.type.sizes),
    ),
    rule(
        "reshape of an unsqueeze",
        lambda F, x, dim, b: F.reshape(F.unsqueeze(x, dim=dim), shape=b),
        lambda F, x, m: F.reshape(x, shape=m.output.type.sizes),
    ),
    rule(
        "reshape of a squeeze",
        lambda F, x, dims, b: F.reshape(F.squeeze(x, dim=dims), shape=b),
        lambda F, x, m: F.reshape(x, shape=m.output.type.sizes),
    ),
    rule(
        "squeeze of an unsqueeze",
        lambda F, x, dim, dims: F.squeeze(F.unsqueeze(x, dim=dim), dim=dims),
        lambda F, x: x,
        when=_one_dim_both_times,
    ),
    rule("squeeze of nothing", lambda F, x, dims: F.squeeze(x, dim=dims), lambda F, x: x),
    rule("permute to the same order", lambda F, x, dims: F.permute(x, dims=dims), lambda F, x: x, when=_keeps_order),
    rule(
        "permute of a permute",
        lambda F, x, a, b: F.permute(F.permute(x, dims=a), dims=b),
        lambda F, x, a, b: F.permute(x, dims=tuple(_order(a)[i] for i in _order(b))),
    ),
    rule("expand to the same sizes", lambda F, x, size: F.expand(x, size=size), lambda F, x: x),
    rule(
        "expand of an expand",
        lambda F, x, a, b: F.expand(F.expand(x, size=a), size=b),
        lambda F, x, m: F.expand(x, size=m.output.type.sizes),
    ),
    rule(
        "slice of the whole",
        lambda F, x, dim, start, end, step: F.slice(x, dim=dim, start=start, end=end, step=step),
        lambda F, x: x,
    ),
    rule("flip back", lambda F, x, dims: F.flip(F.flip(x, dims=dims), dims=dims), lambda F, x: x),
    rule(
        "pad by nothing",
        lambda F, x, amounts, mode, value: F.pad(x, pad=amounts, mode=mode, value=value),
        lambda F, x: x,
        when=_pads_nothing,
    ),
    rule("cat of one", lambda F, x, dim: F.cat([x], dim=dim), lambda F, x: x),
)
