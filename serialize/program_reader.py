"""A program record from what a container holds; `program_writer` is the way there.

What lives here: the document's own rules and the putting together of what the other readers read. Every graph goes
through the verifier, and the whole through `record_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from ..ir import ops as _ops  # fills the registry, so that reading imports nothing  # noqa: F401
from ..ir.errors import FileFormatError, IngotError
from ..ir.gc_pause import paused_gc
from ..ir.graph import Graph
from ..ir.program import Example, ProgramRecord, Signature
from ..ir.registry import Op
from ..ir.verifier import verify
from .container import Container, read_container
from .graph_reader import read_graph
from .ledger_rows import read_entry
from .limits import MAX_NODES
from .nested_values import read_extra
from .program_writer import FORMAT_VERSION, example_tensor
from .record_rules import check_record
from .signature_rows import read_signature
from .strict_json import fields_of, integer, is_text, parse_json, sequence, text
from .tables import RESERVED_PREFIX, TableReader

__all__ = ["METADATA_KEY", "parsed_document", "read_program"]

METADATA_KEY: Final = "ingot"

_KEYS: Final = (
    "constants",
    "entries",
    "examples",
    "extras",
    "format",
    "ledger",
    "ops",
    "places",
    "state",
    "strings",
    "trainable",
)
_Tensors = dict[str, "np.ndarray[Any, Any]"]


@paused_gc()
def read_program(buffer: Any, allow_ops: Iterable[str | Op]) -> ProgramRecord:
    """The program in the bytes of a file.

    Raises:
        FileFormatError: when there is none, or it breaks a rule.
    """
    container = read_container(buffer)
    document = fields_of(parsed_document(container), "the program", _KEYS)
    tables = TableReader(document, container.tensors, allow_ops)
    entries = sequence(document["entries"], "the list of entry points")
    _check_counts(entries)
    graphs: dict[str, Graph] = {}
    signatures: dict[str, Signature] = {}
    for entry in entries:
        fields = fields_of(entry, "an entry point", ("entry", "graph", "signature"))
        name = text(fields["entry"], "an entry point's name")
        if name in graphs:
            raise FileFormatError(f"entry point {name!r} stands there twice")
        graphs[name] = _graph(fields["graph"], tables)
        signatures[name] = read_signature(fields["signature"], f"the signature of {name!r}")
    state = _state(document["state"], container.tensors)
    found = ProgramRecord(
        graphs=graphs,
        state=state,
        signatures=signatures,
        trainable=tuple(text(n, "a trainable name") for n in sequence(document["trainable"], "the trainable names")),
        ledger=[read_entry(row, tables) for row in sequence(document["ledger"], "the ledger")],
        extras=_extras(document["extras"]),
        examples=_examples(document["examples"], container.tensors),
    )
    _check_tensors_used(container.tensors, document, len(tables.constants))
    try:
        check_record(found)
    except IngotError as error:
        raise FileFormatError(error.what, expected=error.expected, found=error.found) from None
    return found


def parsed_document(container: Container) -> dict[str, Any]:
    """The document, when it is one that this version can read."""
    written = container.metadata.get(METADATA_KEY)
    if written is None:
        raise FileFormatError(
            f"the file has weights but no program: {len(container.tensors)} tensors, no metadata {METADATA_KEY!r}",
            advice="read weights with safetensors.numpy.load_file; a program is written by program.save(...)",
        )
    if len(container.metadata) > 1:
        raise FileFormatError(f"the file has metadata besides {METADATA_KEY!r}", expected="none")
    if not is_text(written, len(written)):
        raise FileFormatError("the program is not Unicode text")
    document = parse_json(written.encode(), "the program")
    if type(document) is not dict:
        raise FileFormatError("the program is not an object")
    version = integer(document.get("format"), "the format's version", 1, 2**31)
    if version > FORMAT_VERSION:
        raise FileFormatError(
            "the file is newer than this Ingot",
            expected=f"format version {FORMAT_VERSION} at most",
            found=f"format version {version}",
            advice="update Ingot: pip install --upgrade ingot",
        )
    return document


def _check_counts(entries: list[Any]) -> None:
    """Whether there are more nodes than anyone has, before any is made."""
    graphs = (e.get("graph") for e in entries if type(e) is dict)
    rows = (g.get("nodes") for g in graphs if type(g) is dict)
    if sum(len(r) for r in rows if type(r) is list) > MAX_NODES:
        raise FileFormatError("the program has too many nodes", expected=f"at most {MAX_NODES}")


def _graph(document: Any, tables: TableReader) -> Graph:
    """Read a graph and let the verifier judge it."""
    try:
        graph = read_graph(document, tables)
        verify(graph)
    except FileFormatError:
        raise
    except IngotError as error:
        raise FileFormatError(
            f"the verifier rejects a graph: {error.what}",
            expected=error.expected,
            found=error.found,
            notes=error.notes,
            location=error.location,
            path=error.path,
            context=error.context,
        ) from None
    except Exception as error:  # type rules are written for what programs do, and strangers may ask anything of them
        raise FileFormatError(
            "the verifier cannot judge a graph", found=f"{type(error).__name__}: {str(error)[:200]}"
        ) from error
    return graph


def _state(rows: Any, tensors: _Tensors) -> _Tensors:
    found: _Tensors = {}
    for row in sequence(rows, "the state"):
        names = [text(name, "a name of the state") for name in sequence(row, "an entry of the state", 1, 2)]
        name, holder = names[0], names[-1]
        if name in found or name.startswith(RESERVED_PREFIX):
            raise FileFormatError(f"state {name!r} stands there twice, or has a reserved name")
        if len(names) == 2 and holder not in found:
            raise FileFormatError(f"state {name!r} shares the tensor of {holder!r}, which is no state before it")
        if len(names) == 1 and name not in tensors:
            raise FileFormatError(f"state {name!r} is missing: there is no tensor of that name")
        found[name] = found[holder] if len(names) == 2 else tensors[name]
    return found


def _extras(value: Any) -> dict[str, Any]:
    found = read_extra(value, "extras")
    if type(found) is not dict:
        raise FileFormatError("the extras are not an object")
    return found


def _examples(rows: Any, tensors: _Tensors) -> list[Example]:
    found = []
    for number, row in enumerate(sequence(rows, "the examples")):
        entry, inputs, outputs = sequence(row, f"example {number}", 3)
        text(entry, f"example {number}: its entry point")
        arrays: list[tuple[np.ndarray[Any, Any], ...]] = []
        for kind, count in ("input", inputs), ("output", outputs):
            integer(count, f"example {number}: the number of its {kind}s", 0, len(tensors))
            names = [example_tensor(number, kind, i) for i in range(count)]
            missing = [name for name in names if name not in tensors]
            if missing:
                raise FileFormatError(f"tensor {missing[0]!r} is missing")
            arrays.append(tuple(tensors[name] for name in names))
        found.append(Example(entry, *arrays))
    return found


def _check_tensors_used(tensors: _Tensors, document: Mapping[str, Any], constants: int) -> None:
    """Whether the file has tensors that nothing in it is made of. All that are named were found."""
    named = {row[0] for row in document["state"] if len(row) == 1}
    examples = sum(row[1] + row[2] for row in document["examples"])
    if len(named) + constants + examples == len(tensors):
        return
    spare = (name for name in tensors if name not in named and not name.startswith(RESERVED_PREFIX))
    name = next(spare, f"one that begins with {RESERVED_PREFIX}")
    raise FileFormatError(f"the program does not name all tensors of the file: {name[:200]!r} is left over")
