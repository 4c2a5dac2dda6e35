"""Reverse-mode differentiation: the recorded nodes and the walk back through them.

What stands on the tape is a `Node`: it knows its parents and how to go back from the gradients of its outputs to those
of its parents. A recorded call of an op is a `TapeNode`, which keeps only what its op's gradient reads and asks
`ir.gradient`; anything else that has a gradient is a `CustomNode` of `tape_node` with a `backward` of its own.
`backward` visits nodes from the latest to the earliest and sums up. With `create_graph=True` the gradient's own
operations are recorded, and can be differentiated again.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir.dtypes import DType
from ..ir.errors import ArgumentError, GradientError
from ..ir.gradient import gradient_names, input_gradients
from ..ir.locations import here
from ..ir.registry import NotDifferentiable, Op, StopsGradient
from ..ir.sizes import SizeContext, use_context
from ..ir.types import KEY, NONE, TensorType
from .hooks import Hooks
from .mode import mode
from .tape_node import CustomNode, Node, SavedTensor, again, changed, kept, sequence, version_of
from .tensor_base import wrap

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = [
    "CustomNode",
    "Leaf",
    "Node",
    "Plan",
    "SavedTensor",
    "TapeNode",
    "backward",
    "grad",
    "hooks_of",
    "plan_of",
    "record",
    "record_binary",
    "record_unary",
    "type_for_gradient",
]


class Leaf:
    """Where a gradient ends: a tensor that was made with `requires_grad=True`."""

    __slots__ = ("hooks", "sequence", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.sequence = -1
        self.hooks: dict[int, Hooks] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tape node keeps, for one op and the inputs whose gradients are wanted.

    Attributes:
        wanted: positions of those inputs.
        names: the inputs by name that their gradients read, and where each stands.
        saves: all those positions.
        reads_y: whether the outputs are read.
    """

    wanted: tuple[int, ...]
    names: tuple[tuple[str, tuple[int, ...], bool], ...]
    saves: tuple[int, ...]
    reads_y: bool


@lru_cache(maxsize=8192)
def plan_of(op: Op, wanted: tuple[int, ...], count: int) -> Plan | None:
    """The plan of an op with `count` inputs; None when it has no gradient."""
    if isinstance(op.grad, NotDifferentiable):
        return None
    groups = op.schema.unflatten(list(range(count)))
    places = [g if isinstance(g, tuple) else (g,) for g in groups]
    parameters = list(zip(op.schema.inputs, places, strict=True))
    owners = tuple(p.name for p, group in parameters if any(i in wanted for i in group))
    read = gradient_names(op, owners)
    names = tuple((p.name, group, p.is_list) for p, group in parameters if p.name in read)
    return Plan(wanted, names, tuple(i for _, group, _ in names for i in group), "y" in read)


class TapeNode(Node):
    """One recorded call: its op, whose outputs its inputs were, and what its gradient reads.

    `saved` holds (tensor or number, version of its storage), `y` holds (array, storage, version, trace) per output.
    Types are `Type`s, or (sizes, NumPy dtype).
    """

    __slots__ = ("attrs", "input_types", "op", "output_types", "plan", "saved", "y")
    op: Op
    plan: Plan
    attrs: Mapping[str, Any]
    saved: Any
    y: Any
    input_types: Sequence[Any]
    output_types: Sequence[Any]

    def __repr__(self) -> str:
        return f"<{self.op.short} backward>"

    @property
    def output_count(self) -> int:
        return len(self.output_types)

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        ins, outs = [_as_type(t) for t in self.input_types], [_as_type(t) for t in self.output_types]
        wanted = self.plan.wanted
        grads = input_gradients(_eager(), self.op, wanted, slots, _saved_values(self), ins, outs, self.attrs)
        return [grads.get(position) for position in wanted]

    def release(self) -> None:
        self.saved = None
        self.y = None


@lru_cache(maxsize=1)
def _eager() -> Any:
    """The algebra over tensors, which is made in a module that imports this one."""
    from .dispatch import EAGER

    return EAGER


