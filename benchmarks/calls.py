"""What a call costs where there is next to nothing to compute: tiny programs, and loops over single numbers.

Captured and compiled functions of four elements against the same NumPy by hand: the difference is what Ingot does
around it. A loop that a tensor counts against the same loop over Python's integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ingot
import numpy as np
from measure import Row, interleaved, overhead_row, ratio_row

ITERATIONS = 1000


class Scale(ingot.nn.Module):
    """A module with one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = ingot.nn.Parameter(ingot.ones(4))

    def forward(self, x: Any) -> Any:
        return x * self.weight + 1


def _double(x: Any) -> Any:
    return x * 2 + 1


def _count(x: Any, n: Any) -> Any:
    i = ingot.tensor(0)
    while i < n:
        assert i.item() >= 0, "counts upwards"
        x = x + 1.0
        i = i + 1
    return x


def _count_by_hand(x: np.ndarray, n: int) -> np.ndarray:
    i = 0
    x = x.copy()
    while i < n:
        assert i >= 0, "counts upwards"
        np.add(x, 1.0, out=x)
        i = i + 1
    return x


def rows() -> list[Row]:
    """Microseconds over NumPy by hand, and the ratio of the loops."""
    x, array = ingot.ones(4), np.ones(4, np.float32)
    n = ingot.tensor(ITERATIONS)
    program = ingot.jit.trace(_double, x)
    with_state = ingot.jit.trace(Scale(), x)
    compiled = ingot.compile(_double)
    counting = ingot.jit.trace(ingot.jit.script(_count), (x, n))
    with ingot.no_grad():
        compiled(x)
        calls: dict[str, Callable[[], object]] = {
            "hand": lambda: array * 2 + 1,
            "program": lambda: program(x),
            "with state": lambda: with_state(x),
            "compiled": lambda: compiled(x),
        }
        found = interleaved(calls)
        loops: dict[str, Callable[[], object]] = {
            "hand": lambda: _count_by_hand(array, ITERATIONS),
            "captured": lambda: counting(x, n),
        }
        looped = interleaved(loops)
    return [
        overhead_row("tiny program, over NumPy by hand", found, "program", "hand", 4.0),
        overhead_row("tiny program with a parameter", found, "with state", "hand", 5.0),
        overhead_row("tiny compiled function", found, "compiled", "hand", 5.0),
        ratio_row(f"loop of {ITERATIONS} counted by a tensor / by hand", looped, "captured", "hand", 2.0),
    ]
