"""The gradient driver: from an op's declared gradients to the gradients of its inputs, over any algebra.

The tape (eager tensors) and the `differentiate` pass (graphs) both use it, so there is one notion of what a
gradient needs, how broadcast gradients are summed, and how a composite without a gradient of its own is opened.

A gradient function takes, by name, just what it reads: `F` (the algebra), `g` (the gradient of the output; a tuple
for several outputs, None where nothing flows back), `y` (the output, or a tuple), inputs by their names, attributes
by theirs, and `T` (types: `T.input.sizes`, `T.input.dtype`). What none of them names is not kept. One function may
serve several inputs: its key is the tuple of their names, and it returns as many gradients, None for those it lacks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .algebra import Algebra, Proxy
from .errors import GradientError
from .registry import NotDifferentiable, Op, StopsGradient
from .sizes import Size

__all__ = ["Recorder", "TypeNames", "accumulate", "forget_rules", "gradient_names", "input_gradients", "sum_to"]


@dataclass(frozen=True, slots=True)
class _Rule:
    function: Callable[..., Any]
    names: tuple[str, ...]
    serves: tuple[str, ...]
    """The inputs whose gradients it returns; one of its own where there is only one."""


@lru_cache(maxsize=4096)
def _rules(op: Op) -> Mapping[str, _Rule]:
    """The rule of every differentiable input."""
    if isinstance(op.grad, NotDifferentiable):
        return {}
    found: dict[str, _Rule] = {}
    for key, function in op.grad.items():
        serves = key if isinstance(key, tuple) else (key,)
        rule = _Rule(function, tuple(inspect.signature(function).parameters), serves)
        found.update(dict.fromkeys(serves, rule))
    return found


@lru_cache(maxsize=4096)
def gradient_names(op: Op, wanted: tuple[str, ...]) -> frozenset[str]:
    """Which of `y` and the inputs' names the gradients of the wanted inputs read.

    Raises:
        GradientError: when the op has no gradient; the message says why.
    """
    if isinstance(op.grad, NotDifferentiable):
        raise GradientError(f"{op.short} has no gradient: {op.grad.why}", advice="detach() its input if none is wanted")
    if not op.grad:
        return frozenset(p.name for p in op.schema.inputs)
    rules = _rules(op)
    known = {p.name for p in op.schema.inputs} | {"y"}
    return frozenset(name for w in wanted if w in rules for name in rules[w].names if name in known)


def forget_rules() -> None:
    """Forget what is remembered of ops' gradients: a declaration has been completed."""
    _rules.cache_clear()
    gradient_names.cache_clear()


class TypeNames:
    """Types by the names of an op's inputs: `T.weight.sizes`. `T.y` is the (first) output's."""

    __slots__ = ("_names", "_types", "_y")

    def __init__(self, op: Op, types: Sequence[Any], y: Any) -> None:
        self._names = [p.name for p in op.schema.inputs]
        self._types = op.schema.unflatten(types)
        self._y = y

    def __getattr__(self, name: str) -> Any:
        return self._y if name == "y" else self._types[self._names.index(name)]


def input_gradients(
    F: Any,
    op: Op,
    wanted: Sequence[int],
    g: Sequence[Any],
    saved: Mapping[str, Any],
    input_types: Sequence[Any],
    output_types: Sequence[Any],
    attrs: Mapping[str, Any],
) -> dict[int, Any]:
    """Gradients of one op call's inputs.

    Args:
        F: the algebra that the gradient is computed over.
        wanted: positions of the inputs (flattened) whose gradients are asked for.
        g: one gradient per output, None where nothing flows back.
        saved: the values that `gradient_names` asked to keep, by name; `y` is a value, or a tuple.
        input_types, output_types: tensor types of the inputs (flattened) and outputs.

    Returns:
        gradients by input position, each of its input's sizes and dtype.
    """
    if not op.grad:
        found = _through_decomposition(F, op, wanted, g, saved, attrs)
    else:
        found = _through_rules(F, op, wanted, g, saved, input_types, output_types, attrs)
    return {i: sum_to(F, x, input_types[i].sizes, input_types[i].dtype) for i, x in found.items() if x is not None}


def _through_rules(
    F: Any,
    op: Op,
    wanted: Sequence[int],
    g: Sequence[Any],
    saved: Mapping[str, Any],
    input_types: Sequence[Any],
    output_types: Sequence[Any],
    attrs: Mapping[str, Any],
) -> dict[int, Any]:
    rules = _rules(op)
    names = {
        "F": F,
        "g": g[0] if len(g) == 1 else tuple(g),
        "T": TypeNames(op, input_types, output_types[0]),
        **saved,
        **attrs,
    }
    found: dict[int, Any] = {}
    shared: dict[str, Any] = {}
    for name, positions in _positions(op, wanted, len(input_types)).items():
        rule = rules.get(name)
        if rule is None:
            continue
        if name in shared:
            value = shared[name]
        else:
            value = rule.function(*[names[n] for n in rule.names])
            if len(rule.serves) > 1:
                shared.update(zip(rule.serves, value, strict=True))
                value = shared[name]
        if isinstance(value, tuple):
            start = [p.name for p in op.schema.inputs].index(name)
            found.update({i: value[i - start] for i in positions})
        else:
            found[positions[0]] = value
    return found