def hooks_of(node: Any, index: int) -> Hooks:
    """The hooks on the gradient of one output of a node, or of a leaf."""
    if not hasattr(node, "hooks"):
        node.hooks = {}
    found: Hooks = node.hooks.setdefault(index, Hooks())
    return found


def _hooked(node: Any, slots: list[Any]) -> list[Any]:
    """The gradients of a node's outputs as its hooks leave them."""
    for index, hooks in node.hooks.items():
        for hook, _ in list(hooks.values()):
            changed = None if slots[index] is None else hook(slots[index])
            slots[index] = slots[index] if changed is None else changed
    return slots


def record(
    op: Op,
    inputs: Sequence[Any],
    attrs: Mapping[str, Any],
    outputs: Sequence[Tensor],
    types: tuple[Sequence[Any], Sequence[Any]] | None = None,
) -> None:
    """Put one call on the tape, if any of its outputs can carry a gradient.

    Args:
        types: the input and output types, where capture knows sizes better than the arrays do.
    """
    wanted = tuple([i for i, x in enumerate(inputs) if getattr(x, "_node", None) is not None])
    plan = plan_of(op, wanted, len(inputs))
    if plan is None:
        if not isinstance(op.grad, StopsGradient) and any(output._array.dtype.kind in "fV" for output in outputs):
            raise _no_gradient(op)
        return
    node: TapeNode = object.__new__(TapeNode)
    node.op = op
    node.plan = plan
    node.attrs = attrs
    node.parents = tuple([(inputs[i]._node, inputs[i]._index) for i in wanted])
    node.saved = tuple([(inputs[i], version_of(inputs[i])) for i in plan.saves])
    node.y = tuple([kept(output) for output in outputs]) if plan.reads_y else None
    if types is None:
        arrays = [getattr(x, "_array", None) for x in inputs]
        node.input_types = [None if a is None else (a.shape, a.dtype) for a in arrays]
        node.output_types = [(o._array.shape, o._array.dtype) for o in outputs]
    else:
        node.input_types, node.output_types = types
    node.sequence = next(sequence)
    for index, output in enumerate(outputs):
        if output._array.dtype.kind in "fV":
            output._node = node
            output._index = index


def record_unary(plan: Plan | None, op: Op, x: Tensor, attrs: Mapping[str, Any], output: Tensor) -> None:
    """`record` for one input and one output, the commonest case, with the plan at hand."""
    array = output._array
    if array.dtype.kind not in "fV":
        return
    if plan is None:
        if isinstance(op.grad, StopsGradient):
            return
        raise _no_gradient(op)
    node: TapeNode = object.__new__(TapeNode)
    node.op = op
    node.plan = plan
    node.attrs = attrs
    node.parents = ((x._node, x._index),)
    node.saved = ((x, 0 if x._storage is None else x._storage.version),) if plan.saves else ()
    node.y = (kept(output),) if plan.reads_y else None
    before = x._array
    node.input_types = ((before.shape, before.dtype),)
    node.output_types = ((array.shape, array.dtype),)
    node.sequence = next(sequence)
    output._node = node


def record_binary(
    plans: Sequence[Plan | None], op: Op, x: Any, y: Any, attrs: Mapping[str, Any], output: Tensor
) -> None:
    """`record` for two inputs and one output; the plans are those for the first, the second and both."""
    array = output._array
    if array.dtype.kind not in "fV":
        return
    x_node, y_node = getattr(x, "_node", None), getattr(y, "_node", None)
    if y_node is None:
        plan = plans[0]
        parents: Any = ((x_node, x._index),)
    elif x_node is None:
        plan = plans[1]
        parents = ((y_node, y._index),)
    else:
        plan = plans[2]
        parents = ((x_node, x._index), (y_node, y._index))
    if plan is None:
        if isinstance(op.grad, StopsGradient):
            return
        raise _no_gradient(op)
    node: TapeNode = object.__new__(TapeNode)
    node.op = op
    node.plan = plan
    node.attrs = attrs
    node.parents = parents
    node.saved = tuple([((x, y)[i], version_of((x, y)[i])) for i in plan.saves]) if plan.saves else ()
    node.y = (kept(output),) if plan.reads_y else None
    a, b = getattr(x, "_array", None), getattr(y, "_array", None)
    node.input_types = (None if a is None else (a.shape, a.dtype), None if b is None else (b.shape, b.dtype))
    node.output_types = ((array.shape, array.dtype),)
    node.sequence = next(sequence)
    output._node = node


