"""`MultiheadAttention`."""

from __future__ import annotations

from typing import Any

from ..frontend.creation import empty, full
from ..frontend.dispatch import EAGER
from ..frontend.module import Module
from ..frontend.parameter import Parameter
from ..frontend.tensor import Tensor
from ..ir.dtypes import bool_
from ..ir.errors import ArgumentError, ShapeError
from . import functional as F
from . import init
from .linear import Linear, check_positive

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Several attentions side by side, each on its share of the features. Vaswani et al. 2017.

    Queries (L, N, E), keys and values (S, N, E), or with `batch_first` (N, L, E) and (N, S, E), or (L, E) and
    (S, E) without a batch. The output has the queries' sizes.

    Args:
        embed_dim: E; `num_heads` divides it.
        dropout: the share of the attention weights that is dropped in training.
        bias: whether the projections have one.
        batch_first: whether the batch is the first dimension.
        dtype: of the parameters; the default dtype unless given.

    Raises:
        ArgumentError: when `num_heads` does not divide `embed_dim`.

    >>> import ingot
    >>> attention = MultiheadAttention(8, 2, batch_first=True)
    >>> x = ingot.rand(3, 5, 8)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    (ingot.Size([3, 5, 8]), ingot.Size([3, 5, 5]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_positive("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ArgumentError(
                "MultiheadAttention: num_heads does not divide embed_dim",
                found=f"{embed_dim} % {num_heads} != 0",
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, device=device, dtype=dtype))
        new = empty(3 * embed_dim, device=device, dtype=dtype)
        self.register_parameter("in_proj_bias", Parameter(new) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new projections; their biases are 0."""
        init.xavier_uniform_(self.in_proj_weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            key_padding_mask: (N, S) or (S); bools say which keys to leave out, floats are added to their
                scores.
            need_weights: whether the weights are returned too.
            attn_mask: (L, S) or (N * heads, L, S); bools say where not to look, floats are added to the
                scores.
            average_attn_weights: the weights' mean over the heads, (N, L, S); otherwise (N, heads, L, S).
            is_causal: look at no later position than one's own.

        Returns:
            the output, and the weights or None.
        """
        if query.ndim not in (2, 3):
            raise ShapeError(
                "MultiheadAttention: query", expected="2 or 3 dimensions", found=f"sizes {list(query.shape)}"
            )
        alone = query.ndim == 2
        parts = [_batch_first(x, alone, self.batch_first) for x in (query, key, value)]
        q, k, v = self._heads(parts)
        mask = self._mask(q, k, key_padding_mask, attn_mask, is_causal)
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = F.softmax(_plus(EAGER.matmul(q * self.head_dim**-0.5, k.transpose(-2, -1)), mask), -1)
            weights = F.dropout(weights, p)
            found = EAGER.matmul(weights, v)
        else:
            found = F.scaled_dot_product_attention(q, k, v, mask, p)
        batch, length = found.shape[0], found.shape[2]
        output = self.out_proj(EAGER.permute(found, (0, 2, 1, 3)).reshape((batch, length, self.embed_dim)))
        if weights is not None and average_attn_weights:
            weights = EAGER.mean(weights, 1)
        if alone:
            return output[0], None if weights is None else weights[0]
        return (output if self.batch_first else output.transpose(0, 1)), weights

    def _heads(self, parts: list[Tensor]) -> list[Tensor]:
        """Queries, keys and values, projected: each (N, heads, length, features per head)."""
        found = []
        for i, x in enumerate(parts):
            rows = slice(i * self.embed_dim, (i + 1) * self.embed_dim)
            bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
            y = F.linear(x, self.in_proj_weight[rows], bias)
            split = y.reshape((y.shape[0], y.shape[1], self.num_heads, self.head_dim))
            found.append(EAGER.permute(split, (0, 2, 1, 3)))
        return found

    def _mask(self, q: Tensor, k: Tensor, padding: Tensor | None, mask: Tensor | None, causal: bool) -> Tensor | None:
        """What is added to the scores (N, heads, L, S)."""
        found = None
        if causal and mask is None:
            ones = full((q.shape[-2], k.shape[-2]), True, dtype=bool_)
            mask = EAGER.logical_not(EAGER.tril(ones))
        if mask is not None:
            found = _additive(mask, q)
            if found.ndim == 3:
                found = found.reshape((q.shape[0], self.num_heads, q.shape[-2], k.shape[-2]))
        if padding is not None:
            keys = _additive(padding, q).reshape((-1, 1, 1, k.shape[-2]))
            found = keys if found is None else found + keys
        return found


def _batch_first(x: Tensor, alone: bool, batch_first: bool) -> Tensor:
    if alone:
        return EAGER.unsqueeze(x, 0)
    return x if batch_first else x.transpose(0, 1)


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """Where a mask is true, minus infinity; a mask of floats as it is."""
    if mask.dtype is not bool_:
        return mask
    return EAGER.where(mask, float("-inf"), EAGER.full((), 0.0, like.dtype))


def _plus(scores: Tensor, mask: Tensor | None) -> Tensor:
    return scores if mask is None else scores + mask
