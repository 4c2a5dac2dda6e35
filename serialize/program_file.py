"""The program file: a whole program record as one safetensors file, and back.

State, constants and examples are the file's tensors, state under its own names; all else is one JSON document under
the metadata key `ingot`. Any safetensors tool can read the weights. Equal programs give equal bytes.

Reading runs no code of the file's and resolves no name in it but through closed tables: ops through the registry,
dtypes and kinds through the tables of this package. Every graph goes through the verifier. Whatever is wrong with a
file, the answer is a `FileFormatError` that names it.

The parts: `container` (bytes), `strict_json`, `tables` (what graphs share), `graph_writer` and `graph_reader`,
`nested_values` (signatures and extras), `record_rules` (what must fit what), `limits`.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from ..ir import ops as _ops  # fills the registry, so that reading imports nothing  # noqa: F401
from ..ir.errors import ArgumentError, FileFormatError, IngotError
from ..ir.gc_pause import paused_gc
from ..ir.graph import Graph
from ..ir.program import Example, LedgerEntry, ProgramRecord, Signature
from ..ir.registry import Op
from ..ir.verifier import verify
from .atomic import write_atomically
from .container import Container, pack, read_container
from .graph_reader import read_graph
from .graph_writer import write_graph
from .limits import MAX_NAME, MAX_NODES, MAX_TEXT
from .nested_values import encode_extra, encode_tree, read_extra, read_tree
from .record_rules import check_record
from .strict_json import dump_json, fields_of, integer, is_text, parse_json, sequence, text
from .tables import RESERVED_PREFIX, TableReader, TableWriter

__all__ = ["FORMAT_VERSION", "content_hash", "dumps", "load", "loads", "save"]

FORMAT_VERSION: Final = 1
_KEY: Final = "ingot"
_EXAMPLE_PREFIX: Final = RESERVED_PREFIX + "example/"
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
_Path = str | os.PathLike[str]
_Tensors = dict[str, "np.ndarray[Any, Any]"]


# -- the public functions


def save(record: ProgramRecord, path: _Path, *, sources: bool = True) -> None:
    """Write a program to a file, whole or not at all.

    Args:
        record: the program; every graph goes through the verifier first.
        path: the file; one that exists is replaced.
        sources: whether to keep the user's source lines, which errors show. Without them files and line numbers
            stay.

    Raises:
        VerifyError: when a graph breaks a rule, or the parts of the program do not fit each other.
        ArgumentError: for something that a file does not hold.
        OSError: when the file cannot be written.
    """
    write_atomically(path, _pieces(record, sources))


def dumps(record: ProgramRecord, *, sources: bool = True) -> bytes:
    """The bytes that `save` writes."""
    return b"".join(_pieces(record, sources))


def load(path: _Path, *, allow_ops: Iterable[str | Op] = ()) -> ProgramRecord:
    """Read a program from a file.

    The file is mapped into memory: state is paged in as it is used. Arrays can be written to, which changes nothing
    in the file.

    Args:
        path: the file.
        allow_ops: ops that are not built in and yet may be used: names (`"mine::gelu"`), whole namespaces
            (`"mine::*"`) or `Op` records.

    Raises:
        FileFormatError: naming the file, when it is not a program, is damaged, is too new, or breaks a rule.
        OSError: when there is no such file, or it cannot be read.
    """
    name = os.fspath(path)
    with open(_open_file(name), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        # ACCESS_COPY: pages that are written to become the process's own.
        buffer = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) if size else b""
    return _read_named(buffer, name, allow_ops)


def loads(data: bytes | bytearray | memoryview, *, allow_ops: Iterable[str | Op] = ()) -> ProgramRecord:
    """Read a program from the bytes of a file, which are copied.

    Raises:
        FileFormatError: as `load` does.
    """
    return _read_named(bytearray(data), "the data", allow_ops)


def content_hash(program: _Path | ProgramRecord) -> str:
    """The SHA-256, in hexadecimal, of what a program is: all of it but its examples.

    Args:
        program: a record, or the file of one. A file is not checked beyond its container and its document.

    Raises:
        FileFormatError: when the file is not one.
    """
    if isinstance(program, ProgramRecord):
        document, tensors = _document(program, sources=True)
        return _hash(document, tensors)
    name = os.fspath(program)
    with open(_open_file(name), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        buffer = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    try:
        container = read_container(buffer)
        return _hash(_parsed_document(container), container.tensors)
    except FileFormatError as error:
        raise _named(error, name) from None


def _hash(document: Mapping[str, Any], tensors: Mapping[str, np.ndarray[Any, Any]]) -> str:
    result = hashlib.sha256()
    kept = {key: value for key, value in document.items() if key != "examples"}
    result.update(dump_json(kept).encode())
    for name in sorted(tensors):
        if name.startswith(_EXAMPLE_PREFIX):
            continue
        array = tensors[name]
        result.update(dump_json([name, array.dtype.name, list(array.shape)]).encode())
        if array.size:
            result.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return result.hexdigest()


# -- writing


def _pieces(record: ProgramRecord, sources: bool) -> list[Any]:
    document, tensors = _document(record, sources)
    return pack({_KEY: dump_json(document)}, tensors)


@paused_gc()
def _document(record: ProgramRecord, sources: bool) -> tuple[dict[str, Any], _Tensors]:
    """The JSON document of a program, and its tensors."""
    _check_size(record)
    for graph in record.graphs.values():
        verify(graph)
    check_record(record)
    tables = TableWriter(sources)
    entries = [_entry_row(name, graph, record.signatures[name], tables) for name, graph in record.graphs.items()]
    ledger = [[_checked_text(e.kind), _checked_text(e.what), tables.place(e.location)] for e in record.ledger]
    state_rows, tensors = _state_rows(record.state)
    example_rows = [_example_row(i, example, tensors) for i, example in enumerate(record.examples)]
    tensors |= tables.constants
    document = {
        "entries": entries,
        "examples": example_rows,
        "extras": encode_extra(record.extras, "extras"),
        "format": FORMAT_VERSION,
        "ledger": ledger,
        "state": state_rows,
        "trainable": list(record.trainable),
        **tables.rows(),
    }
    return document, tensors


def _check_size(record: ProgramRecord) -> None:
    count = sum(graph.node_count for graph in record.graphs.values())
    if count > MAX_NODES:
        raise ArgumentError("the program is too large for a file", expected=f"{MAX_NODES} nodes", found=f"{count}")


def _entry_row(name: str, graph: Graph, signature: Signature, tables: TableWriter) -> dict[str, Any]:
    return {
        "entry": _checked_text(name, MAX_NAME),
        "graph": write_graph(graph, tables),
        "signature": {
            "arguments": [encode_tree(tree) for tree in signature.arguments],
            "parameters": [_checked_text(parameter, MAX_NAME) for parameter in signature.parameters],
            "result": encode_tree(signature.result),
        },
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
            tensors[_example_tensor(number, kind, i)] = np.asarray(array)
    return [_checked_text(example.entry, MAX_NAME), len(example.inputs), len(example.outputs)]


def _example_tensor(number: int, kind: str, index: int) -> str:
    return f"{_EXAMPLE_PREFIX}{number}/{kind}/{index}"


# -- reading


def _open_file(name: str) -> int:
    """Open a regular file; a pipe or a device could make the reader wait for ever."""
    # Waiting is turned off while it is not yet known what kind of file this is.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(name, flags)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FileFormatError(f"{name}: not a file with a program", found="a folder, a pipe or a device")


def _read_named(buffer: Any, name: str, allow_ops: Iterable[str | Op]) -> ProgramRecord:
    try:
        return _read(buffer, allow_ops)
    except FileFormatError as error:
        raise _named(error, name) from error.__cause__
    except RecursionError:
        raise FileFormatError(f"{name}: nested too deep for what is left of the stack") from None


def _named(error: FileFormatError, name: str) -> FileFormatError:
    error.what = f"{name}: {error.what}"
    return error


@paused_gc()
def _read(buffer: Any, allow_ops: Iterable[str | Op]) -> ProgramRecord:
    container = read_container(buffer)
    document = fields_of(_parsed_document(container), "the program", _KEYS)
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
        signatures[name] = _signature(fields["signature"], f"the signature of {name!r}")
    state = _state(document["state"], container.tensors)
    found = ProgramRecord(
        graphs=graphs,
        state=state,
        signatures=signatures,
        trainable=tuple(text(n, "a trainable name") for n in sequence(document["trainable"], "the trainable names")),
        ledger=[_ledger_entry(row, tables) for row in sequence(document["ledger"], "the ledger")],
        extras=_extras(document["extras"]),
        examples=_examples(document["examples"], container.tensors),
    )
    _check_tensors_used(container.tensors, document, len(tables.constants))
    try:
        check_record(found)
    except IngotError as error:
        raise FileFormatError(error.what, expected=error.expected, found=error.found) from None
    return found


def _parsed_document(container: Container) -> dict[str, Any]:
    """The document, when it is one that this version can read."""
    written = container.metadata.get(_KEY)
    if written is None:
        raise FileFormatError(
            f"the file has weights but no program: {len(container.tensors)} tensors, no metadata called {_KEY!r}",
            advice="read weights with safetensors.numpy.load_file; a program is written by program.save(...)",
        )
    if len(container.metadata) > 1:
        raise FileFormatError(f"the file has metadata besides {_KEY!r}", expected="none")
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


def _signature(value: Any, what: str) -> Signature:
    fields = fields_of(value, what, ("arguments", "parameters", "result"))
    parameters = tuple(text(p, f"{what}: a parameter") for p in sequence(fields["parameters"], what))
    arguments = tuple(read_tree(tree, what) for tree in sequence(fields["arguments"], what))
    return Signature(parameters, arguments, read_tree(fields["result"], what))


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


def _ledger_entry(row: Any, tables: TableReader) -> LedgerEntry:
    kind, what, place = sequence(row, "an entry of the ledger", 3)
    location, _ = tables.place(place, "an entry of the ledger")
    return LedgerEntry(text(kind, "the ledger", MAX_TEXT), text(what, "the ledger", MAX_TEXT), location)


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
            names = [_example_tensor(number, kind, i) for i in range(count)]
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
