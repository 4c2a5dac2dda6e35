"""The rules that a program record keeps, beyond those of each graph: its parts fit each other.

Writers and readers ask the same questions, so that what is written can be read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.errors import VerifyError
from ..ir.graph import Graph
from ..ir.program import Example, ProgramRecord, Signature
from ..ir.types import KeyType, ScalarType, TensorType, Type
from .call_rules import check_call
from .nested_values import count_leaves
from .tables import RESERVED_PREFIX

__all__ = ["check_record"]


def check_record(record: ProgramRecord) -> None:
    """Whether state, signatures and examples fit the graphs.

    Raises:
        VerifyError: naming the part that does not.
    """
    if not record.graphs:
        raise VerifyError("the program has no entry point")
    if record.signatures.keys() != record.graphs.keys():
        odd = sorted(record.signatures.keys() ^ record.graphs.keys())[0]
        raise VerifyError(f"entry point {odd!r} lacks its graph or its signature")
    for entry, graph in record.graphs.items():
        _check_signature(entry, record.signatures[entry], graph)
        for key, value in graph.state.items():
            _check_state(graph, key, value.type, record.state.get(key))
    _check_names(record)
    for number, example in enumerate(record.examples):
        _check_example(number, example, record)


def _check_signature(entry: str, signature: Signature, graph: Graph) -> None:
    if len(signature.parameters) != len(signature.arguments):
        raise VerifyError(f"entry point {entry!r}: parameters and arguments differ in number")
    if len(set(signature.parameters)) != len(signature.parameters):
        raise VerifyError(f"entry point {entry!r}: two parameters of one name")
    arguments = sum(count_leaves(tree) for tree in signature.arguments)
    results = count_leaves(signature.result) + len(signature.writes)
    results += sum(count_leaves(tree) for tree in signature.after.values())
    for what, leaves, values in ("arguments", arguments, graph.inputs), ("results", results, graph.outputs):
        if leaves != len(values):
            raise VerifyError(
                f"entry point {entry!r}: its signature does not match its graph",
                expected=f"{len(values)} {what}",
                found=f"{leaves} in the signature",
            )

    check_call(entry, signature, graph)


def _check_state(graph: Graph, key: str, type_: Type, array: np.ndarray[Any, Any] | None) -> None:
    if array is None:
        raise VerifyError(f"state {key!r} of @{graph.name} is missing")
    if not _fits(array, type_):
        raise VerifyError(
            f"state {key!r} does not fit @{graph.name}",
            expected=str(type_),
            found=f"an array of {array.dtype}{list(array.shape)}",
        )


def _fits(array: np.ndarray[Any, Any], type_: Type) -> bool:
    """Whether an array can be a value of the type; symbolic sizes are checked when they are bound, at the call."""
    if isinstance(type_, KeyType):
        return array.dtype == np.uint64 and array.shape == (2,)
    if isinstance(type_, ScalarType):
        return array.ndim == 0 and {"b": "bool", "i": "int", "f": "float"}.get(array.dtype.kind) == type_.name
    if not isinstance(type_, TensorType) or array.dtype != type_.dtype.np or array.ndim != type_.ndim:
        return False
    return all(size == n for size, n in zip(type_.sizes, array.shape, strict=True) if isinstance(size, int))


def _check_names(record: ProgramRecord) -> None:
    for name in record.state:
        if name.startswith(RESERVED_PREFIX):
            raise VerifyError(
                f"state {name!r} has a reserved name", expected=f"none that begins with {RESERVED_PREFIX}"
            )
    if len(set(record.trainable)) != len(record.trainable):
        raise VerifyError("a trainable name stands there twice")
    for name in record.trainable:
        if name not in record.state:
            raise VerifyError(f"the trainable {name!r} is not a name of the state")


def _check_example(number: int, example: Example, record: ProgramRecord) -> None:
    graph = record.graphs.get(example.entry)
    if graph is None:
        raise VerifyError(f"example {number} is of an entry point {example.entry!r} that does not exist")
    for what, arrays, values in ("inputs", example.inputs, graph.inputs), ("outputs", example.outputs, graph.outputs):
        if len(arrays) != len(values):
            raise VerifyError(f"example {number}: {len(arrays)} {what}", expected=f"{len(values)} {what}")
