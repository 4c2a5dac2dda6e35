"""The container of a program file: a safetensors file, read strictly and written canonically.

A safetensors file is eight bytes with the header's length, a JSON header with names, dtypes, shapes and byte ranges,
and the tensors' bytes. The reader takes nothing on trust: no repeated names, gaps, overlaps or trailing bytes, and
every length is checked before memory is asked for. Tensors are views of the buffer that is read, so a mapped file is
paged in as its tensors are used.

https://huggingface.co/docs/safetensors/index#format

What the tensors and the metadata mean is `program_reader`'s subject.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..ir import dtypes
from ..ir.errors import ArgumentError, FileFormatError
from .limits import MAX_HEADER, MAX_NAME, MAX_RANK
from .strict_json import dump_json, fields_of, integer, is_text, parse_json, sequence, text

__all__ = ["Container", "pack", "read_container"]

_ALIGNMENT: Final = 64  # of the first tensor
_METADATA: Final = "__metadata__"

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": dtypes.bool_.np,
    "U8": dtypes.uint8.np,
    "I8": dtypes.int8.np,
    "I16": dtypes.int16.np,
    "I32": dtypes.int32.np,
    "I64": dtypes.int64.np,
    "U64": np.dtype(np.uint64),  # the words of keys
    "F16": dtypes.float16.np,
    "BF16": dtypes.bfloat16.np,
    "F32": dtypes.float32.np,
    "F64": dtypes.float64.np,
}
_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}

# What files of other kinds begin with, to be told from damaged ones.
_OTHER_FILES: Final = {
    b"PK\x03\x04": "a zip archive, as torch.save writes",
    b"\x80\x02": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x93NUMPY": "a NumPy array file",
    b"\x89HDF": "an HDF5 file",
    b"\x08": "perhaps an ONNX model",
}


@dataclass(frozen=True, slots=True)
class Container:
    """What a safetensors file holds: strings by name, and tensors by name."""

    metadata: dict[str, str]
    tensors: dict[str, np.ndarray[Any, Any]]


# -- reading


def read_container(buffer: Any) -> Container:
    """Read a safetensors file.

    Args:
        buffer: the whole file: bytes, a bytearray, or a mapping of it. The tensors are views of it.

    Raises:
        FileFormatError: when it is not a safetensors file, or one that is damaged.

    >>> data = b"".join(pack({"a": "b"}, {"x": np.zeros(2, np.float32)}))
    >>> read_container(data)
    Container(metadata={'a': 'b'}, tensors={'x': array([0., 0.], dtype=float32)})
    """
    header, start = _header(buffer)
    metadata = _metadata(header.pop(_METADATA, {}))
    entries = [_entry(name, row) for name, row in header.items()]
    _check_ranges(entries, len(buffer) - start)
    return Container(metadata, {entry.name: _tensor(buffer, start, entry) for entry in entries})


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    count: int
    begin: int
    end: int


def _header(buffer: Any) -> tuple[dict[str, Any], int]:
    size = len(buffer)
    if size < 8:
        raise FileFormatError("not a safetensors file: too short", found=f"{size} bytes", advice=_hint(buffer))
    length = int.from_bytes(buffer[:8], "little")
    if length > MAX_HEADER or size == 8 or bytes(buffer[8:9]) != b"{":
        raise FileFormatError("not a safetensors file", expected="a JSON header at its beginning", advice=_hint(buffer))
    if length > size - 8:
        raise FileFormatError(
            "the file is truncated", expected=f"a header of {length} bytes", found=f"{size - 8} bytes"
        )
    header = parse_json(bytes(buffer[8 : 8 + length]), "the header")
    if type(header) is not dict:
        raise FileFormatError("the header is not an object")
    return header, 8 + length


def _hint(buffer: Any) -> str:
    beginning = bytes(buffer[:16])
    kind = next((kind for magic, kind in _OTHER_FILES.items() if beginning.startswith(magic)), "")
    return f"the file looks like {kind}" if kind else ""


def _metadata(value: Any) -> dict[str, str]:
    if type(value) is not dict or not all(is_text(item, MAX_HEADER) for item in value.values()):
        raise FileFormatError("the header's metadata is not an object of strings")
    return value


def _entry(name: str, row: Any) -> _Entry:
    what = f"tensor {name[:200]!r}"
    text(name, "a tensor's name", MAX_NAME)
    fields = fields_of(row, what, ("data_offsets", "dtype", "shape"))
    dtype = _DTYPES.get(text(fields["dtype"], f"{what}: its dtype"))
    if dtype is None:
        known = ", ".join(_DTYPES)
        raise FileFormatError(f"{what}: unknown dtype {fields['dtype']!r}", expected=f"one of {known}")
    shape = tuple(integer(n, f"{what}: a size", 0, 2**63 - 1) for n in sequence(fields["shape"], f"{what}: its shape"))
    if len(shape) > MAX_RANK:
        raise FileFormatError(f"{what} has {len(shape)} dimensions", expected=f"at most {MAX_RANK}")
    offsets = sequence(fields["data_offsets"], f"{what}: data_offsets", 2)
    begin, end = (integer(n, f"{what}: an offset", 0, 2**63 - 1) for n in offsets)
    count = math.prod(shape)
    if end - begin != count * dtype.itemsize:
        raise FileFormatError(
            f"{what}: its bytes do not match its shape",
            expected=f"{count * dtype.itemsize} bytes for {fields['dtype']}{list(shape)}",
            found=f"{end - begin} bytes",
        )
    return _Entry(name, dtype, shape, count, begin, end)


def _check_ranges(entries: Iterable[_Entry], available: int) -> None:
    """Whether the tensors fill the rest of the file exactly."""
    reached = 0
    for entry in sorted(entries, key=lambda e: (e.begin, e.end)):
        if entry.begin != reached:
            problem = "overlaps another one" if entry.begin < reached else "has a gap in front of it"
            raise FileFormatError(f"tensor {entry.name[:200]!r} {problem}")
        reached = entry.end
    if reached > available:
        raise FileFormatError(
            "the file is truncated", expected=f"{reached} bytes of tensors", found=f"{available} bytes"
        )
    if reached < available:
        raise FileFormatError("bytes stand behind the last tensor", found=f"{available - reached} bytes")


def _tensor(buffer: Any, start: int, entry: _Entry) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any]
    try:
        if entry.count:
            array = np.frombuffer(buffer, entry.dtype, entry.count, start + entry.begin).reshape(entry.shape)
        else:
            array = np.empty(entry.shape, entry.dtype)
    except ValueError as error:  # no elements, and yet more than NumPy can count
        raise FileFormatError(f"tensor {entry.name[:200]!r}: {error}") from None
    if entry.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise FileFormatError(f"tensor {entry.name[:200]!r}: a bool is neither 0 nor 1")
    return array if array.flags.aligned else array.copy()


# -- writing


def pack(metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray[Any, Any]]) -> list[Any]:
    """A safetensors file as pieces of bytes to be written one behind the other; tensors are not copied.

    The same metadata and tensors give the same bytes, in whatever order they come. Wide elements stand first, so
    that all are aligned.

    Raises:
        ArgumentError: for a tensor of another dtype than files hold, a bad name, or a header beyond the limit.
    """
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    pieces: list[Any] = []
    reached = 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = tensors[name]
        _check_tensor(name, array)
        header[name] = {
            "data_offsets": [reached, reached + array.nbytes],
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
        }
        reached += array.nbytes
        if array.size:
            pieces.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    encoded = dump_json(header).encode("utf-8")
    encoded += b" " * (-(8 + len(encoded)) % _ALIGNMENT)
    if len(encoded) > MAX_HEADER:
        raise ArgumentError(
            "the program is too large for a file",
            expected=f"a header of at most {MAX_HEADER} bytes",
            found=f"{len(encoded)} bytes",
            advice="repeat layers with a loop instead of unrolling them",
        )
    return [len(encoded).to_bytes(8, "little"), encoded, *pieces]


def _check_tensor(name: str, array: np.ndarray[Any, Any]) -> None:
    if name == _METADATA or not is_text(name, MAX_NAME):
        raise ArgumentError(
            f"a tensor cannot be called {name[:200]!r}", expected=f"at most {MAX_NAME} characters of text"
        )
    if array.dtype not in _NAMES:
        raise ArgumentError(f"tensor {name!r} is {array.dtype}", expected="one of " + ", ".join(map(str, _NAMES)))
