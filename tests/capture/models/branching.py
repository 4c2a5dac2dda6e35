"""Decisions by data: a tree of ifs, Newton's method, experts that tokens are routed to, a U-Net for odd sizes."""

from __future__ import annotations

import ingot as torch
from ingot import nn
from ingot.nn import functional as F


class TreeOfIfs(nn.Module):
    """A decision tree over statistics of the input, with early returns."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, 4)
        self.right = nn.Linear(4, 4)

    def forward(self, x):
        mean = x.mean()
        if mean > 0.5:
            return self.left(x)
        if mean < -0.5:
            y = self.right(x)
            if y.abs().max() > 1 and not y.min() > 0:
                y = y / y.abs().max()
            elif y.sum() > 0:
                y = y * 2
            return y
        if -0.1 < mean < 0.1:
            return x if x.std() > 1 else x * x
        scale = 1.0
        for row in x:
            if row.sum() > 2:
                scale = scale * 0.5
            else:
                continue
        return x * scale


def newton(a, tolerance=1e-6):
    """The square root of every element by Newton's method, until all have settled."""
    x = torch.where(a > 1, a, torch.ones_like(a))
    steps = 0
    while ((x * x - a).abs() > tolerance * a).any() and steps < 60:
        x = 0.5 * (x + a / x)
        steps += 1
    return x, steps


class MixtureOfExperts(nn.Module):
    """Sends each token to one expert: each expert works on those tokens alone that chose it, if any did."""

    def __init__(self, width: int = 6, experts: int = 3) -> None:
        super().__init__()
        self.gate = nn.Linear(width, experts)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(width, 12), nn.ReLU(), nn.Linear(12, width)) for _ in range(experts)]
        )

    def forward(self, x):
        weights = torch.softmax(self.gate(x), dim=-1)
        best, choice = weights.max(dim=-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            chosen = (choice == number).nonzero().squeeze(1)
            if chosen.shape[0] > 0:
                out = out.index_add(0, chosen, expert(x[chosen]) * best[chosen].unsqueeze(1))
        return out


class UNet(nn.Module):
    """Two levels down and up again; what comes up is padded to the size that went down."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.deep = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up = nn.Conv2d(2 * width + 2 * width, width, 3, padding=1)
        self.last = nn.Conv2d(2 * width, 1, 1)

    def grow(self, x, like):
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        rows, columns = like.shape[2] - x.shape[2], like.shape[3] - x.shape[3]
        if rows > 0 or columns > 0:
            x = F.pad(x, (0, columns, 0, rows))
        return torch.cat([like, x], dim=1)

    def forward(self, x):
        first = F.relu(self.first(x))
        down = F.relu(self.down(F.max_pool2d(first, 2)))
        deep = F.relu(self.deep(F.max_pool2d(down, 2)))
        up = F.relu(self.up(self.grow(deep, down)))
        return self.last(self.grow(up, first))
