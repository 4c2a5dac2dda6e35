"""One graph from two: the program in training and in evaluation, chosen at each call by its input `training`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ...ir.builder import Builder
from ...ir.errors import ArgumentError, CaptureError
from ...ir.graph import Graph, InsertionPoint, Value, same_graph
from ...ir.graph_copy import copy_nodes
from ...ir.program import Signature
from ...ir.types import BOOL
from ...ir.verifier import verify

__all__ = ["MODES", "TRAINING", "combine_graphs", "combine_signatures", "in_mode"]

MODES = ("train", "eval")
TRAINING = "training"
"""The parameter that chooses."""


@contextmanager
def in_mode(modules: Iterable[Any], training: bool) -> Iterator[None]:
    """Put modules into training or evaluation for the `with` block, and each back into its own mode afterwards."""
    every = list({id(inner): inner for module in modules for inner in module.modules()}.values())
    before = [(module, module.training) for module in every]
    inner = {id(child) for module in every for child in module.children()}
    try:
        for module in every:
            if id(module) not in inner:
                module.train(training)
        yield
    finally:
        for module, mode in before:
            module.training = mode


def combine_graphs(train: Graph, evaluation: Graph) -> Graph:
    """A graph with one more input, `training`, that does what the one or the other does. State that one of them does
    not update stays as it is there.

    Raises:
        CaptureError: when they take or give values of different types.
    """
    _check_types(train, evaluation)
    new = Graph(train.name)
    inputs = [new.add_input(value.name, value.type, value.location) for value in train.inputs]
    training = new.add_input(TRAINING, BOOL)
    for graph in (train, evaluation):
        for key, value in graph.state.items():
            if key not in new.state:
                new.add_state(key, value.type, value.name, value.location)
        new.assumptions += [a for a in graph.assumptions if all(a.relation != b.relation for b in new.assumptions)]
    keys = tuple(dict.fromkeys([*train.updates, *evaluation.updates]))
    if same_graph(train, evaluation, names=False, locations=False) is None:
        outputs = _fill(new, train, InsertionPoint.end(new.block), inputs, keys)
    else:
        outputs = _branch(new, training, train, evaluation, inputs, keys)
    count = len(train.outputs)
    new.set_return(outputs[:count], dict(zip(keys, outputs[count:], strict=True)))
    verify(new)
    return new


def _branch(
    new: Graph, training: Value, train: Graph, evaluation: Graph, inputs: list[Value], keys: tuple[str, ...]
) -> list[Value]:
    """Both graphs as the blocks of an `If`."""
    types = [value.type for value in train.outputs] + [new.state[key].type for key in keys]
    names = [value.name for value in train.outputs] + [f"{key}.new" for key in keys]
    node = Builder(new).emit("prim::If", [training], types=types, names=names)
    for graph in (train, evaluation):
        block = node.add_block()
        block.set_returns(_fill(new, graph, InsertionPoint.end(block), inputs, keys))
    return list(node.outputs)


def _fill(new: Graph, graph: Graph, point: InsertionPoint, inputs: list[Value], keys: tuple[str, ...]) -> list[Value]:
    """Copy what a graph does; gives its outputs and the new state under the given keys."""
    values: dict[Value, Value] = dict(zip(graph.inputs, inputs, strict=True))
    values |= {value: new.state[key] for key, value in graph.state.items()}
    copy_nodes(graph.block, point, values)
    updates = graph.updates
    found = [*graph.outputs, *(updates[key] for key in keys if key in updates)]
    made = iter([values.get(value, value) for value in found])
    outputs = [next(made) for _ in graph.outputs]
    return outputs + [next(made) if key in updates else new.state[key] for key in keys]


def _check_types(train: Graph, evaluation: Graph) -> None:
    for what, ours, theirs in (
        ("takes", train.inputs, evaluation.inputs),
        ("gives", train.outputs, evaluation.outputs),
    ):
        mine, other = ([str(value.type) for value in values] for values in (ours, theirs))
        if mine != other:
            raise CaptureError(
                f"@{train.name} {what} other values in training than in evaluation",
                expected=f"({', '.join(mine)}), as in training",
                found=f"({', '.join(other)}) in evaluation",
                advice="trace the modes one by one, or as entry points of their own",
            )


def combine_signatures(train: Signature, evaluation: Signature, training: bool) -> Signature:
    """The signature of the combined graph.

    Raises:
        CaptureError: when the results are built differently.
        ArgumentError: when the function has a parameter `training` of its own.
    """
    if TRAINING in train.parameters:
        raise ArgumentError(
            'modes=("train", "eval") adds a parameter named training, which the function has already',
            advice="rename the function's parameter, or trace it without modes",
        )
    if train.result != evaluation.result or (train.writes, train.copies) != (evaluation.writes, evaluation.copies):
        raise CaptureError(
            "the program's result is built differently in training and in evaluation",
            expected="the same structure with the same constants, and the same inputs changed in place",
            advice="trace the modes one by one, or as entry points of their own",
        )
    if train.after or evaluation.after:
        raise CaptureError(
            "the program changes lists or dicts among its arguments, which two modes do not do alike",
            advice="trace the modes one by one, or return the new values",
        )
    return replace(
        train,
        parameters=(*train.parameters, TRAINING),
        arguments=(*train.arguments, {"kind": "number", "type": "bool"}),
        kinds=(*(train.kinds or ("",) * len(train.parameters)), "="),
        defaults={**train.defaults, TRAINING: {"kind": "constant", "value": training}},
    )
