"""Programs of single calls, and running ONNX models by ONNX Runtime, or ONNX's reference where that has no kernel."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from ingot.ir.algebra import type_of
from ingot.ir.builder import Builder
from ingot.ir.graph import Graph
from ingot.ir.program import ProgramRecord, Signature
from ingot.ir.registry import lookup
from ingot.ir.sizes import var
from ingot.ir.types import TensorType
from onnx.reference import ReferenceEvaluator

__all__ = ["calls", "record", "run", "session"]

LEAF = {"kind": "leaf"}
_STATES = onnxruntime.capi.onnxruntime_pybind11_state
_MISSING = (_STATES.NotImplemented, _STATES.RuntimeException)


def record(graph: Graph, state: Mapping[str, np.ndarray] | None = None, result: Any = None) -> ProgramRecord:
    """A program of one graph; its result is a tuple unless `result` says otherwise."""
    result = result or {"kind": "tuple", "items": [LEAF] * len(graph.outputs)}
    names = tuple(value.name for value in graph.inputs)
    signature = Signature(names, (LEAF,) * len(names), result)
    return ProgramRecord({graph.name: graph}, dict(state or {}), {graph.name: signature})


def calls(op_name: str, samples: Sequence[Any], symbolic: bool = False) -> tuple[ProgramRecord, dict[str, np.ndarray]]:
    """A program that makes several calls of an op, each on inputs of its own; and those inputs by name.

    Args:
        symbolic: let the first dimension of every input be a size variable; equal sizes of one call are one variable.
    """
    graph = Graph()
    builder = Builder(graph)
    feeds: dict[str, np.ndarray] = {}
    outputs = []
    for k, sample in enumerate(samples):
        operands = []
        for i, x in enumerate(sample.inputs):
            if not isinstance(x, np.ndarray):
                operands.append(builder.constant(x))
                continue
            type_ = type_of(x)
            if symbolic and isinstance(type_, TensorType) and x.ndim and x.shape[0] > 1:
                type_ = type_.with_(sizes=(var(f"n{k}_{x.shape[0]}", lo=2), *x.shape[1:]))
            value = graph.add_input(f"x{k}_{i}", type_)
            feeds[value.name] = x
            operands.append(value)
        outputs += builder.emit(lookup(op_name), operands, sample.attrs).outputs
    graph.set_return(outputs)
    return record(graph), feeds


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """The model in ONNX Runtime, as it is: without its graph optimisations, and quietly."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], str]:
    """The model's results, and what has run it: `"runtime"` or `"reference"`."""
    known = {value.name for value in model.graph.input}
    feeds = {name: np.ascontiguousarray(x).reshape(x.shape) for name, x in feeds.items() if name in known}
    if _runtime_takes(feeds, model):
        try:
            return session(model).run(None, feeds), "runtime"
        except _MISSING:
            pass  # it has no kernel for an operator in this dtype, and says so at load or at run time
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        return ReferenceEvaluator(model).run(None, feeds), "reference"


def _runtime_takes(feeds: Mapping[str, np.ndarray], model: onnx.ModelProto) -> bool:
    """Whether NumPy arrays can be handed over and got back: bfloat16 ones cannot."""
    types = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    return onnx.TensorProto.BFLOAT16 not in types
