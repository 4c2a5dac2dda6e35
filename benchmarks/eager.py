"""What eager operations cost over the same NumPy calls, with and without recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ingot
import numpy as np
from ingot.nn import functional as F
from measure import Row, interleaved, overhead_row


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * weight + bias


def _cross_entropy(x: np.ndarray, target: np.ndarray) -> Any:
    shifted = x - x.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return (log_sum - shifted[np.arange(len(target)), target]).mean()


def _linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return x @ weight.T + bias


def _cases() -> list[tuple[str, Callable[[], object], Callable[[], object], float]]:
    rng = np.random.default_rng(0)
    a = rng.standard_normal(16).astype(np.float32)
    x, r = ingot.tensor(a), ingot.tensor(a, requires_grad=True)
    m = rng.standard_normal((8, 16)).astype(np.float32)
    w = rng.standard_normal((4, 16)).astype(np.float32)
    one, zero, bias = np.ones(16, np.float32), np.zeros(16, np.float32), np.zeros(4, np.float32)
    labels = rng.integers(0, 16, 8)
    tm, tw, tone, tzero, tbias, tlabels = map(ingot.tensor, (m, w, one, zero, bias, labels))
    plain: list[tuple[str, Callable[[], object], Callable[[], object], float]] = [
        ("add", lambda: x + x, lambda: a + a, 2.0),
        ("mul by a number", lambda: x * 2.0, lambda: a * 2.0, 2.0),
        ("relu", lambda: x.relu(), lambda: np.maximum(a, 0), 2.0),
        ("sum", lambda: x.sum(), lambda: a.sum(), 2.0),
        ("indexing", lambda: x[2:5], lambda: a[2:5], 2.0),
        ("add, recorded", lambda: r + r, lambda: a + a, 3.0),
        ("mul by a number, recorded", lambda: r * 2.0, lambda: a * 2.0, 3.0),
        ("relu, recorded", lambda: r.relu(), lambda: np.maximum(a, 0), 3.0),
        ("sum, recorded", lambda: r.sum(), lambda: a.sum(), 3.0),
        ("indexing, recorded", lambda: r[2:5], lambda: a[2:5], 3.0),
    ]
    composites: list[tuple[str, Callable[[], object], Callable[[], object], float]] = [
        ("softmax", lambda: F.softmax(tm, dim=-1), lambda: _softmax(m), 3.0),
        ("layer_norm", lambda: F.layer_norm(tm, (16,), tone, tzero), lambda: _layer_norm(m, one, zero), 3.0),
        ("cross_entropy", lambda: F.cross_entropy(tm, tlabels), lambda: _cross_entropy(m, labels), 3.0),
        ("linear", lambda: F.linear(tm, tw, tbias), lambda: _linear(m, w, bias), 3.0),
    ]
    return plain + composites


def rows() -> list[Row]:
    """One row per operation, in microseconds over NumPy."""
    found = []
    for name, subject, reference, limit in _cases():
        times = interleaved({"ingot": subject, "numpy": reference}, seconds=0.6)
        found.append(overhead_row(f"eager {name}", times, "ingot", "numpy", limit))
    return found
