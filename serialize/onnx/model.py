"""The protocol buffers: scopes as graphs, the graph as a model, and the limits of the format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ...ir.errors import ExportError
from .opsets import ir_version, require_onnx
from .shapes import node_proto, tensor_proto, type_proto
from .values import OnnxNode, OnnxValue, Scope

__all__ = ["MAX_BYTES", "build_model", "check_model"]

MAX_BYTES = 2**31 - 1
"""What one protocol buffer may hold."""


def build_model(top: Scope, name: str, opset: int, doc: str, properties: Mapping[str, str]) -> Any:
    """A model of a graph from which what is unused has been dropped.

    Raises:
        ExportError: when its constants are too large for one file.
    """
    onnx = require_onnx()
    constants = _constants(top)
    _check_bytes(constants)
    graph = _graph_proto(top, name)
    graph.initializer.extend(tensor_proto(value.name, value.array) for value in constants)  # type: ignore[arg-type]
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        ir_version=ir_version(opset),
        producer_name="ingot",
        producer_version=_version(),
        doc_string=doc,
    )
    onnx.helper.set_model_props(model, dict(properties))
    return model


def check_model(model: Any) -> None:
    """Let ONNX's own checker look at a model, types and shapes of all nodes included.

    Raises:
        ExportError: when it finds fault.
    """
    onnx = require_onnx()
    if model.ByteSize() > MAX_BYTES:
        raise _too_large(model.ByteSize(), ())
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        text = str(error).strip()
        raise ExportError(
            "ONNX's checker refuses the model",
            found=text.replace("\n", "\n            "),
            advice="the ONNX form of an op is wrong: please report it; check=False gives the model as it is",
        ) from None


def _version() -> str:
    try:
        return version("ingot")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return ""


# -- parts


def _graph_proto(scope: Scope, name: str) -> Any:
    onnx = require_onnx()
    graph = onnx.GraphProto(name=name)
    graph.input.extend(map(_value_info, scope.inputs))
    graph.output.extend(map(_value_info, scope.outputs))
    outputs = set(map(id, scope.outputs))
    for node in scope.nodes:
        graph.node.append(_node_proto(node))
        inner = (value for value in node.outputs if id(value) not in outputs and value.dtype is not None)
        graph.value_info.extend(_value_info(value) for value in inner if value.known_shape is not None)
    return graph


def _value_info(value: OnnxValue) -> Any:
    assert value.dtype is not None
    return require_onnx().ValueInfoProto(name=value.name, type=type_proto(value.dtype, value.known_shape))


def _node_proto(node: OnnxNode) -> Any:
    helper = require_onnx().helper
    bodies = {name: value for name, value in node.attrs.items() if isinstance(value, Scope)}
    plain = OnnxNode(
        node.op_type, node.inputs, {k: v for k, v in node.attrs.items() if k not in bodies}, node.name, node.doc, None
    )
    plain.outputs = node.outputs
    proto = node_proto(plain, doc=True)
    for name, body in bodies.items():
        proto.attribute.append(helper.make_attribute(name, _graph_proto(body, f"{node.name}.{name}")))
    return proto


def _constants(scope: Scope) -> list[OnnxValue]:
    """The constants that the nodes use, each once, in order of use."""
    found: dict[int, OnnxValue] = {}
    for node in _nodes(scope):
        for value in node.inputs:
            if value is not None and value.array is not None:
                found.setdefault(id(value), value)
    return list(found.values())


def _nodes(scope: Scope) -> Iterator[OnnxNode]:
    for node in scope.nodes:
        yield node
        for body in node.bodies:
            yield from _nodes(body)


def _check_bytes(constants: Sequence[OnnxValue]) -> None:
    total = sum(_array(value).nbytes for value in constants)
    if total > MAX_BYTES:
        raise _too_large(total, sorted(constants, key=lambda value: -_array(value).nbytes)[:3])


def _array(value: OnnxValue) -> np.ndarray[Any, Any]:
    assert value.array is not None
    return value.array


def _too_large(total: int, largest: Sequence[OnnxValue]) -> ExportError:
    return ExportError(
        "the model is too large for one ONNX file",
        expected=f"at most {MAX_BYTES:,} bytes, which is what a protocol buffer may hold",
        found=f"{total:,} bytes",
        notes=tuple(f"{value.name}: {_array(value).nbytes:,}" for value in largest),
        advice="export it in parts, or in half precision: module.half()",
    )
