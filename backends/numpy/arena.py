"""Buffers in one piece of memory. Copied into emitted source by the rules of `runtime`."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

__all__ = ["Gaps", "arena"]


def arena(buffers: Sequence[tuple[Any, tuple[int, ...], int, int]]) -> list[Any]:
    """Arrays for buffers given as (dtype, shape, first use, last use), sorted by first use.

    Buffers that are in use at different times share memory: each takes the smallest gap that it fits in.
    """
    gaps = Gaps()
    ending: list[tuple[int, int, int]] = []  # (-last use, offset, size), sorted
    offsets = []
    for dtype, shape, first, last in buffers:
        while ending and -ending[-1][0] < first:
            gaps.give(*ending.pop()[1:])
        size = max(64, -(-prod(shape) * np.dtype(dtype).itemsize // 64) * 64)
        offsets.append(gaps.take(size))
        insort(ending, (-last, offsets[-1], size))
    memory = np.empty(gaps.end + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return [
        np.ndarray(shape, dtype, memory, start + offset)
        for (dtype, shape, _, _), offset in zip(buffers, offsets, strict=True)
    ]


class Gaps:
    """Which parts of a stretch of memory are free; neighbouring gaps are one gap."""

    def __init__(self) -> None:
        self.end = 0
        self.sizes: list[tuple[int, int]] = []  # (size, offset), sorted
        self.starts: dict[int, int] = {}  # size by offset
        self.ends: dict[int, int] = {}  # size by end

    def take(self, size: int) -> int:
        """The offset of `size` bytes: the smallest gap that holds them, or new memory at the end."""
        place = bisect_left(self.sizes, (size, 0))
        if place < len(self.sizes):
            held, offset = self.sizes[place]
        else:
            held = self.ends.get(self.end, 0)
            offset = self.end - held
            self.end = offset + size
        if held:
            self.remove(offset, held)
        if held > size:
            self.give(offset + size, held - size)
        return offset

    def give(self, offset: int, size: int) -> None:
        """Make bytes free again."""
        before = self.ends.get(offset, 0)
        if before:
            self.remove(offset - before, before)
        after = self.starts.get(offset + size, 0)
        if after:
            self.remove(offset + size, after)
        offset, size = offset - before, before + size + after
        self.starts[offset] = self.ends[offset + size] = size
        insort(self.sizes, (size, offset))

    def remove(self, offset: int, size: int) -> None:
        """Forget a gap."""
        del self.starts[offset], self.ends[offset + size]
        self.sizes.pop(bisect_left(self.sizes, (size, offset)))
