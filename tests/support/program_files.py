"""Program records and files for tests: made from the text of graphs, taken apart, and damaged on purpose."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from ingot.ir.graph import Graph
from ingot.ir.parser import parse_all
from ingot.ir.program import ProgramRecord, Signature
from ingot.ir.types import KeyType, ScalarType, TensorType, Type
from ingot.serialize.container import pack, read_container

LEAF = {"kind": "leaf"}


def record_of(text: str, **parts: Any) -> ProgramRecord:
    """A program of the graphs in a text, with made-up state and signatures of leaves alone.

    Args:
        parts: fields of the record to be taken instead.
    """
    graphs = {graph.name: graph for graph in parse_all(text)}
    rng = np.random.default_rng(7)
    state = {key: _array(value.type, rng) for graph in graphs.values() for key, value in graph.state.items()}
    signatures = {name: leaves_only(graph) for name, graph in graphs.items()}
    return ProgramRecord(**{"graphs": graphs, "state": state, "signatures": signatures, **parts})


def leaves_only(graph: Graph) -> Signature:
    """The signature of a graph that takes its inputs one by one and returns a tuple."""
    names = tuple(value.name for value in graph.inputs)
    return Signature(names, (LEAF,) * len(names), {"kind": "tuple", "items": [LEAF] * len(graph.outputs)})


def _array(type_: Type, rng: np.random.Generator) -> np.ndarray:
    if isinstance(type_, KeyType):
        return rng.integers(0, 2**63, 2, np.uint64)
    if isinstance(type_, ScalarType):
        return np.array(1, {"int": np.int64, "float": np.float64, "bool": np.bool_}[type_.name])
    assert isinstance(type_, TensorType)
    shape = tuple(size if isinstance(size, int) else 3 for size in type_.sizes)
    return (rng.standard_normal(shape) * 4).astype(type_.dtype.np)


def document_of(data: bytes) -> dict[str, Any]:
    """The JSON document in a program file."""
    return json.loads(read_container(data).metadata["ingot"])


def with_document(data: bytes, document: Any) -> bytes:
    """The file with another document, which may be a JSON value or its text; the tensors stay."""
    text = document if isinstance(document, str) else json.dumps(document, sort_keys=True, separators=(",", ":"))
    return b"".join(pack({"ingot": text}, read_container(data).tensors))


def edited(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The file with a change made to its document, in place."""
    document = document_of(data)
    change(document)
    return with_document(data, document)


def with_header(header: Any, body: bytes = b"") -> bytes:
    """A safetensors file with the given header, a JSON value or text, however wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body
