"""How an optimizer's formula reaches the parameters: through ops, or straight over NumPy arrays.

A formula is written once, in a notation that tensors and arrays share (Python's operators, `F.sqrt`,
`F.maximum`). While a capture runs, and on other devices, it is computed by ops and assigned in place, so that
the graph holds it. Otherwise it runs over the arrays in blocks that stay in cache, which gives the same bits
in less time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ..frontend.dispatch import EAGER
from ..frontend.mode import mode
from ..frontend.storage import storage_of
from ..frontend.tensor import Tensor
from ..frontend.tensor_base import wrap
from ..ir.algebra import RAW, Proxy
from ..ir.arrays import namespace, quiet
from ..ir.dtypes import float64

__all__ = ["Formula", "Scalars", "Update", "count_for", "zeros_for"]

# Elements per block: a parameter, its gradient, two moments and a few temporaries of float32 fit a
# second-level cache.
BLOCK: Final = 1 << 16

# formula(F, parameter, gradient, state, scalars) -> (new parameter, *new state)
Formula = Callable[[Any, Any, Any, Sequence[Any], Sequence[Any]], tuple[Any, ...]]
# scalars(F, step, lr) -> what the formula is given besides; `step` is None for optimizers that count none
Scalars = Callable[[Any, Any, Any], tuple[Any, ...]]

# bfloat16 arrays do not take Python numbers as NumPy's own floats do, so they go through ops.
_PLAIN: Final = frozenset(np.dtype(t) for t in (np.float16, np.float32, np.float64))


class Update:
    """One optimizer's rule with a parameter group's numbers in it.

    Args:
        formula: the new values of a parameter and its state.
        scalars: the numbers that depend on the step count and the learning rate, in float64.
        lr: the learning rate, a number or a tensor of one element.
    """

    def __init__(self, formula: Formula, scalars: Scalars, lr: float | Tensor) -> None:
        self.formula = formula
        self.scalars = scalars
        self.lr = lr
        self._known: dict[float, tuple[Any, ...]] = {}

    def apply(self, parameter: Tensor, gradient: Tensor, state: Sequence[Tensor], step: Tensor | None) -> None:
        """Change a parameter, its state and its step count in place."""
        if mode.tracer is None and _is_plain(parameter, gradient, state):
            self._over_arrays(parameter, gradient, state, step)
        else:
            self._over_ops(parameter, gradient, state, step)

    def _over_ops(self, parameter: Tensor, gradient: Tensor, state: Sequence[Tensor], step: Tensor | None) -> None:
        lr = self.lr.to(float64) if isinstance(self.lr, Tensor) else self.lr
        if step is not None:
            step.add_(1.0)
        dtype = parameter.dtype
        found = self.scalars(EAGER, step, lr)
        scalars = [x.to(dtype) if isinstance(x, Tensor) else x for x in found]
        results = self.formula(EAGER, parameter, gradient, state, scalars)
        parameter.copy_(results[0])
        for old, new in zip(state, results[1:], strict=True):
            old.copy_(new)

    @quiet
    def _over_arrays(self, parameter: Tensor, gradient: Tensor, state: Sequence[Tensor], step: Tensor | None) -> None:
        scalars = self._plain_scalars(step)
        targets = [parameter._array, *[s._array for s in state]]
        for new, old in _blocks(targets, gradient._array):
            results = self.formula(np, old[0], new, old[1:], scalars)
            for place, value in zip(old, results, strict=True):
                np.copyto(place, value)
        for changed in (parameter, *state):
            storage_of(changed).version += 1

    def _plain_scalars(self, step: Tensor | None) -> tuple[Any, ...]:
        """The scalars as Python numbers; parameters with equal step counts share them."""
        count = 0.0
        if step is not None:
            count = float(step._array) + 1.0
            step._array[...] = count
            storage_of(step).version += 1
        found = self._known.get(count)
        if found is None:
            lr = float(self.lr._array) if isinstance(self.lr, Tensor) else self.lr
            # The ops' own kernels, so that both ways agree to the last bit.
            now = None if step is None else Proxy(RAW, np.array(count), None)
            values = self.scalars(RAW, now, lr)
            found = tuple([float(x.value) if isinstance(x, Proxy) else x for x in values])
            self._known[count] = found
        return found


def _is_plain(parameter: Tensor, gradient: Tensor, state: Sequence[Tensor]) -> bool:
    array = parameter._array
    if type(array) is not np.ndarray or array.dtype not in _PLAIN or type(gradient._array) is not np.ndarray:
        return False
    return all(x._array.dtype == array.dtype and x._array.shape == array.shape for x in (gradient, *state))


def _blocks(targets: list[Any], gradient: Any) -> list[tuple[Any, list[Any]]]:
    """(gradient, targets) in equal pieces that stay in cache; whole where the memory is not one run."""
    if gradient.size <= BLOCK or not all(t.flags.c_contiguous for t in targets):
        return [(gradient, targets)]
    flat = [t.reshape(-1) for t in targets]
    source = gradient.reshape(-1)
    starts = range(0, source.size, BLOCK)
    return [(source[i : i + BLOCK], [t[i : i + BLOCK] for t in flat]) for i in starts]


def zeros_for(parameter: Tensor) -> Tensor:
    """State of a parameter's sizes and dtype, all 0; never part of a capture."""
    return _beside(parameter, namespace(parameter._array).zeros_like(parameter._array, order="C"))


def count_for(parameter: Tensor, value: float = 0.0) -> Tensor:
    """A step count on the parameter's device, a float64 without dimensions; never part of a capture."""
    return _beside(parameter, namespace(parameter._array).full((), value, float64.np))


def _beside(parameter: Tensor, array: Any) -> Tensor:
    """State of a parameter: a captured program's own where the program has found the parameter, and not made it."""
    found: Tensor = wrap(array)
    if mode.tracer is not None and not mode.tracer.is_external(parameter):
        mode.tracer.made(found)
    return found