def keep_old_value(node: Any, tensor: Any) -> None:
    """Let a node that has just been recorded keep a copy of `tensor`, which is about to change in place."""
    if type(node) is not TapeNode or not any(x is tensor for x, _ in node.saved):
        return
    old = wrap(tensor._array.copy())
    old._node, old._index, old._trace = tensor._node, tensor._index, tensor._trace
    node.saved = tuple([(old, 0) if x is tensor else (x, version) for x, version in node.saved])


def _no_gradient(op: Op) -> GradientError:
    assert isinstance(op.grad, NotDifferentiable)
    return GradientError(
        f"{op.short} has no gradient: {op.grad.why}",
        location=here(),
        advice="detach() its input, or compute it under no_grad()",
    )


def _as_type(found: Any) -> Any:
    """A type, from one or from the (sizes, NumPy dtype) that eager recording keeps."""
    if found is None:
        return NONE
    if type(found) is not tuple:
        return found
    return KEY if found[1] == np.uint64 else TensorType(DType.of(found[1]), found[0])


def type_for_gradient(tensor: Any) -> TensorType:
    """A tensor's type, with symbolic sizes while a capture knows them."""
    trace = tensor._trace
    known = mode.tracer is not None and trace is not None and trace[0] is mode.tracer
    return trace[1].type if known else TensorType(DType.of(tensor._array.dtype), tensor._array.shape)


def _saved_values(node: TapeNode) -> dict[str, Any]:
    if node.saved is None:
        raise GradientError(
            "backward: the tape was already walked and has been freed",
            location=here(),
            advice="pass retain_graph=True to the first backward()",
        )
    values: dict[str, Any] = {}
    flat = iter(node.saved)
    for name, places, is_list in node.plan.names:
        group = [next(flat) for _ in places]
        for x, version in group:
            if version_of(x) != version:
                raise changed(node, name, x._storage)
        values[name] = tuple([x for x, _ in group]) if is_list else group[0][0]
    if node.plan.reads_y:
        outputs = [_output_again(node, index) for index in range(len(node.y))]
        values["y"] = outputs[0] if len(outputs) == 1 else tuple(outputs)
    return values


def _output_again(node: TapeNode, index: int) -> Any:
    array, storage, version, trace = node.y[index]
    if storage.version != version:
        raise changed(node, "its result", storage)
    return again(node, index, array, storage, trace)


def _walk(
    seeds: Sequence[tuple[Any, int, Any]],
    *,
    create_graph: bool,
    retain_graph: bool,
    targets: Mapping[Any, Any] | None,
) -> dict[tuple[int, int], Any]:
    """Push gradients from the seeds back to the leaves; returns those of the targets, by (id of node, index)."""
    F = _eager()
    pending: dict[Any, list[Any]] = {}
    heap: list[tuple[int, int, Any]] = []
    found: dict[tuple[int, int], Any] = {}
    given = {id(value._array) for _, _, value in seeds}

    def send(node: Any, index: int, value: Any) -> None:
        if targets is not None and (id(node), index) in targets:
            key = (id(node), index)
            found[key] = value if key not in found else F.add(found[key], value)
            if isinstance(node, Leaf):
                return
        slots = pending.get(node)
        if slots is None:
            count = 1 if isinstance(node, Leaf) else node.output_count
            slots = pending[node] = [None] * count
            heapq.heappush(heap, (-node.sequence, id(node), node))
        slots[index] = value if slots[index] is None else F.add(slots[index], value)

    tracer = mode.tracer
    previous, mode.grad = mode.grad, create_graph
    try:
        with nullcontext() if tracer is None else use_context(SizeContext(tracer.sizes.facts)):
            for node, index, value in seeds:
                send(node, index, value)
            while heap:
                node = heapq.heappop(heap)[2]
                slots = pending.pop(node)
                if hasattr(node, "hooks"):
                    slots = _hooked(node, slots)
                if isinstance(node, Leaf):
                    if targets is None:
                        _accumulate(node, slots[0], create_graph, given)
                    continue
                if tracer is not None:
                    tracer.regions.before_walk(node)
                    tracer.regions.targets = targets
                for (parent, index), value in zip(node.parents, node.backward(slots), strict=True):
                    if value is not None:
                        send(parent, index, value)
                if not retain_graph:
                    node.release() if tracer is None else tracer.regions.release(node)
    finally:
        mode.grad = previous
    return found


