"""Scans and sorts as C and CUDA loops: one line of elements after the other."""

from __future__ import annotations

from typing import Final

from ..ir.sizes import Size
from .cfamily import Dialect, Text, apply, cast, loaded, stored
from .cfamily_function import FunctionWriter, LoopSource
from .cfamily_library import compute_type
from .loops import Line

__all__ = ["line_source"]

_PRIMITIVES: Final = {"sum": "add", "prod": "mul"}


def line_source(dialect: Dialect, name: str, line: Line) -> LoopSource:
    """The function that scans or sorts along lines. A tensor without dimensions is one line of one element."""
    writer = FunctionWriter(dialect, name, (line.operand,), line.outputs, line.operand.sizes)
    axes = [axis for axis in range(line.operand.ndim) if axis != line.dim]
    names, sizes = [f"i{axis}" for axis in axes], [line.operand.sizes[axis] for axis in axes]
    with writer.space(names, sizes):
        if line.combiner:
            _write_scan(writer, line)
        else:
            _write_sort(writer, line)
    return writer.finish()


def _at(line: Line, place: str) -> list[Text]:
    """The indices of the element at a place on the line."""
    return [Text(place if axis == line.dim else f"i{axis}") for axis in range(line.operand.ndim)]


def _write_scan(writer: FunctionWriter, line: Line) -> None:
    source, target = line.operand.dtype, line.outputs[0].dtype
    writer.line(f"{compute_type(target)} sum = {'0' if line.combiner == 'sum' else '1'};")
    with writer.loops(["k"], [_length(line)]):
        value = loaded(writer.element(0, _at(line, "k")), source)
        if source is not target:
            value = cast(value, source, target)
        combined = apply(_PRIMITIVES[line.combiner], [Text("sum"), value], target)
        writer.line(f"sum = k == 0 ? {value.code} : {combined.code};")
        writer.line(f"{writer.result(0, _at(line, 'k'))} = {stored(Text('sum'), target)};")


def _write_sort(writer: FunctionWriter, line: Line) -> None:
    dim, short = line.dim, line.operand.dtype.short
    first = _at(line, "0")
    steps = [f"{name}_s{dim}" if line.operand.ndim else "1" for name in ("x0", "y1")]
    size = writer.size(_length(line)).code
    type_ = "u8" if short == "bool" else short
    writer.line(
        f"sort_order_{type_}(&{writer.element(0, first)}, {steps[0]}, &{writer.result(1, first)}, {steps[1]}, "
        f"{size}, {int(line.descending)});"
    )
    with writer.loops(["k"], [_length(line)]):
        found = Text(writer.result(1, _at(line, "k")))
        source = [found if axis == dim else index for axis, index in enumerate(first)]
        writer.line(f"{writer.result(0, _at(line, 'k'))} = {writer.element(0, source)};")


def _length(line: Line) -> Size:
    return line.operand.sizes[line.dim] if line.operand.ndim else 1
