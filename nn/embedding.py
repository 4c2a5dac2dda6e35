"""`Embedding`: a table of vectors."""

from __future__ import annotations

from typing import Any

from ..frontend.autograd import no_grad
from ..frontend.creation import empty
from ..frontend.module import Module
from ..frontend.parameter import Parameter
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError, ShapeError
from . import functional as F
from . import init
from .linear import check_positive

__all__ = ["Embedding"]


class Embedding(Module):
    """Rows of a learnt table, by their numbers.

    Input: integers of any sizes (...), each in [0, num_embeddings); output (..., embedding_dim). The weight
    (num_embeddings, embedding_dim) begins as standard normal numbers.

    Args:
        padding_idx: a row that begins as zeros and gets no gradient.
        dtype: of the weight; the default dtype unless given.

    Raises:
        ArgumentError: when `padding_idx` is not the number of a row.

    >>> import ingot
    >>> Embedding(10, 4)(ingot.tensor([[1, 2, 3]])).shape
    ingot.Size([1, 3, 4])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ArgumentError(
                f"Embedding: padding_idx is {padding_idx}",
                expected=f"-{num_embeddings} <= padding_idx < {num_embeddings}",
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw a new table."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A layer over a given table (num_embeddings, embedding_dim).

        Args:
            freeze: do not train it.
        """
        if embeddings.ndim != 2:
            raise ShapeError("from_pretrained: not a table", expected="2 dimensions", found=f"{list(embeddings.shape)}")
        layer = cls.__new__(cls)
        Module.__init__(layer)
        layer.num_embeddings, layer.embedding_dim = embeddings.shape
        layer.padding_idx = None if padding_idx is None else padding_idx % layer.num_embeddings
        layer.weight = Parameter(embeddings.detach(), requires_grad=not freeze)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
