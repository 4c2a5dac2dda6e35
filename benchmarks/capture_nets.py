"""The models that `capture` traces: ResNet-18's layout, and a transformer encoder of 12 layers."""

from __future__ import annotations

from typing import Any

import ingot
from ingot import nn
from ingot.nn import functional as F
from transformer_block import block_class

WIDTH, HEADS, LAYERS, LENGTH = 256, 4, 12, 64

__all__ = ["HEADS", "LAYERS", "LENGTH", "WIDTH", "Encoder", "ResNet18"]


class _Residual(nn.Module):
    """Two convolutions with batch normalisation, and the way around them."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.around = None
        if stride != 1 or inner != outer:
            self.around = nn.Sequential(nn.Conv2d(inner, outer, 1, stride=stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.around is None else self.around(x)))


class ResNet18(nn.Module):
    """Images [batch, 3, height, width] to logits [batch, 1000]. He et al., "Deep Residual Learning for Image
    Recognition" (2016), table 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        blocks: list[nn.Module] = []
        inner = 64
        for outer, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [_Residual(inner, outer, stride), _Residual(outer, outer, 1)]
            inner = outer
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Any) -> Any:
        x = self.blocks(self.pool(F.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


def _attend(q: Any, k: Any, v: Any) -> Any:
    """Attention written out, so that there is more to capture."""
    scores = (q @ k.transpose(-2, -1)) / (WIDTH // HEADS) ** 0.5
    return scores.softmax(-1) @ v


_Layer = block_class(ingot, WIDTH, HEADS, _attend)


class Encoder(nn.Module):
    """[batch, time, 256] to the same, through 12 layers with 4 heads."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_Layer() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)
