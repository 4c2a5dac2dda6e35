"""Generating sequences: greedy with a cache that grows, and beam search."""

from __future__ import annotations

import ingot as torch
from ingot import nn


class Attention(nn.Module):
    """Single-head attention of one new token over what the cache holds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.scale = width**-0.5

    def forward(self, x, keys, values):
        keys = torch.cat([keys, self.k(x)], dim=1)
        values = torch.cat([values, self.v(x)], dim=1)
        weights = torch.softmax(self.q(x) @ keys.transpose(1, 2) * self.scale, dim=-1)
        return weights @ values, keys, values


class Greedy(nn.Module):
    """Decodes token by token until the end token, or up to a limit, with the keys and values of all tokens so far."""

    def __init__(self, vocabulary: int = 11, width: int = 8, end: int = 0) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.attend = Attention(width)
        self.out = nn.Linear(width, vocabulary)
        self.end = end

    def forward(self, prompt, limit):
        keys = torch.zeros(1, 0, self.embed.weight.shape[1])
        values = torch.zeros(1, 0, self.embed.weight.shape[1])
        logits = torch.zeros(1, self.out.weight.shape[0])
        for t in range(prompt.shape[0]):
            x = self.embed(prompt[t].reshape(1, 1))
            x, keys, values = self.attend(x, keys, values)
            logits = self.out(x[:, -1])
        tokens = []
        count = 0
        while count < limit:
            token = logits.argmax(dim=-1)
            tokens.append(token)
            count += 1
            if token[0] == self.end:
                break
            x, keys, values = self.attend(self.embed(token.reshape(1, 1)), keys, values)
            logits = self.out(x[:, -1])
        return torch.cat(tokens), count, keys


class BeamSearch(nn.Module):
    """Keeps the best few continuations of a token, step by step, until all have ended."""

    def __init__(self, vocabulary: int = 9, width: int = 6, beams: int = 3, end: int = 0) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.cell = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, vocabulary)
        self.beams, self.end, self.vocabulary = beams, end, vocabulary

    def forward(self, start, hidden, steps):
        h = hidden.unsqueeze(0).repeat(self.beams, 1)
        tokens = start.reshape(1, 1).repeat(self.beams, 1)
        scores = torch.full((self.beams,), -1e9)
        scores[0] = 0.0
        ended = torch.zeros(self.beams, dtype=torch.bool)
        for _ in range(steps):
            if ended.all():
                break
            h = torch.tanh(self.cell(torch.cat([self.embed(tokens[:, -1]), h], dim=1)))
            chances = torch.log_softmax(self.out(h), dim=-1)
            stay = torch.full((self.beams, self.vocabulary), -1e9)
            stay[:, self.end] = 0.0
            chances = torch.where(ended.unsqueeze(1), stay, chances)
            total = (scores.unsqueeze(1) + chances).reshape(-1)
            scores, best = total.topk(self.beams)
            source, token = best // self.vocabulary, best % self.vocabulary
            tokens = torch.cat([tokens[source], token.unsqueeze(1)], dim=1)
            h = h[source]
            ended = ended[source] | (token == self.end)
        return tokens, scores