def _positions(op: Op, wanted: Sequence[int], count: int) -> dict[str, list[int]]:
    """Wanted flattened positions, by parameter name."""
    groups = op.schema.unflatten(list(range(count)))
    owner = {}
    for parameter, group in zip(op.schema.inputs, groups, strict=True):
        for i in group if isinstance(group, tuple) else (group,):
            owner[i] = parameter.name
    found: dict[str, list[int]] = {}
    for i in wanted:
        found.setdefault(owner[i], []).append(i)
    return found


def sum_to(F: Any, grad: Any, sizes: Sequence[Size], dtype: Any) -> Any:
    """A gradient summed over what broadcasting had repeated, in the dtype of its input."""
    if grad.dtype is not dtype:
        grad = F.cast(grad, dtype=dtype)
    found = tuple(grad.shape)
    if _same(found, sizes):
        return grad
    extra = len(found) - len(sizes)
    dims = list(range(extra))
    dims += [extra + i for i, size in enumerate(sizes) if size == 1 and found[extra + i] != 1]
    if dims:
        grad = F.sum(grad, dim=tuple(dims), keepdim=False)
    return grad if _same(tuple(grad.shape), sizes) else F.reshape(grad, shape=tuple(sizes))


def _same(found: Sequence[Any], sizes: Sequence[Size]) -> bool:
    # Tuples of different lengths are compared item by item, too, and to compare a size that a capture knows by name
    # may be an assumption.
    return len(found) == len(sizes) and found == tuple(sizes)


def accumulate(F: Any, a: Any, b: Any) -> Any:
    """The sum of two gradients, either of which may be None."""
    if a is None:
        return b
    return a if b is None else F.add(a, b)


class Recorder(Algebra):
    """An algebra that computes over another one and keeps a list of the calls, to walk it backwards.

    Only calls that depend on a watched operand are kept: gradients flow to those operands and nowhere else.
    """

    def __init__(self, F: Any) -> None:
        self.F = F
        self.calls: list[tuple[Op, list[Any], tuple[Proxy, ...], Mapping[str, Any]]] = []
        self._watched: dict[int, Proxy] = {}

    def wrap(self, value: Any, watched: bool = True) -> Any:
        """A value of the inner algebra as this one's operand; numbers and None stay as they are."""
        if not hasattr(value, "dtype"):
            return value
        proxy = Proxy(self, value, _type(value))
        if watched and _floating(proxy):
            self._watched[id(proxy)] = proxy
        return proxy

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        plain = [x.value if isinstance(x, Proxy) else x for x in inputs]
        result = self.F.apply(op, plain, attrs)
        watched = any(id(x) in self._watched for x in inputs)
        outputs = tuple(self.wrap(x, watched) for x in (result if isinstance(result, tuple) else (result,)))
        if watched:
            self.calls.append((op, list(inputs), outputs, attrs))
        return outputs[0] if len(outputs) == 1 else outputs

    def backward(self, seeds: Mapping[int, Any]) -> dict[int, Any]:
        """Gradients of every watched value that the seeds depend on; both by the `id` of a proxy."""
        grads = dict(seeds)
        for op, inputs, outputs, attrs in reversed(self.calls):
            g = [grads.get(id(x)) for x in outputs]
            if all(x is None for x in g):
                continue
            wanted = [i for i, x in enumerate(inputs) if id(x) in self._watched]
            if isinstance(op.grad, StopsGradient):
                continue
            if isinstance(op.grad, NotDifferentiable) and not any(_floating(y) for y in outputs):
                continue
            names = [p.name for p in op.schema.inputs]
            values = op.schema.unflatten([x.value if isinstance(x, Proxy) else x for x in inputs])
            saved = dict(zip(names, values, strict=True))
            saved["y"] = outputs[0].value if len(outputs) == 1 else tuple(y.value for y in outputs)
            gradient_names(op, tuple(names))
            types = [_type(x) for x in inputs]
            found = input_gradients(self.F, op, wanted, g, saved, types, [_type(y) for y in outputs], attrs)
            for i, value in found.items():
                grads[id(inputs[i])] = accumulate(self.F, grads.get(id(inputs[i])), value)
        return grads


def _type(value: Any) -> Any:
    from .algebra import type_of
    from .types import TensorType

    if hasattr(value, "shape") and not isinstance(value, Proxy):
        return TensorType(value.dtype, tuple(value.shape))
    return type_of(value)


def _floating(value: Any) -> bool:
    dtype = getattr(value.type, "dtype", None)
    return dtype is not None and dtype.is_floating_point


def _through_decomposition(
    F: Any,
    op: Op,
    wanted: Sequence[int],
    g: Sequence[Any],
    saved: Mapping[str, Any],
    attrs: Mapping[str, Any],
) -> dict[int, Any]:
    """The gradient of a composite without one of its own: its decomposition, computed again and walked back."""
    assert op.body is not None
    recorder = Recorder(F)
    flat: list[Any] = []
    operands = []
    for parameter in op.schema.inputs:
        value = saved[parameter.name]
        group = []
        for x in value if parameter.is_list else (value,):
            flat.append(recorder.wrap(x, watched=len(flat) in wanted))
            group.append(flat[-1])
        operands.append(tuple(group) if parameter.is_list else group[0])
    result = op.body(recorder, *operands, **attrs)
    outputs = result if isinstance(result, tuple) else (result,)
    seeds: dict[int, Any] = {}
    for output, grad in zip(outputs, g, strict=True):
        if grad is not None and _floating(output):
            seeds[id(output)] = accumulate(F, seeds.get(id(output)), grad)
    grads = recorder.backward(seeds)
    return {i: grads.get(id(flat[i])) for i in wanted}
