"""The chains of `chains.py` as plain NumPy calls, and how a process serves one of them to be timed.

This module imports NumPy alone, so that the process of the reference is what a user of NumPy has.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable

import numpy as np

__all__ = ["ELEMENTS", "arithmetic", "operands", "serve", "transcendental"]

ELEMENTS = 4_000_000
Array = np.ndarray


def arithmetic(x: Array, y: Array) -> Array:
    """mul, add, max, mul, sub, square, add, sqrt, div, add, min, neg."""
    a = np.multiply(x, 1.5)
    a = np.add(a, y)
    a = np.maximum(a, 0.0)
    a = np.multiply(a, y)
    a = np.subtract(a, 0.5)
    a = np.square(a)
    a = np.add(a, 1.0)
    a = np.sqrt(a)
    a = np.divide(a, y)
    a = np.add(a, x)
    a = np.minimum(a, 10.0)
    return np.negative(a)


def transcendental(x: Array, y: Array) -> Array:
    """tanh, exp, log."""
    return np.log(np.exp(np.tanh(x)))


def operands() -> tuple[Array, Array]:
    """What the chains are computed on: numbers from 0.5 to 1.5."""
    rng = np.random.default_rng(0)
    x, y = (rng.random(ELEMENTS, dtype=np.float32) + np.float32(0.5) for _ in range(2))
    return x, y


def serve(run: Callable[[Array, Array], Array]) -> None:
    """Run once for each line of input, and print how long it took; first a checksum of the result."""
    x, y = operands()
    print(zlib.crc32(run(x, y)), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run(x, y)
        print(time.perf_counter() - start, flush=True)
