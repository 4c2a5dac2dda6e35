"""Scaled dot-product attention as a function."""

from __future__ import annotations

import math

from ..frontend.creation import full
from ..frontend.dispatch import EAGER
from ..frontend.random import next_key
from ..frontend.tensor import Tensor
from ..ir.dtypes import bool_
from ..ir.errors import ArgumentError

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value. Vaswani et al. 2017.

    Args:
        query: (..., L, E).
        key: (..., S, E).
        value: (..., S, V).
        attn_mask: broadcast to (..., L, S); bools say where to look, floats are added to the scores.
        dropout_p: the share of the weights that is dropped, from the default generator.
        is_causal: look at no later position than one's own.
        scale: 1 / sqrt(E) unless given.

    Returns:
        (..., L, V)

    Raises:
        ArgumentError: for a mask beside `is_causal`.

    >>> import ingot
    >>> x = ingot.rand(2, 5, 8)
    >>> scaled_dot_product_attention(x, x, x, is_causal=True).shape
    ingot.Size([2, 5, 8])
    """
    if is_causal and attn_mask is not None:
        raise ArgumentError("scaled_dot_product_attention: attn_mask and is_causal exclude each other")
    factor = 1.0 / math.sqrt(int(query.shape[-1])) if scale is None else scale
    scores = EAGER.matmul(query * factor, key.transpose(-2, -1))
    if is_causal:
        attn_mask = EAGER.tril(full((query.shape[-2], key.shape[-2]), True, dtype=bool_))
    if attn_mask is not None:
        scores = _masked(scores, attn_mask)
    weights = EAGER.softmax(scores, -1)
    if dropout_p:
        weights = EAGER.dropout(weights, next_key(), dropout_p)
    return EAGER.matmul(weights, value)


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype is bool_:
        return EAGER.where(mask, scores, float("-inf"))
    return scores + mask