def _accumulate(leaf: Leaf, value: Any, create_graph: bool, given: set[int]) -> None:
    """Add a gradient to a leaf's. `given` holds the arrays that others hold too: a leaf's gradient is its own memory,
    which its owner may change in place."""
    tensor = leaf.tensor
    if mode.tracer is not None:
        value = mode.tracer.gradients.arriving(tensor, value)
    if tensor._grad is not None:
        tensor._grad = tensor._grad + value
    elif create_graph or mode.tracer is not None:
        tensor._grad = value if create_graph else value.detach()
    else:
        array = value._array
        shared = id(array) in given or array.base is not None
        given.add(id(array))
        tensor._grad = wrap(array.copy() if shared else array)


def _seed(output: Tensor, gradient: Any) -> Any:
    from .creation import ones_like

    if output._node is None:
        raise GradientError(
            "backward: the tensor does not depend on anything that requires a gradient",
            location=here(),
            advice="set requires_grad=True on its inputs, and compute it outside of no_grad()",
        )
    if gradient is not None:
        if tuple(gradient.shape) != tuple(output.shape):
            raise ArgumentError(
                "backward: the gradient's sizes differ from the output's",
                found=f"{list(gradient.shape)} != {list(output.shape)}",
                location=here(),
            )
        return gradient
    if output._array.size != 1:
        raise GradientError(
            "backward: the output is not a single number",
            found=f"sizes {list(output._array.shape)}",
            location=here(),
            advice="reduce it (sum(), mean()) or pass the gradient= to start from",
        )
    with_grad, mode.grad = mode.grad, False
    try:
        return ones_like(output)
    finally:
        mode.grad = with_grad


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of every leaf they depend on.

    Args:
        tensors: one or more tensors; each a single number unless its gradient is given.
        grad_tensors: the gradients to start from, of the tensors' sizes.
        retain_graph: keep what was saved, to walk back once more. Default: the value of `create_graph`.
        create_graph: record the gradient's own operations, for gradients of gradients.

    Raises:
        GradientError: when nothing requires a gradient, an op has none, or the tape was already freed.
    """
    outputs: list[Any] = list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]
    given = list(grad_tensors) if isinstance(grad_tensors, (list, tuple)) else [grad_tensors] * len(outputs)
    seeds = [(t._node, t._index, _seed(t, g)) for t, g in zip(outputs, given, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    _walk(seeds, create_graph=create_graph, retain_graph=retain, targets=None)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Gradients of `outputs` with respect to `inputs`, without touching any `.grad`.

    Returns:
        one tensor per input; None for one that the outputs do not depend on, where `allow_unused` permits that.

    Raises:
        GradientError: as `backward`, and for an unused input unless `allow_unused`.
    """
    sources: list[Any] = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    for i, source in enumerate(sources):
        if source._node is None:
            raise GradientError(f"grad: input {i} does not require a gradient", location=here())
    targets = {(id(s._node), s._index): s for s in sources}
    wanted: list[Any] = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    given = list(grad_outputs) if isinstance(grad_outputs, (list, tuple)) else [grad_outputs] * len(wanted)
    seeds = [(t._node, t._index, _seed(t, g)) for t, g in zip(wanted, given, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    found = _walk(seeds, create_graph=create_graph, retain_graph=retain, targets=targets)
    results = tuple(found.get((id(s._node), s._index)) for s in sources)
    if not allow_unused and any(result is None for result in results):
        unused = [i for i, result in enumerate(results) if result is None]
        raise GradientError(
            f"grad: the outputs do not depend on input {unused[0]}",
            location=here(),
            advice="pass allow_unused=True to get None",
        )
    return results
