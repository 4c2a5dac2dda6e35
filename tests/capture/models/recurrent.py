"""Recurrent networks: an LSTM cell in a loop, and a network over sequences of different lengths."""

from __future__ import annotations

import ingot as torch
from ingot import nn


class LSTM(nn.Module):
    """Two layers of LSTM cells, stepped by a Python loop."""

    def __init__(self, inputs: int = 6, hidden: int = 8, layers: int = 2) -> None:
        super().__init__()
        self.hidden = hidden
        sizes = [inputs, *[hidden] * (layers - 1)]
        self.gates = nn.ModuleList([nn.Linear(size + hidden, 4 * hidden) for size in sizes])

    def cell(self, layer, x, h, c):
        i, f, g, o = layer(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def forward(self, x):
        outputs = [x[t] for t in range(x.shape[0])]
        states = []
        for layer in self.gates:
            h = torch.zeros(x.shape[1], self.hidden)
            c = torch.zeros(x.shape[1], self.hidden)
            found = []
            for step in outputs:
                h, c = self.cell(layer, step, h, c)
                found.append(h)
            outputs = found
            states.append((h, c))
        return torch.stack(outputs), states


class PackedRNN(nn.Module):
    """Goes over each sequence of a batch for as long as it is."""

    def __init__(self, inputs: int = 5, hidden: int = 7) -> None:
        super().__init__()
        self.hidden = hidden
        self.cell = nn.Linear(inputs + hidden, hidden)

    def forward(self, x, lengths):
        results = []
        for b in range(x.shape[0]):
            h = torch.zeros(self.hidden)
            for t in range(int(lengths[b])):
                h = torch.tanh(self.cell(torch.cat([x[b, t], h])))
            results.append(h)
        return torch.stack(results)
