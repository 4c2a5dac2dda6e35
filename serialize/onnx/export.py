"""`export` and `to_model`: a captured program as an ONNX model.

The captured graph goes through the light passes and is translated op by op, so that the file shows what the user
wrote: parameters under their paths, batch normalisation as such, source lines as doc strings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...ir.arrays import to_device
from ...ir.errors import ArgumentError, ExportError
from ...ir.gc_pause import paused_gc
from ...ir.graph import Graph, Value
from ...ir.program import ProgramRecord, Signature
from ...ir.sizes import SizeExpr
from ...ir.types import KeyType, TensorType
from ...passes import run_pipeline
from ...passes.manager import assumed
from ..atomic import write_atomically
from .algebra import OnnxAlgebra
from .control_flow import own_outputs, tensor_type
from .model import build_model, check_model
from .naming import Names, output_names
from .opsets import Operators
from .translate import Failure, Translator
from .values import OnnxValue

__all__ = ["export", "to_model"]

PASSES: Final = "drop_user_gradients,canonicalize,fold,cse,dce"
"""What is done to the graph first: nothing that a reader of the file would not recognise."""


def export(
    program: Any,
    path: str | os.PathLike[str],
    *,
    entry: str | None = None,
    opset_version: int = 20,
    check: bool = True,
    doc_strings: bool = True,
) -> None:
    """Write a program to an ONNX file.

    Dynamic sizes of the program are dynamic in the file, under their names. The file is written whole or not at all.

    Args:
        program: a `Program`, or its record.
        path: the file to write, by custom `something.onnx`.
        entry: the entry point; `forward`, or the first one, by default.
        opset_version: which version of ONNX's operators to write, from 13 on. Older readers need older ones; the
            file format's own version is the one that came with the opset.
        check: let ONNX's checker look at the model before it is written.
        doc_strings: let nodes carry the source lines that they come from.

    Raises:
        UnsupportedError: when the package onnx is not installed.
        ExportError: for a program that updates state or draws random numbers, for ops that have no ONNX form (all of
            them at once, each with its reason and line), for a model over 2 GB.
        ArgumentError: for an unknown entry point or opset.
        OSError: when the file cannot be written.

    >>> import ingot, os, tempfile
    >>> program = ingot.jit.trace(lambda x: (x * 2).relu(), ingot.ones(3, 4), dynamic_shapes={0: "batch"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ingot.onnx.export(program, os.path.join(folder, "double.onnx"))
    """
    model = to_model(program, entry=entry, opset_version=opset_version, check=check, doc_strings=doc_strings)
    write_atomically(path, [model.SerializeToString(deterministic=True)])


def to_model(
    program: Any,
    *,
    entry: str | None = None,
    opset_version: int = 20,
    check: bool = True,
    doc_strings: bool = True,
) -> Any:
    """A program as an `onnx.ModelProto`; arguments and errors are those of `export`.

    >>> import ingot
    >>> program = ingot.jit.trace(lambda x: x.relu(), ingot.ones(3), dynamic_shapes={0: "n"})
    >>> model = ingot.onnx.to_model(program)
    >>> [node.op_type for node in model.graph.node], model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    (['Relu'], 'n')
    """
    operators = Operators(opset_version)
    if getattr(type(program), "__ingot_scripted__", False):
        program = program.program()
    record = getattr(program, "record", program)
    if not isinstance(record, ProgramRecord):
        raise ArgumentError(
            f"onnx.export: program is of type {type(program).__name__}",
            expected="a Program",
            advice="capture it first: ingot.jit.trace(model, example_inputs)",
        )
    name = _entry_name(record, entry)
    graph = record.graphs[name].copy()
    with paused_gc():
        run_pipeline(graph, PASSES)
        _refuse_effects(graph)
        _refuse_writes(graph, record.signatures.get(name))
        with assumed(graph):
            E = _written(graph, record.state, record.signatures.get(name), operators, doc_strings)
        model = build_model(E.top, name, opset_version, _headline(graph), _properties(graph))
    if check:
        check_model(model)
    return model


def _entry_name(record: ProgramRecord, entry: str | None) -> str:
    names = list(record.graphs)
    if entry is None:
        return "forward" if "forward" in names else names[0]
    if entry not in names:
        raise ArgumentError(f"onnx.export: no entry point {entry!r}", expected=f"one of {', '.join(names)}")
    return entry


def _refuse_effects(graph: Graph) -> None:
    """ONNX models are pure functions of their inputs.

    Raises:
        ExportError: when the graph updates state, or gets a random key.
    """
    if updates := list(graph.updates):
        shown = ", ".join(updates[:6]) + (f" and {len(updates) - 6} more" if len(updates) > 6 else "")
        raise ExportError(
            f"@{graph.name} updates its state, which an ONNX model cannot",
            found=f"updates of {shown}",
            advice="trace it in evaluation mode: model.eval() before ingot.jit.trace",
        )
    keys = [v.name for v in graph.inputs if _is_key(v)]
    keys += [key for key, v in graph.state.items() if _is_key(v) and v.use_count]
    if keys:
        raise ExportError(
            f"@{graph.name} draws random numbers, for which ONNX has generators of its own",
            found=f"the random state {', '.join(keys)}",
            advice="trace it in evaluation mode: model.eval() before ingot.jit.trace",
        )


def _refuse_writes(graph: Graph, signature: Signature | None) -> None:
    """ONNX models do not change their inputs.

    Raises:
        ExportError: when the program writes to its arguments.
    """
    if signature is None or not (signature.writes or signature.after):
        return
    names = [graph.inputs[number].name for number in signature.writes] + list(signature.after)
    raise ExportError(
        f"@{graph.name} changes its arguments, which an ONNX model cannot",
        found=f"changes of {', '.join(names)}",
        advice='trace it with mutates="copy", and let it return what it changes',
    )


def _is_key(value: Value) -> bool:
    return isinstance(value.type, KeyType)


# -- the graph


def _written(
    graph: Graph,
    state: Mapping[str, np.ndarray[Any, Any]],
    signature: Signature | None,
    operators: Operators,
    doc_strings: bool,
) -> OnnxAlgebra:
    """The graph as ONNX nodes.

    Raises:
        ExportError: with every node that cannot be written.
    """
    names = Names()
    E = OnnxAlgebra(operators, names)
    E.top.inputs = [_input(E, names, value) for value in graph.inputs]
    wanted = output_names(None if signature is None else signature.result, len(graph.outputs))
    outputs = [names.take(name) for name in wanted]
    params = [*E.top.inputs, *(_parameter(E, names, key, value, state[key]) for key, value in graph.state.items())]
    E.sizes.bind_shapes(E.top.inputs)
    translator = Translator(E, doc_strings)
    results = translator.block(graph.block, params)
    if translator.failures:
        raise _refusal(graph, translator.failures)
    E.top.outputs = own_outputs(E, results)
    for name, value, typed in zip(outputs, E.top.outputs, graph.outputs, strict=True):
        value.name = name
        value.shape = tensor_type(typed.type, f"output {name}")[1]
    E.top.drop_unused()
    return E


def _input(E: OnnxAlgebra, names: Names, value: Value) -> OnnxValue:
    dtype, sizes = tensor_type(value.type, f"input {value.name}")
    return OnnxValue(dtype, sizes, E.top, names.take(value.name))


def _parameter(E: OnnxAlgebra, names: Names, key: str, value: Value, array: np.ndarray[Any, Any]) -> Any:
    """A parameter or buffer: a constant under its own name."""
    if not value.use_count:
        return None
    dtype, sizes = tensor_type(value.type, f"state {key!r}")
    for size, known in zip(sizes, array.shape, strict=True):
        if isinstance(size, SizeExpr) and str(size).isidentifier():
            E.sizes.bind(str(size), int(known))
    return OnnxValue(dtype, array.shape, E.top, names.take(key), array=to_device(array, "cpu"), is_state=True)


def _refusal(graph: Graph, failures: Sequence[Failure]) -> ExportError:
    """One error for all nodes, those with the same reason together."""
    grouped: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        grouped.setdefault((failure.op, failure.why), []).append(failure)
    count = len(failures)
    lines = [
        f"@{graph.name} cannot be exported to ONNX: {count} operation{'s' if count > 1 else ''} without an ONNX form"
    ]
    for (op, why), places in grouped.items():
        lines.append(f"  {op}: {why}")
        lines += [f"      {_place(failure)}" for failure in places[:5]]
        if len(places) > 5:
            lines.append(f"      and {len(places) - 5} more times")
    first = failures[0]
    single = {"location": first.location, "path": first.path} if count == 1 else {}
    return ExportError("\n".join(lines if count > 1 else [f"{lines[0]}", f"  {first.op}: {first.why}"]), **single)  # type: ignore[arg-type]


def _place(failure: Failure) -> str:
    if failure.location is None:
        return f"({failure.path})" if failure.path else "at an unknown line"
    path = f"  ({failure.path})" if failure.path else ""
    return f"at {failure.location}{path}  {failure.location.source.strip()}".rstrip()


# -- what a reader sees first


def _headline(graph: Graph) -> str:
    inputs = ", ".join(f"{value.name}: {_plain(value)}" for value in graph.inputs)
    outputs = ", ".join(_plain(value) for value in graph.outputs)
    return f"{graph.name}({inputs}) -> {outputs}"


def _plain(value: Value) -> str:
    type_ = value.type
    return f"{type_.dtype.name}[{', '.join(map(str, type_.sizes))}]" if isinstance(type_, TensorType) else str(type_)


def _properties(graph: Graph) -> dict[str, str]:
    """What was assumed of the dynamic sizes when the program was captured, which ONNX has no check for."""
    assumed_sizes = [str(assumption.relation) for assumption in graph.assumptions]
    return {"ingot.assumptions": "; ".join(assumed_sizes)} if assumed_sizes else {}
