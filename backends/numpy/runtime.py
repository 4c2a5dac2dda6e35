"""What emitted source calls besides NumPy: buffers in one arena, `where` without branches, blocks over threads.

This file is not imported by emitted source, it is copied into it, piece by piece as needed: so it imports nothing
of Ingot, and every function says by itself what it does.
"""

from __future__ import annotations

import itertools
import os
import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

__all__ = ["Blocks", "Scratch", "arena", "even", "select", "steady", "workers"]

BLOCK = 65536  # elements of a fused group computed at once: they stay in the cache, and outlast a change of thread
WORTH_THREADS = 1 << 20  # element operations below which handing work to another thread costs more than it saves


def arena(buffers: Sequence[tuple[Any, tuple[int, ...], int, int]]) -> list[Any]:
    """Arrays for buffers given as (dtype, shape, first use, last use), sorted by first use.

    Buffers that are in use at different times share memory: each takes the smallest gap that it fits in.
    """
    offsets = []
    gaps: list[tuple[int, int]] = []  # (size, offset), sorted
    by_start: dict[int, int] = {}  # offset of a gap: its size
    by_end: dict[int, int] = {}  # end of a gap: its size
    ending: list[tuple[int, int, int]] = []  # (last use, offset, size), sorted, the latest first
    top = 0

    def release(offset: int, size: int) -> None:
        before = by_end.pop(offset, 0)
        if before:
            offset -= before
            size += before
            del by_start[offset]
            gaps.remove((before, offset)) if len(gaps) < 64 else gaps.pop(bisect_left(gaps, (before, offset)))
        after = by_start.pop(offset + size, 0)
        if after:
            del by_end[offset + size + after]
            gaps.pop(bisect_left(gaps, (after, offset + size)))
            size += after
        by_start[offset] = by_end[offset + size] = size
        insort(gaps, (size, offset))

    for dtype, shape, first, last in buffers:
        while ending and -ending[-1][0] < first:
            _, offset, size = ending.pop()
            release(offset, size)
        wanted = np.dtype(dtype).itemsize
        for n in shape:
            wanted *= n
        wanted = max(64, -(-wanted // 64) * 64)
        place = bisect_left(gaps, (wanted, 0))
        if place < len(gaps):
            size, offset = gaps.pop(place)
            del by_start[offset], by_end[offset + size]
            if size > wanted:
                release(offset + wanted, size - wanted)
        else:
            # A gap at the very end only needs to grow.
            held = by_end.pop(top, 0)
            offset = top - held
            if held:
                del by_start[offset]
                gaps.pop(bisect_left(gaps, (held, offset)))
            top = offset + wanted
        offsets.append(offset)
        insort(ending, (-last, offset, wanted))
    memory = np.empty(top + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return [
        np.ndarray(shape, dtype, memory, start + offset)
        for (dtype, shape, _, _), offset in zip(buffers, offsets, strict=True)
    ]
