"""`gradcheck` and `gradgradcheck`: the tape's gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir.errors import ArgumentError, GradientError
from .mode import mode
from .tape import Leaf, grad
from .tensor_base import TensorBase, wrap

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(GradientError):
    """The gradient and the differences disagree, or the gradient is not the same each time."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of a function with central differences, for every input that requires one.

    Args:
        func: takes the inputs, gives a tensor or a tuple of tensors.
        inputs: a tensor or a tuple; those that require a gradient should be float64.
        eps: half the step of the differences.
        atol, rtol: how far the two may be apart.
        raise_exception: whether a disagreement is an error, or the answer False.
        nondet_tol: how far the gradients of two runs may be apart.
        check_undefined_grad: whether to check, too, that an output without a gradient counts as one with zeros.
        fast_mode: compare along one random direction in place of every element.

    Raises:
        GradcheckError: when they disagree; names the output and the input.
        ArgumentError: when no input requires a gradient.

    >>> import ingot
    >>> x = ingot.tensor([0.5, 2.0], dtype=ingot.float64, requires_grad=True)
    >>> ingot.autograd.gradcheck(lambda x: x.exp() * x, x)
    True
    """
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    given = tuple(_apart(x) for x in given)
    checked = [i for i, x in enumerate(given) if isinstance(x, TensorBase) and x._node is not None]
    if not checked:
        raise ArgumentError("gradcheck: no input requires a gradient", advice="make one with requires_grad=True")
    try:
        outputs = _outputs(func, given)
        for place in range(len(outputs)):
            if outputs[place]._node is None:
                _check_constant(func, given, checked, place, eps, atol)
            elif fast_mode:
                _check_direction(func, given, checked, place, eps, atol, rtol)
            else:
                _check_elements(func, given, checked, place, eps, atol, rtol, nondet_tol)
        if check_undefined_grad and len(outputs) > 1:
            _check_undefined(func, given, checked, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, **options: Any) -> bool:
    """`gradcheck` of the gradient: second derivatives against central differences.

    Args:
        func, inputs: as for `gradcheck`.
        grad_outputs: gradients to start from; random ones by default.
        options: as for `gradcheck`.

    >>> import ingot
    >>> x = ingot.tensor([0.5, 2.0], dtype=ingot.float64, requires_grad=True)
    >>> ingot.autograd.gradgradcheck(lambda x: x.sin() * x, x)
    True
    """
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    outputs = [x for x in _outputs(func, given) if x._node is not None]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        seeds = [wrap(rng.standard_normal(x._array.shape).astype(x._array.dtype)) for x in outputs]
    else:
        found = grad_outputs if isinstance(grad_outputs, (tuple, list)) else (grad_outputs,)
        seeds = [wrap(x._array.copy()) for x in found]
    for seed in seeds:
        seed.requires_grad_()

    def first(*args: Any) -> tuple[Any, ...]:
        own, starts = args[: len(given)], args[len(given) :]
        values = [x for x in _outputs(func, own) if x._node is not None]
        wanted: list[Any] = [x for x in own if isinstance(x, TensorBase) and x._node is not None]
        found = grad(values, wanted, starts, create_graph=True, allow_unused=True)
        return tuple(x for x in found if x is not None)

    return gradcheck(first, (*given, *seeds), **options)


def _apart(x: Any) -> Any:
    """An input that is computed from another one as a leaf of its own: each is moved alone."""
    if not isinstance(x, TensorBase) or x._node is None or isinstance(x._node, Leaf):
        return x
    found = wrap(x._array)
    found.requires_grad_()
    return found


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    previous, mode.grad = mode.grad, True
    try:
        found = func(*inputs)
    finally:
        mode.grad = previous
    return [x for x in (found if isinstance(found, (tuple, list)) else (found,)) if isinstance(x, TensorBase)]


def _at(inputs: Sequence[Any], i: int, step: np.ndarray) -> list[Any]:
    """The inputs with a step added to one of them; the others are the same objects."""
    moved = wrap(inputs[i]._array + step)
    moved.requires_grad_()
    return [moved if j == i else x for j, x in enumerate(inputs)]


def _difference(func: Callable[..., Any], inputs: Sequence[Any], i: int, place: int, step: np.ndarray) -> np.ndarray:
    above = _outputs(func, _at(inputs, i, step))[place]._array
    below = _outputs(func, _at(inputs, i, -step))[place]._array
    return (np.asarray(above, np.float64) - np.asarray(below, np.float64)) / 2


def _numerical(func: Callable[..., Any], inputs: Sequence[Any], i: int, place: int, eps: float) -> np.ndarray:
    """The Jacobian of one output by one input: [elements of the input, elements of the output]."""
    array = inputs[i]._array
    rows = []
    for k in range(array.size):
        step = np.zeros(array.size, array.dtype)
        step[k] = eps
        rows.append(_difference(func, inputs, i, place, step.reshape(array.shape)).ravel() / eps)
    return np.array(rows).reshape(array.size, -1)


def _analytical(func: Callable[..., Any], inputs: Sequence[Any], checked: Sequence[int], place: int) -> list[Any]:
    """The same for all checked inputs, from the tape: one walk per element of the output."""
    output = _outputs(func, inputs)[place]
    count = output._array.size
    found = [np.zeros((inputs[i]._array.size, count)) for i in checked]
    for k in range(count):
        seed = np.zeros(count, output._array.dtype)
        seed[k] = 1
        for column, value in zip(found, _gradients(output, inputs, checked, seed), strict=True):
            column[:, k] = value.ravel()
    return found


def _gradients(output: Any, inputs: Sequence[Any], checked: Sequence[int], seed: np.ndarray) -> list[np.ndarray]:
    start = wrap(seed.reshape(output._array.shape))
    values = grad(output, [inputs[i] for i in checked], start, retain_graph=True, allow_unused=True)
    found = []
    for i, value in zip(checked, values, strict=True):
        array = inputs[i]._array
        if value is None:
            found.append(np.zeros(array.shape))
            continue
        if value._array.shape != array.shape or value._array.dtype != array.dtype:
            raise GradcheckError(
                f"gradcheck: the gradient of input {i} is of another type",
                expected=f"{array.dtype}{list(array.shape)}",
                found=f"{value._array.dtype}{list(value._array.shape)}",
            )
        found.append(np.asarray(value._array, np.float64))
    return found


def _check_elements(
    func: Callable[..., Any],
    inputs: Sequence[Any],
    checked: Sequence[int],
    place: int,
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    found = _analytical(func, inputs, checked, place)
    again = _analytical(func, inputs, checked, place)
    for i, a, b in zip(checked, found, again, strict=True):
        if a.size and np.abs(a - b).max() > nondet_tol:
            raise GradcheckError(
                f"gradcheck: the gradient of output {place} with respect to input {i} differs from run to run",
                expected=f"a difference of at most {nondet_tol}",
                found=f"{np.abs(a - b).max():.3g}",
                advice="raise nondet_tol= if that is as it should be",
            )
        _compare(i, place, _numerical(func, inputs, i, place, eps), a, atol, rtol)


def _check_direction(
    func: Callable[..., Any],
    inputs: Sequence[Any],
    checked: Sequence[int],
    place: int,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    rng = np.random.default_rng(0)
    output = _outputs(func, inputs)[place]
    weights = rng.uniform(0.5, 1.5, output._array.size).astype(output._array.dtype)
    for i, value in zip(checked, _gradients(output, inputs, checked, weights), strict=True):
        direction = rng.standard_normal(value.shape)
        direction /= max(float(np.linalg.norm(direction)), 1e-30)
        step = (direction * eps).astype(inputs[i]._array.dtype)
        numerical = (_difference(func, inputs, i, place, step).ravel() * weights).sum() / eps
        _compare(i, place, np.array([numerical]), np.array([(value * direction).sum()]), atol, rtol)


def _check_constant(
    func: Callable[..., Any], inputs: Sequence[Any], checked: Sequence[int], place: int, eps: float, atol: float
) -> None:
    """An output without a gradient must not depend on the inputs, unless it is one of integers."""
    if _outputs(func, inputs)[place]._array.dtype.kind not in "fV":
        return
    for i in checked:
        numerical = _numerical(func, inputs, i, place, eps)
        _compare(i, place, numerical, np.zeros_like(numerical), atol, 0.0)


def _check_undefined(
    func: Callable[..., Any], inputs: Sequence[Any], checked: Sequence[int], atol: float, rtol: float
) -> None:
    """Nothing flowing back to an output must mean the same as zeros."""
    outputs = [x for x in _outputs(func, inputs) if x._node is not None]
    wanted: list[Any] = [inputs[i] for i in checked]
    for place, output in enumerate(outputs):
        ones = wrap(np.ones_like(output._array))
        alone = _gradients(output, inputs, checked, ones._array.ravel())
        seeds = [ones if x is output else wrap(np.zeros_like(x._array)) for x in outputs]
        together = grad(outputs, wanted, seeds, retain_graph=True, allow_unused=True)
        for i, a, b in zip(checked, alone, together, strict=True):
            _compare(i, place, np.zeros_like(a) if b is None else b._array, a, atol, rtol)


def _compare(i: int, place: int, numerical: np.ndarray, found: np.ndarray, atol: float, rtol: float) -> None:
    if np.allclose(found, numerical, rtol=rtol, atol=atol, equal_nan=True):
        return
    raise GradcheckError(
        f"gradcheck: the gradient of output {place} with respect to input {i} is wrong",
        expected=f"about (by differences)\n{numerical}",
        found=f"(by the tape)\n{found}",
        advice="use float64 inputs if they are of less precision",
    )
