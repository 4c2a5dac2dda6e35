"""Gradients through compiled calls whose results have sizes that only the run shows."""

from __future__ import annotations

import ingot
import pytest


def grown(x, w, k: int):
    out, places = ingot.zeros(0), ingot.zeros(0, dtype=ingot.int64)
    for _ in range(k):
        x = x * w
        out = ingot.cat([out, x.max()[None]])
        places = ingot.cat([places, x.argmin()[None]])
    return out, places, x


def selected(x, w, k: int):
    y = x * w
    return y[y > k], (y * 2)[ingot.nonzero(y > k).flatten()]


def sliced(x, w, k: int):
    y = x * w
    return y[:k], y[None].expand(k, 3)


@pytest.mark.parametrize("function", [grown, selected, sliced])
def test_gradients_of_results_whose_sizes_the_run_decides(function):
    scripted, x = ingot.jit.script(function), ingot.tensor([1.0, 2.0, 1.5])
    for k in (1, 2, 3):
        gradients = []
        for call in (function, scripted):
            w = ingot.tensor([1.0, 2.0, 3.0], requires_grad=True)
            results = [y for y in call(x, w, k) if y.requires_grad]
            sum((y * ingot.arange(1.0, y.numel() + 1).reshape(y.shape)).sum() for y in results).backward()
            gradients.append(w.grad)
        assert ingot.allclose(*gradients)


@pytest.mark.parametrize("spread", [lambda y: y.var(0), lambda y: y.std(), lambda y: y.var(0, unbiased=False)])
def test_gradients_of_a_variance_over_a_dynamic_size(spread):
    compiled = ingot.compile(lambda x, w: spread(x * w).sum(), dynamic=True)
    for n in (4, 5, 9):
        x, gradients = ingot.randn(n, 3), []
        for call in (lambda x, w: spread(x * w).sum(), compiled):
            w = ingot.tensor([1.0, 2.0, 3.0], requires_grad=True)
            call(x, w).backward()
            gradients.append(w.grad)
        assert ingot.allclose(*gradients, atol=1e-5)
    assert len(compiled.variants) == 1
