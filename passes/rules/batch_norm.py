"""Batch normalisation at inference, folded into the convolution or the linear map in front of it.

Normalising is an affine map of each channel, and so is what comes before: one map with other weights does both. These
rules round differently from what they replace, so that they belong to a pass of their own, `fold_batch_norm`. The new
weights are computed in the graph, from the state; `partition` takes that out of the calls.
"""

from __future__ import annotations

from typing import Any, Final

from ...ir.dtypes import float32
from ...ir.graph import Value
from ...ir.types import NONE
from ..facts import ndim_of
from ..partition import constant_or_state
from ..patterns import Match
from ..rewrite import Rule, rule

__all__ = ["RULES"]


def _folded(F: Any, w: Any, b: Any, mean: Any, var: Any, gamma: Any, beta: Any, eps: float) -> tuple[Any, Any]:
    """Weights and bias that do both; halves are computed in float32."""
    dtype = w.dtype
    w, b, mean, var, gamma, beta = (_widened(F, x) for x in (w, b, mean, var, gamma, beta))
    scale = F.rsqrt(var + eps)
    if gamma is not None:
        scale = gamma * scale
    weight = w * F.reshape(scale, shape=(scale.shape[0],) + (1,) * (w.ndim - 1))
    bias = (-mean if b is None else b - mean) * scale
    if beta is not None:
        bias = bias + beta
    return _narrowed(F, weight, dtype), _narrowed(F, bias, dtype)


def _widened(F: Any, x: Any) -> Any:
    return x if x is None or x.dtype.itemsize >= 4 else F.cast(x, dtype=float32)


def _narrowed(F: Any, x: Any, dtype: Any) -> Any:
    return x if x.dtype is dtype else F.cast(x, dtype=dtype)


def _may_fold(m: Match) -> str | None:
    inner = m.nodes[1]
    if inner.output.use_count > 1:
        return "others need what is in front of the normalisation"
    block = m.root.block
    if block is None or block.parent is not None:
        return "it stands in a branch or a loop"
    if "constant_or_state" not in m.memo:
        m.memo["constant_or_state"] = constant_or_state(block.graph)
    fixed: set[Value] = m.memo["constant_or_state"]
    operands = [m.w, m.b, m.mean, m.var, m.gamma, m.beta]
    moving = [x for x in operands if x.type is not NONE and x not in fixed]
    return f"%{moving[0].name} is neither state nor constant" if moving else None


def _may_fold_linear(m: Match) -> str | None:
    if ndim_of(m.output) != 2:
        return "the channels are not the last dimension"
    return _may_fold(m)


def _conv_after(
    F: Any, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: Any,
    mean: Any, var: Any, gamma: Any, beta: Any, eps: Any,
) -> Any:  # fmt: skip
    weight, bias = _folded(F, w, b, mean, var, gamma, beta, eps)
    return F.conv2d(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _linear_after(F: Any, x: Any, w: Any, b: Any, mean: Any, var: Any, gamma: Any, beta: Any, eps: Any) -> Any:
    weight, bias = _folded(F, w, b, mean, var, gamma, beta, eps)
    return F.linear(x, weight, bias)


RULES: Final[tuple[Rule, ...]] = (
    rule(
        "batch norm behind conv2d",
        lambda F, x, w, b, stride, padding, dilation, groups, mean, var, gamma, beta, eps: F.batch_norm_inference(
            F.conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups),
            mean, var, gamma, beta, eps=eps,
        ),
        _conv_after,
        when=_may_fold,
    ),
    rule(
        "batch norm behind linear",
        lambda F, x, w, b, mean, var, gamma, beta, eps: F.batch_norm_inference(
            F.linear(x, w, b), mean, var, gamma, beta, eps=eps
        ),
        _linear_after,
        when=_may_fold_linear,
    ),
)  # fmt: skip
