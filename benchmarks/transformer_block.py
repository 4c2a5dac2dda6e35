"""A layer of a transformer, written once for Ingot and for PyTorch, whose modules are handed in.

What lives here must not import either: PyTorch runs in a process of its own, in an environment without Ingot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["block_class"]


def block_class(torch: Any, width: int, heads: int, attend: Callable[[Any, Any, Any], Any]) -> Any:
    """The class of a layer: attention and a feed-forward net, each behind a layer norm; [batch, time, width] to the
    same.

    Args:
        torch: what has `nn`.
        attend: attention of queries to keys and values, each [batch, heads, time, width // heads].
    """
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            b, t, d = x.shape
            parts = self.qkv(self.norm1(x)).split(d, dim=2)
            q, k, v = (z.reshape(b, t, heads, d // heads).transpose(1, 2) for z in parts)
            x = x + self.out(attend(q, k, v).transpose(1, 2).reshape(b, t, d))
            return x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))

    return Block
