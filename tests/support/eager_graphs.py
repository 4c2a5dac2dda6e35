"""Graphs run as eager programs: each node as an op on tensors, branches and loops by Python's own.

So the tape gives the gradient of a graph, which that of the `differentiate` pass is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ingot
from ingot.frontend.dispatch import EAGER
from ingot.ir.binding import SizeBinder, solve_sizes
from ingot.ir.graph import Block, Graph, Node, Value
from ingot.ir.interpreter import evaluate_attr
from ingot.ir.sizes import SizeExpr, free_vars
from ingot.ir.types import TensorType

__all__ = ["run_eagerly"]


def run_eagerly(graph: Graph, inputs: Sequence[Any], state: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The outputs and updates of a graph, from tensors, numbers and keys."""

    def plain(x: Any) -> Any:
        return x.detach().numpy() if isinstance(x, ingot.Tensor) else x

    sizes = SizeBinder(graph)([plain(x) for x in inputs], {k: plain(v) for k, v in state.items()})
    values = dict(zip(graph.block.params, [*inputs, *(state[key] for key in graph.state)], strict=True))
    _run(graph.block, values, dict(sizes))
    count = len(graph.outputs)
    found = [values[value] for value in graph.block.returns]
    return found[:count], dict(zip(graph.updates, found[count:], strict=True))


def _run(block: Block, values: dict[Value, Any], sizes: dict[str, int]) -> list[Any]:
    sizes = dict(sizes)  # what a block binds ends with it
    for param in block.params:
        _learn(param, values[param], sizes)
    for node in block.nodes:
        found = _node(node, values, sizes)
        for output, value in zip(node.outputs, found, strict=True):
            values[output] = value
            _learn(output, value, sizes)
    return [values[value] for value in block.returns]


def _learn(value: Value, found: Any, sizes: dict[str, int]) -> None:
    type_ = value.type
    if isinstance(type_, TensorType) and any(
        isinstance(s, SizeExpr) and free_vars(s) - sizes.keys() for s in type_.sizes
    ):
        solve_sizes(type_, tuple(found.shape), sizes)


def _node(node: Node, values: dict[Value, Any], sizes: dict[str, int]) -> Sequence[Any]:
    inputs = [values[value] for value in node.inputs]
    name = node.op.name
    if name == "prim::Bind":
        sizes[str(node.attrs["variable"])] = int(inputs[0])
        return []
    attrs = {key: evaluate_attr(value, sizes) for key, value in node.attrs.items()}
    if name == "prim::If":
        return _run(node.blocks[0 if bool(inputs[0]) else 1], values, sizes)
    if name == "prim::Loop":
        return _loop(node, inputs, values, sizes)
    if name in ("prim::Constant", "prim::Size"):
        value = attrs["value"]
        return [ingot.tensor(value) if hasattr(value, "dtype") else value]
    if name == "prim::Item":
        return [inputs[0].item()]
    if name == "prim::Assert":
        assert inputs[0]
        return []
    if name == "prim::Split":
        return node.op.kernel(inputs[0])
    found = EAGER.apply(node.op, inputs, attrs)
    return found if isinstance(found, tuple) else [found]


def _loop(node: Node, inputs: Sequence[Any], values: dict[Value, Any], sizes: dict[str, int]) -> list[Any]:
    trips, going, *carried = inputs
    (block,) = node.blocks
    stacks: list[list[Any]] = [[] for _ in node.outputs[len(carried) :]]
    done = 0
    while going and done < trips:
        values.update(zip(block.params, [done, *carried], strict=True))
        going, *yielded = _run(block, values, sizes)
        carried = yielded[: len(carried)]
        for stack, value in zip(stacks, yielded[len(carried) :], strict=True):
            stack.append(value)
        done += 1
    return [*carried, *(_stacked(s, o, sizes) for s, o in zip(stacks, node.outputs[len(carried) :], strict=True))]


def _stacked(stack: list[Any], output: Value, sizes: dict[str, int]) -> Any:
    if stack:
        return ingot.stack(stack)
    assert isinstance(output.type, TensorType)
    known = [
        evaluate_attr(s, sizes) if not isinstance(s, SizeExpr) or free_vars(s) <= sizes.keys() else 0
        for s in output.type.sizes[1:]
    ]
    return ingot.zeros(0, *known, dtype=output.type.dtype)
