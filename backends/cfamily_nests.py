"""Nests and scatters as C and CUDA loops: reductions, several outputs, combined writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..ir.dtypes import DType, bool_
from ..ir.nest import COMBINERS, Letter, Nest, NestOutput, Scatter
from ..ir.scalar import Const, Expr
from ..ir.sizes import Size
from .cfamily import HALVES, Dialect, Text, apply, literal, loaded, stored
from .cfamily_function import EMPTY, FunctionWriter, LoopSource
from .cfamily_library import compute_type
from .index_range import certain, surely_inside
from .loops import Group, groups, nest_sizes

__all__ = ["nest_source"]

_PRIMITIVES: Final = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum", "any": "or_", "all": "and_"}


def nest_source(dialect: Dialect, name: str, nest: Nest, broadcasts: bool = False) -> LoopSource:
    """The functions that compute a nest."""
    writer = FunctionWriter(dialect, name, nest.operands, nest.types, nest_sizes(nest))
    position = 0
    for part in groups(nest):
        if isinstance(part, Scatter):
            _write_scatter(writer, position, part)
            position += 1
        else:
            _write_group(writer, part)
            position += len(part.outputs)
    return writer.finish(broadcasts)


def _names(letters: Sequence[Letter]) -> list[str]:
    return [f"i{letter.number}" for letter in letters]


def _extents(letters: Sequence[Letter]) -> list[Size]:
    return [letter.extent for letter in letters]


# -- outputs and reductions


def _write_group(writer: FunctionWriter, group: Group) -> None:
    letters, over = group.letters, group.over
    with writer.space(_names(letters), _extents(letters)):
        _write_emptiness_check(writer, group)
        for i, output in zip(group.positions, group.outputs, strict=True):
            writer.lines(_declared(i, output, writer.dialect))
        with writer.loops(_names(over), _extents(over)):
            values = writer.values([output.body for output in group.outputs])
            for i, output, value in zip(group.positions, group.outputs, values, strict=True):
                _write_update(writer, i, output, value)
        if group.outputs[0].combiner is not None:
            for i, output in zip(group.positions, group.outputs, strict=True):
                _write_result(writer, i, output, _combined(i, output))


def _write_emptiness_check(writer: FunctionWriter, group: Group) -> None:
    """A maximum of no elements has no value; known sizes were checked when the nest was built."""
    if all(output.combiner is None or COMBINERS[output.combiner][0] is not None for output in group.outputs):
        return
    for letter in group.over:
        if not certain(">", letter.extent, 0):
            writer.line(f"if ({writer.size(letter.extent).tight} == 0) {writer.fail(EMPTY)}")


def _write_update(writer: FunctionWriter, i: int, output: NestOutput, value: Text) -> None:
    if output.combiner is None:
        _write_result(writer, i, output, value)
        return
    if not COMBINERS[output.combiner][1]:
        writer.line(_accumulated(i, output, value))
        return
    lines: list[str] = []
    type_ = compute_type(output.body.dtype)
    value = writer.scalars.named(value, type_, lines)
    writer.lines(lines)
    relation = "above" if output.combiner == "argmax" else "below"
    writer.line(f"if (place{i} < 0 || {relation}_{type_}({value.code}, best{i})) {{")
    writer.line(f"    best{i} = {value.code};")
    writer.line(f"    place{i} = {flat_index(writer, [Text(n) for n in _names(output.over)], _extents(output.over))};")
    writer.line("}")


def _write_result(writer: FunctionWriter, i: int, output: NestOutput, value: Text) -> None:
    place = writer.result(i, [Text(name) for name in _names(output.letters)])
    writer.line(f"{place} = {stored(value, output.dtype)};")


def flat_index(writer: FunctionWriter, indices: Sequence[Text], sizes: Sequence[Size]) -> str:
    """The place of an element in row-major order."""
    code = indices[0].tight if indices else "0"
    for index, size in zip(indices[1:], sizes[1:], strict=True):
        code = f"{code if code.isidentifier() else f'({code})'} * {writer.size(size).tight} + {index.tight}"
    return code


def _declared(i: int, output: NestOutput, dialect: Dialect) -> list[str]:
    """The declarations of what an output's reduction keeps from element to element."""
    if output.combiner is None:
        return []
    dtype = output.body.dtype
    if COMBINERS[output.combiner][1]:
        return [f"{compute_type(dtype)} best{i} = 0;", f"i64 place{i} = -1;"]
    return [f"{_wide(output)} acc{i} = {_first(output.combiner, dtype, dialect)};"]


