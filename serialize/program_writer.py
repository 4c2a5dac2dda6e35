"""A program record as a JSON document and tensors; `program_reader` is the way back.

The document's keys: `format` (the version), `entries` (entry points, each with its graph and signature), `state` and
`trainable` (names), `ledger`, `extras`, `examples` (entry point, numbers of inputs and outputs), and the tables that
graphs share: `ops`, `strings`, `places`, `constants`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ..ir.errors import ArgumentError
from ..ir.gc_pause import paused_gc
from ..ir.graph import Graph
from ..ir.program import Example, ProgramRecord, Signature
from ..ir.verifier import verify
from .graph_writer import write_graph
from .ledger_rows import write_entry
from .limits import MAX_NAME, MAX_NODES, MAX_TEXT
from .nested_values import encode_extra
from .record_rules import check_record
from .signature_rows import encode_signature, is_plain_signature
from .strict_json import is_text
from .tables import RESERVED_PREFIX, TableWriter

__all__ = ["EXAMPLE_PREFIX", "FORMAT_VERSION", "example_tensor", "write_program"]

FORMAT_VERSION: Final = 2
EXAMPLE_PREFIX: Final = RESERVED_PREFIX + "example/"

_Tensors = dict[str, "np.ndarray[Any, Any]"]


@paused_gc()
def write_program(record: ProgramRecord, sources: bool) -> tuple[dict[str, Any], _Tensors]:
    """The JSON document of a program, and its tensors by name.

    Args:
        record: the program; every graph goes through the verifier first.
        sources: whether source lines are kept.

    Raises:
        VerifyError: when a graph breaks a rule, or the parts of the program do not fit each other.
        ArgumentError: for something that a file does not hold.
    """
    _check_size(record)
    for graph in record.graphs.values():
        verify(graph)
    check_record(record)
    tables = TableWriter(sources)
    entries = [_entry_row(name, graph, record.signatures[name], tables) for name, graph in record.graphs.items()]
    ledger = [write_entry(entry, tables) for entry in record.ledger]
    state_rows, tensors = _state_rows(record.state)
    example_rows = [_example_row(i, example, tensors) for i, example in enumerate(record.examples)]
    tensors |= tables.constants
    document = {
        "entries": entries,
        "examples": example_rows,
        "extras": encode_extra(record.extras, "extras"),
        "format": 1 if _fits_first_version(record, ledger) else FORMAT_VERSION,
        "ledger": ledger,
        "state": state_rows,
        "trainable": list(record.trainable),
        **tables.rows(),
    }
    return document, tensors


def _fits_first_version(record: ProgramRecord, ledger: list[Any]) -> bool:
    """Whether readers of the first version can read the program: its signatures, and its ledger's rows of three."""
    return all(map(is_plain_signature, record.signatures.values())) and all(len(row) == 3 for row in ledger)


def _check_size(record: ProgramRecord) -> None:
    count = sum(graph.node_count for graph in record.graphs.values())
    if count > MAX_NODES:
        raise ArgumentError("the program is too large for a file", expected=f"{MAX_NODES} nodes", found=f"{count}")


def _entry_row(name: str, graph: Graph, signature: Signature, tables: TableWriter) -> dict[str, Any]:
    return {
        "entry": _checked_text(name, MAX_NAME),
        "graph": write_graph(graph, tables),
        "signature": encode_signature(signature),
    }


def _checked_text(value: str, limit: int = MAX_TEXT) -> str:
    if not is_text(value, limit):
        raise ArgumentError(f"the text {value[:80]!a} cannot be saved", expected=f"at most {limit} characters")
    return value


def _state_rows(state: Mapping[str, np.ndarray[Any, Any]]) -> tuple[list[list[str]], _Tensors]:
    """Rows `[name]`, or `[name, tensor]` for state that shares its array with a name before it."""
    rows: list[list[str]] = []
    tensors: _Tensors = {}
    first: dict[Any, str] = {}
    for name, array in state.items():
        holder = first.setdefault(_identity(array), name)
        rows.append([name] if holder is name else [name, holder])
        if holder is name:
            tensors[name] = array
    return rows, tensors


def _identity(array: np.ndarray[Any, Any]) -> Any:
    """Equal for arrays that are the same memory in the same form."""
    if not array.size:
        return id(array)
    address = array.__array_interface__["data"][0]
    return address, array.dtype, array.shape, array.strides


def _example_row(number: int, example: Example, tensors: _Tensors) -> list[Any]:
    for kind, arrays in ("input", example.inputs), ("output", example.outputs):
        for i, array in enumerate(arrays):
            tensors[example_tensor(number, kind, i)] = np.asarray(array)
    return [_checked_text(example.entry, MAX_NAME), len(example.inputs), len(example.outputs)]


def example_tensor(number: int, kind: str, index: int) -> str:
    """The name of the tensor that holds an array of an example; `kind` is `"input"` or `"output"`."""
    return f"{EXAMPLE_PREFIX}{number}/{kind}/{index}"
