"""The derivative of a graph of one op, for every differentiable op and sample call: it is what the declaration gives,
for sizes that are known and for sizes that are symbols."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import difference
from finite_differences import differentiable_inputs, first_order
from ingot.ir.algebra import type_of
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float64
from ingot.ir.graph import Assumption, Graph
from ingot.ir.interpreter import interpret
from ingot.ir.registry import NotDifferentiable, Op, all_ops
from ingot.ir.sizes import AssumingContext, SizeRelation, use_context, var
from ingot.ir.types import TensorType, Type
from ingot.ir.verifier import verify
from ingot.passes import derivative
from samples import Sample, samples

OPS = [op for op in all_ops() if op.kind != "prim" and op.name.startswith("ingot::")]
SMOOTH = [op for op in OPS if not isinstance(op.grad, NotDifferentiable)]
SIZES_IN_ATTRIBUTES = {"sum_pool2d_grad", "adaptive_sum_pool2d_grad", "conv2d_input_grad", "conv2d_weight_grad"}
"""Ops that take sizes as attributes, where the samples have numbers: those would have to be symbols too."""
HINTS = {f"n{size}": size for size in range(2, 200)}


def symbolic(type_: Type) -> Type:
    """A type with a variable for every size from 2 up: one variable for each number."""
    if not isinstance(type_, TensorType):
        return type_
    return type_.with_(sizes=tuple(var(f"n{s}", lo=1) if isinstance(s, int) and s >= 2 else s for s in type_.sizes))


def call(op: Op, sample: Sample, symbols: bool) -> tuple[Graph, list[Any], dict[int, int]]:
    """A graph of the call, its inputs, and which input each operand is. Absent operands are constants."""
    graph = Graph("call")
    operands, given, places = [], [], {}
    found: list[SizeRelation] = []
    with use_context(AssumingContext(HINTS, found.append)):
        for i, x in enumerate(sample.inputs):
            if x is None or not hasattr(x, "dtype"):
                operands.append(Builder(graph).constant(x))
                continue
            type_ = type_of(x)
            places[i] = len(given)
            operands.append(graph.add_input(f"x{i}", symbolic(type_) if symbols else type_))
            given.append(x)
        node = Builder(graph).emit(op, operands, sample.attrs)
    graph.set_return(node.outputs)
    graph.assumptions = [Assumption(relation) for relation in found]
    return graph, given, places


CASES = [
    (op, symbols) for op in SMOOTH for symbols in (False, True) if not (symbols and op.short in SIZES_IN_ATTRIBUTES)
]


@pytest.mark.parametrize(("op", "symbols"), CASES, ids=lambda x: x.short if isinstance(x, Op) else str(x))
def test_derivatives_of_single_ops(op: Op, symbols: bool, rng: np.random.Generator) -> None:
    for sample in samples(op.name, rng, float64):
        wanted = differentiable_inputs(op, sample)
        if not wanted:
            continue
        graph, given, places = call(op, sample, symbols)
        found = derivative(graph, [places[i] for i in wanted])
        for part in (found.forward, found.backward, found.joint):
            verify(part)
        types = [value.type.dtype for value in graph.outputs]
        shapes = [np.shape(y) for y in interpret(graph, given)[0]]
        seeds = [
            rng.uniform(-1, 1, shape).astype(t.np) if t.is_floating_point else None
            for t, shape in zip(types, shapes, strict=True)
        ]
        with np.errstate(all="ignore"):
            outputs, _ = interpret(found.forward, given)
            saved = [{"input": given, "output": outputs}[s.kind][s.key] for s in found.saved]
            gradients, _ = interpret(found.backward, [*saved, *(seeds[i] for i in found.seeds)])
            expected = first_order(op, sample, seeds, wanted)
        for i, place in zip(wanted, found.places, strict=True):
            a = np.zeros(np.shape(sample.inputs[i])) if place is None else gradients[place]
            b = expected.get(i, np.zeros(np.shape(sample.inputs[i])))
            assert a.shape == b.shape and difference(a, b) < 1e-10, f"{op.short}({sample}): input {i}"
