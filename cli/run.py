"""`ingot run`: a program on arrays from .npy files; its results as such, each written whole or not at all."""

from __future__ import annotations

import io
import zipfile
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ..frontend.program import load
from ..ir.dtypes import bfloat16
from ..ir.errors import ArgumentError, FileFormatError
from ..ir.naming import identifier
from ..ir.types import ScalarType, TensorType, Type
from ..serialize.atomic import write_atomically
from .leaves import find_entry, input_leaves, output_leaves
from .terminal import visible

__all__ = ["run_program"]


def run_program(file: Path, inputs: list[str], output: Path, entry: str | None, backend: str) -> None:
    """Run an entry point and write what it returns.

    Args:
        inputs: `name=file.npy` for each of its inputs.
        output: the folder for `name.npy` of each output; made when it does not exist.

    Raises:
        IngotError: for inputs that are missing, unknown or do not fit, and whatever the program refuses.
        OSError: when a file cannot be read or written.
    """
    program = load(file, backend=backend)
    name = find_entry(program.record, entry)
    signature, graph = program.record.signatures[name], program.record.graphs[name]
    wanted = input_leaves(signature, graph)
    files = _files(inputs, wanted)
    arrays = [_read(files[leaf], type_) for leaf, type_ in wanted.items()]
    results = program.run_arrays(name, arrays)
    output.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for leaf, result in zip(output_leaves(signature, graph), results, strict=True):
        _write(output / f"{_file_name(leaf, taken)}.npy", np.asarray(result))


def _files(inputs: list[str], wanted: dict[str, Type]) -> dict[str, str]:
    """The files by the names of the inputs: each input once, and no others."""
    expected = ", ".join(f"{name}: {type_}" for name, type_ in wanted.items()) or "no inputs"
    found: dict[str, str] = {}
    for text in inputs:
        name, equals, file = text.partition("=")
        if not equals or not file:
            raise ArgumentError(f"--input {text}", expected="--input NAME=FILE.npy")
        if name not in wanted:
            close = get_close_matches(name, wanted, 1)
            advice = f"did you mean {close[0]}?" if close else ""
            raise ArgumentError(f"the program has no input {name!r}", expected=expected, advice=advice)
        if name in found:
            raise ArgumentError(f"input {name!r} is given twice")
        found[name] = file
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ArgumentError(
            f"no value for {', '.join(missing)}",
            expected=expected,
            advice=f"give it with --input {missing[0]}=FILE.npy",
        )
    return found


def _read(file: str, type_: Type) -> Any:
    """A .npy file as an input of the given type."""
    try:
        with open(file, "rb") as stream:
            array = np.load(stream, allow_pickle=False)
            several = not isinstance(array, np.ndarray)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{file}: not an array in a .npy file", found=str(error).splitlines()[0]) from None
    if several:
        raise FileFormatError(f"{file}: several arrays", expected="a .npy file with one")
    if isinstance(type_, ScalarType) and array.ndim == 0:
        return array.item()
    if isinstance(type_, TensorType) and type_.dtype is bfloat16 and array.dtype == np.dtype("V2"):
        return array.view(bfloat16.np)  # the format has no name for it
    return array


def _file_name(leaf: str, taken: set[str]) -> str:
    """A name for an output's file: letters, digits and `_`, whatever the program calls it."""
    wanted = "_".join(part if part.isascii() and part.isalnum() else identifier(part) for part in leaf.split("."))
    wanted = f"output_{wanted}" if wanted[:1].isdigit() else wanted[:100] or "output"
    name, number = wanted, 1
    while name.lower() in taken:  # some file systems do not tell cases apart
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name.lower())
    return name


def _write(path: Path, array: np.ndarray[Any, Any]) -> None:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    write_atomically(path, [data.getbuffer()])
    print(visible(f"{path}: {array.dtype}[{', '.join(map(str, array.shape))}]"))
