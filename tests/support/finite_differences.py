"""Gradients of an op as its declaration gives them, and by central differences in float64: first and second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ingot.ir.algebra import RAW, Proxy, type_of
from ingot.ir.arrays import quiet_reset, quiet_set
from ingot.ir.gradient import Recorder, input_gradients
from ingot.ir.registry import Op
from sample_maker import Sample

__all__ = ["differentiable_inputs", "first_order", "numeric_first_order", "numeric_second_order", "second_order"]

_STEP = 1e-5


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def differentiable_inputs(op: Op, sample: Sample) -> list[int]:
    """The positions of the inputs that have a gradient: float arrays whose parameters have a rule, or are opened."""
    rules = {name for key in op.grad for name in (key if isinstance(key, tuple) else (key,))} if op.grad else None
    groups = op.schema.unflatten(list(range(len(sample.inputs))))
    found = []
    for parameter, group in zip(op.schema.inputs, groups, strict=True):
        if rules is not None and parameter.name not in rules:
            continue
        found += [i for i in (group if isinstance(group, tuple) else (group,)) if is_float(sample.inputs[i])]
    return found


def _outputs(op: Op, inputs: Sequence[Any], attrs: Any) -> tuple[Any, ...]:
    result = op.kernel(*inputs, **attrs)
    return result if isinstance(result, tuple) else (result,)


def seeds_for(op: Op, sample: Sample, rng: np.random.Generator) -> list[Any]:
    """A random gradient for every float output, None for the others."""
    outputs = _outputs(op, sample.inputs, sample.attrs)
    return [rng.uniform(-1, 1, y.shape) if y.dtype.kind == "f" else None for y in outputs]


def _wrapped(algebra: Any, values: Sequence[Any]) -> list[Any]:
    return [algebra.wrap(Proxy(RAW, x, None)) if hasattr(x, "dtype") else x for x in values]


class _Plain:
    """RAW, with the recorder's `wrap`."""

    @staticmethod
    def wrap(value: Any) -> Any:
        return value


def _gradients(
    F: Any, wrap: Any, op: Op, inputs: Sequence[Any], attrs: Any, seeds: Sequence[Any], wanted: list[int]
) -> Any:
    """Run the op and its gradient over an algebra."""
    result = F.apply(op, inputs, attrs)
    outputs = result if isinstance(result, tuple) else (result,)
    names = [p.name for p in op.schema.inputs]
    saved = dict(zip(names, op.schema.unflatten(inputs), strict=True))
    saved["y"] = outputs[0] if len(outputs) == 1 else outputs
    types = [type_of(x) for x in inputs]
    found = input_gradients(F, op, wanted, seeds, saved, types, [type_of(y) for y in outputs], attrs)
    return found


def first_order(op: Op, sample: Sample, seeds: Sequence[Any], wanted: list[int]) -> dict[int, np.ndarray]:
    """The declared gradients of sum(output * seed), by input position."""
    inputs = [Proxy(RAW, x, None) if hasattr(x, "dtype") else x for x in sample.inputs]
    grads = [None if s is None else Proxy(RAW, s, None) for s in seeds]
    token = quiet_set()
    try:
        found = _gradients(RAW, None, op, inputs, sample.attrs, grads, wanted)
    finally:
        quiet_reset(token)
    return {i: found[i].value for i in wanted if i in found}


def second_order(
    op: Op, sample: Sample, seeds: Sequence[Any], weights: dict[int, Any], wanted: list[int]
) -> tuple[dict[int, Any], dict[int, Any]]:
    """The gradients of sum(gradient * weight), by input position, and by output for the seeds."""
    recorder = Recorder(RAW)
    inputs = _wrapped(recorder, sample.inputs)
    grads = [None if s is None else recorder.wrap(Proxy(RAW, s, None)) for s in seeds]
    token = quiet_set()
    try:
        found = _gradients(recorder, None, op, inputs, sample.attrs, grads, wanted)
        starts: dict[int, Any] = {}
        for i, weight in weights.items():
            if i in found:
                before = starts.get(id(found[i]))
                value = Proxy(RAW, weight if before is None else before.value + weight, None)
                starts[id(found[i])] = value
        result = recorder.backward(starts)
    finally:
        quiet_reset(token)

    def value(proxy: Any, like: Any) -> Any:
        grad = result.get(id(proxy))
        return np.zeros(np.shape(like)) if grad is None else grad.value

    by_input = {i: value(inputs[i], sample.inputs[i]) for i in wanted}
    by_seed = {k: value(g, seeds[k]) for k, g in enumerate(grads) if g is not None}
    return by_input, by_seed


def _central(function: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """The gradient of a function of an array by central differences."""
    point = np.array(at, np.float64)
    found = np.zeros(point.shape)
    for place in np.ndindex(point.shape):
        middle = point[place]
        point[place] = middle + _STEP
        above = function(point)
        point[place] = middle - _STEP
        below = function(point)
        point[place] = middle
        found[place] = (above - below) / (2 * _STEP)
    return found


def _with(sample: Sample, position: int, value: Any) -> Sample:
    inputs = (*sample.inputs[:position], value, *sample.inputs[position + 1 :])
    return Sample(inputs, sample.attrs, sample.smooth)


def numeric_first_order(op: Op, sample: Sample, seeds: Sequence[Any], position: int) -> np.ndarray:
    """What `first_order` should give for one input."""

    def total(x: np.ndarray) -> float:
        outputs = _outputs(op, _with(sample, position, x).inputs, sample.attrs)
        return float(sum(np.sum(y * s) for y, s in zip(outputs, seeds, strict=True) if s is not None))

    return _central(total, sample.inputs[position])


def numeric_second_order(
    op: Op, sample: Sample, seeds: Sequence[Any], weights: dict[int, Any], wanted: list[int], position: int
) -> np.ndarray:
    """What `second_order` should give for one input."""

    def total(x: np.ndarray) -> float:
        found = first_order(op, _with(sample, position, x), seeds, wanted)
        return float(sum(np.sum(found[i] * weight) for i, weight in weights.items() if i in found))

    return _central(total, sample.inputs[position])
