"""The nets that `train_step` trains, written once for Ingot and for PyTorch, whose modules are handed in.

What lives here must not import either: PyTorch runs in a process of its own, in an environment without Ingot.
"""

from __future__ import annotations

from typing import Any

from transformer_block import block_class

VOCABULARY, WIDTH, LAYERS, HEADS, LENGTH, BATCH, IMAGES = 256, 128, 4, 4, 64, 8, 64


def transformer(torch: Any) -> Any:
    """A causal transformer: tokens [batch, length] to logits of the next, [batch * length, vocabulary]."""
    nn = torch.nn

    def attend(q: Any, k: Any, v: Any) -> Any:
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    Block = block_class(torch, WIDTH, HEADS, attend)

    class Transformer(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)

        def forward(self, ids: Any) -> Any:
            x = self.tokens(ids) + self.places(torch.arange(LENGTH))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)).reshape(-1, VOCABULARY)

    return Transformer()


def digits_net(torch: Any) -> Any:
    """The net of `examples/digits.py`: images [batch, 1, 8, 8] to logits [batch, 10]."""
    nn = torch.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 2 * 2, 64), nn.ReLU(), nn.Dropout(0.25), nn.Linear(64, 10)),
    )


def batch_for(net: str, rng: Any) -> tuple[Any, Any]:
    """Random inputs and targets as arrays."""
    if net == "digits net":
        return rng.random((IMAGES, 1, 8, 8)), rng.integers(0, 10, IMAGES)
    return rng.integers(0, VOCABULARY, (BATCH, LENGTH)), rng.integers(0, VOCABULARY, BATCH * LENGTH)


NETS = {"digits net": digits_net, "transformer": transformer}


def training_step(torch: Any, model: Any, optimizer: Any) -> Any:
    """The step that is measured."""

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step
