"""The program file: a whole program record as one safetensors file, and back.

State, constants and examples are the file's tensors, state under its own names; all else is one JSON document under
the metadata key `ingot`. Any safetensors tool can read the weights. Equal programs give equal bytes.

Reading runs no code of the file's and resolves no name in it but through closed tables: ops through the registry,
dtypes and kinds through the tables of this package. Every graph goes through the verifier. Whatever is wrong with a
file, the answer is a `FileFormatError` that names it.

What lives here: files, bytes and the hash. The parts: `container` (bytes), `strict_json`, `program_writer` and
`program_reader`, `tables` (what graphs share), `graph_writer` and `graph_reader`, `nested_values` (signatures and
extras), `record_rules` (what must fit what), `limits`.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..ir.errors import FileFormatError
from ..ir.program import ProgramRecord
from ..ir.registry import Op
from .atomic import write_atomically
from .container import pack, read_container
from .program_reader import METADATA_KEY, parsed_document, read_program
from .program_writer import EXAMPLE_PREFIX, write_program
from .strict_json import dump_json

__all__ = ["content_hash", "dumps", "load", "loads", "save"]

_Path = str | os.PathLike[str]


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
        document, tensors = write_program(program, sources=True)
        return _hash(document, tensors)
    name = os.fspath(program)
    with open(_open_file(name), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        buffer = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    try:
        container = read_container(buffer)
        return _hash(parsed_document(container), container.tensors)
    except FileFormatError as error:
        raise _named(error, name) from None


def _hash(document: Mapping[str, Any], tensors: Mapping[str, np.ndarray[Any, Any]]) -> str:
    result = hashlib.sha256()
    kept = {key: value for key, value in document.items() if key != "examples"}
    result.update(dump_json(kept).encode())
    for name in sorted(tensors):
        if name.startswith(EXAMPLE_PREFIX):
            continue
        array = tensors[name]
        result.update(dump_json([name, array.dtype.name, list(array.shape)]).encode())
        if array.size:
            result.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return result.hexdigest()


def _pieces(record: ProgramRecord, sources: bool) -> list[Any]:
    document, tensors = write_program(record, sources)
    return pack({METADATA_KEY: dump_json(document)}, tensors)


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
        return read_program(buffer, allow_ops)
    except FileFormatError as error:
        raise _named(error, name) from error.__cause__
    except RecursionError:
        raise FileFormatError(f"{name}: nested too deep for what is left of the stack") from None


def _named(error: FileFormatError, name: str) -> FileFormatError:
    error.what = f"{name}: {error.what}"
    return error