def _wide(output: NestOutput) -> str:
    """The type that a reduction is kept in: sums of halves in float, those of floats in double."""
    dtype = output.body.dtype
    if output.combiner in ("sum", "prod") and dtype.kind == "float" and dtype not in HALVES:
        return "f64"
    return compute_type(dtype)


def _first(combiner: str, dtype: DType, dialect: Dialect) -> str:
    if combiner in ("sum", "any"):
        return "0"
    if combiner in ("prod", "all"):
        return "1"
    return literal(_extreme(dtype, combiner == "max"), dtype, dialect).code


def _extreme(dtype: DType, lowest: bool) -> float:
    if dtype.kind == "float":
        return float("-inf") if lowest else float("inf")
    if dtype is bool_:
        return not lowest
    bits = 8 * dtype.itemsize - dtype.is_signed
    return -(1 << bits) * dtype.is_signed if lowest else (1 << bits) - 1


def _accumulated(i: int, output: NestOutput, value: Text) -> str:
    assert output.combiner is not None
    dtype = output.body.dtype
    if output.combiner in ("sum", "prod") and dtype.kind == "float":
        return f"acc{i} {'+' if output.combiner == 'sum' else '*'}= {value.code};"
    return f"acc{i} = {apply(_PRIMITIVES[output.combiner], [Text(f'acc{i}'), value], dtype).code};"


def _combined(i: int, output: NestOutput) -> Text:
    assert output.combiner is not None
    if COMBINERS[output.combiner][1]:
        return Text(f"place{i}")
    narrower = _wide(output) != compute_type(output.dtype)
    return Text(f"({compute_type(output.dtype)})acc{i}" if narrower else f"acc{i}")


# -- scatters


def _write_scatter(writer: FunctionWriter, i: int, scatter: Scatter) -> None:
    ordered = scatter.combiner == "set" and writer.dialect.grid
    writer.needs_order |= ordered
    _write_base(writer, i, scatter, ordered)
    if ordered:
        # Threads race: first the last writer of each element is found, then it alone writes.
        with writer.space(_names(scatter.letters), _extents(scatter.letters)):
            place = _write_places(writer, scatter, ())[0]
            writer.line(f"atomicMax(&order[{flat_index(writer, place, scatter.type.sizes)}], at);")
    with writer.space(_names(scatter.letters), _extents(scatter.letters)):
        place, (value,) = _write_places(writer, scatter, (_valued(scatter),))
        if ordered:
            writer.line(f"if (order[{flat_index(writer, place, scatter.type.sizes)}] != at) continue;")
        writer.line(_written(writer, scatter, writer.result(i, place), value))


def _write_base(writer: FunctionWriter, i: int, scatter: Scatter, ordered: bool) -> None:
    names = [f"b{axis}" for axis in range(scatter.type.ndim)]
    with writer.space(names, scatter.type.sizes):
        indices = [Text(name) for name in names]
        if isinstance(scatter.base, Const):
            start = stored(literal(scatter.base.value, scatter.type.dtype, writer.dialect), scatter.type.dtype)
        else:
            start = writer.element(scatter.base, indices)
        writer.line(f"{writer.result(i, indices)} = {start};")
        if ordered:
            writer.line("order[at] = -1;")


def _valued(scatter: Scatter) -> Expr:
    value, dtype = scatter.value, scatter.type.dtype
    return value if value.dtype is dtype else Expr("cast", (value,), dtype)


def _write_places(writer: FunctionWriter, scatter: Scatter, values: Sequence[Expr]) -> tuple[list[Text], list[Text]]:
    """Append the statements for the place that is written to, checked, and for further expressions."""
    texts = writer.values([*scatter.at, *values])
    places: list[Text] = []
    for index, text, size in zip(scatter.at, texts, scatter.type.sizes, strict=False):
        if not surely_inside(index, size):
            lines: list[str] = []
            text = writer.scalars.named(text, "i64", lines)
            writer.lines([*lines, writer.check(text.code, size)])
        places.append(text)
    return places, texts[len(places) :]


def _written(writer: FunctionWriter, scatter: Scatter, place: str, value: Text) -> str:
    dtype = scatter.type.dtype
    if scatter.combiner == "set":
        return f"{place} = {stored(value, dtype)};"
    if writer.dialect.grid:
        return f"atomic_{scatter.combiner}_{dtype.short}(&{place}, {value.code});"
    combined = apply(_PRIMITIVES[scatter.combiner], [loaded(place, dtype), value], dtype)
    return f"{place} = {stored(combined, dtype)};"
