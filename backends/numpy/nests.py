"""Nests and scatters without a quick kernel: vectorised NumPy source, printed from the nest.

Every letter becomes an axis; a read becomes a view where its indices are letters of their own, else an indexing by
arrays; conditions guard reads by moving the indices of places that are not wanted to 0. Large index spaces are
computed in slabs of the first letter. `ir.nest_arrays` gives the same meaning, on arrays at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...ir.dtypes import DType, bfloat16, bool_, float16, float32
from ...ir.families import nest_of
from ...ir.graph import Node
from ...ir.nest import Letter, Nest, NestOutput, Read, Scatter
from ...ir.primitives import PRIMITIVES
from ...ir.scalar import Const, Expr, SizeLeaf
from ...ir.sizes import Size, free_vars, product
from .text import dtype_text, number, python_size

__all__ = ["nest_function"]


def nest_function(name: str, node: Node, embed: Callable[[Any], str]) -> tuple[list[str], list[str]]:
    """The function that computes a nest's node.

    Args:
        embed: copies a Python function into the source; returns its name.

    Returns:
        its lines, and the size variables that it takes before operands and outputs.
    """
    nest: Nest = nest_of(node.op, [value.type for value in node.inputs], node.attrs)
    variables = sorted(_variables(nest))
    names = {variable: f"s{i}" for i, variable in enumerate(variables)}
    parameters = [*names.values(), *(f"x{i}" for i in range(len(nest.operands)))]
    parameters += [f"y{i}" for i in range(len(nest.outputs))]
    lines = [f"def {name}({', '.join(parameters)}):"]
    for i, output in enumerate(nest.outputs):
        writer = _Writer(nest, names, f"y{i}", embed)
        lines += writer.scatter(output) if isinstance(output, Scatter) else writer.output(output)
    return lines, variables


def _variables(nest: Nest) -> set[str]:
    """Every size variable that a nest mentions."""
    sizes: list[Size] = []
    waiting: list[Expr] = []
    for output in nest.outputs:
        sizes += output.type.sizes
        sizes += [letter.extent for letter in (*output.letters, *getattr(output, "over", ()))]
        waiting += [output.value, *output.at] if isinstance(output, Scatter) else [output.body]
    for operand in nest.operands:
        sizes += getattr(operand, "sizes", ())
    seen: set[Expr] = set()
    while waiting:
        expr = waiting.pop()
        if expr in seen:
            continue
        seen.add(expr)
        waiting.extend(expr.args)
        if isinstance(expr, SizeLeaf):
            sizes.append(expr.size)
        elif isinstance(expr, Letter):
            sizes.append(expr.extent)
    return {name for size in sizes for name in free_vars(size)}


class _Writer:
    """Writes what one output takes."""

    def __init__(self, nest: Nest, names: Mapping[str, str], out: str, embed: Callable[[Any], str]) -> None:
        self.nest = nest
        self.names = names
        self.out = out
        self.embed = embed
        self.lines: list[str] = []
        self.letters: tuple[Letter, ...] = ()
        self.slabs = False
        self.known: dict[tuple[Expr, str], str] = {}
        self.count = 0

    def size(self, size: Size) -> str:
        return python_size(size, self.names)

    def line(self, text: str) -> None:
        self.lines.append(("        " if self.slabs else "    ") + text)

    def let(self, text: str) -> str:
        self.count += 1
        name = f"{self.out}e{self.count}"
        self.line(f"{name} = {text}")
        return name

    def open(self, letters: Sequence[Letter], slabs: bool) -> None:
        """Begin an index space with one axis for each letter."""
        self.letters = tuple(letters)
        self.slabs = slabs
        if slabs:
            extents = ", ".join(self.size(letter.extent) for letter in letters)
            self.lines.append(f"    for start, stop in slabs(({extents},)):")
        for axis, letter in enumerate(letters):
            first = slabs and axis == 0
            span = "start, stop" if first else self.size(letter.extent)
            tail = ", 1" * (len(letters) - 1 - axis)
            shape = f".reshape(-1{tail})" if tail else ""
            self.known[letter, ""] = self.let(f"np.arange({span}){shape}")

    # -- outputs

    def output(self, output: NestOutput) -> list[str]:
        if (found := self._einsum(output)) is not None:
            return [found]
        letters = (*output.letters, *output.over)
        self.open(letters, slabs=bool(output.letters))
        body = self.compute(output.body, "")
        extents = ["stop - start" if i == 0 and self.slabs else self.size(x.extent) for i, x in enumerate(letters)]
        place = f"{self.out}[start:stop]" if self.slabs else f"{self.out}[...]"
        if output.combiner is None or not output.over:
            zero = output.combiner is not None and output.combiner.startswith("arg")
            self.line(f"{place} = {'0' if zero else body}")
            return self.lines
        dense = self.let(f"np.broadcast_to({body}, ({', '.join(extents)},))")
        kept = "".join(f"{extent}, " for extent in extents[: len(output.letters)])
        count = self.size(product([letter.extent for letter in output.over]))
        flat = self.let(f"np.ascontiguousarray({dense}).reshape({kept}{count})")
        self.line(f"{place} = {_combined(output.combiner, flat, output.body.dtype)}")
        return self.lines

    def _einsum(self, output: NestOutput) -> str | None:
        """A float sum of a product of plainly indexed operands as one call."""
        body = output.body
        if output.combiner != "sum" or body.op != "mul" or body.dtype.kind != "float" or body.dtype.itemsize < 4:
            return None
        letters = (*output.letters, *output.over)
        axes = {letter: axis for axis, letter in enumerate(letters)}
        arguments: list[str] = []
        used: set[Expr] = set()
        for factor in body.args:
            if not isinstance(factor, Read) or not self._plain(factor, axes):
                return None
            arguments += [f"x{factor.operand}", str([axes[i] for i in factor.args])]  # type: ignore[index]
            used.update(factor.args)
        if used != set(letters) or len(letters) > 30:
            return None
        kept = list(range(len(output.letters)))
        return f"    np.einsum({', '.join(arguments)}, {kept}, out={self.out}, optimize=True)"

    def _plain(self, read: Read, axes: Mapping[Any, int]) -> bool:
        """Whether a read's indices are letters that run over whole dimensions."""
        sizes = self.nest.operands[read.operand].sizes  # type: ignore[attr-defined]
        return all(i in axes and i.extent == size for i, size in zip(read.args, sizes, strict=True))  # type: ignore[attr-defined]

    def scatter(self, output: Scatter) -> list[str]:
        base = output.base
        self.line(
            f"{self.out}.fill({_literal(base)})" if isinstance(base, Const) else f"np.copyto({self.out}, x{base})"
        )
        self.open(output.letters, slabs=False)
        whole = f"({''.join(f'{self.size(letter.extent)}, ' for letter in output.letters)})"
        at = [
            f"np.broadcast_to(inside({self.compute(index, '')}, None, {self.size(size)}), {whole})"
            for index, size in zip(output.at, output.type.sizes, strict=True)
        ]
        place = self.let(f"({''.join(f'{index}, ' for index in at)})")
        value = self.let(f"np.broadcast_to({self.compute(output.value, '')}, {whole})")
        if output.combiner == "set":
            self.line(f"{self.out}[{place}] = {value}")
        else:
            ufunc = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}[output.combiner]
            self.line(f"np.{ufunc}.at({self.out}, {place}, {value})")
        return self.lines

    # -- expressions

    def compute(self, expr: Expr, mask: str) -> str:
        """An expression's value at every point, broadcastable; `mask` names where it is wanted."""
        found = self.known.get((expr, mask)) or self.known.get((expr, ""))
        if found is None:
            found = self.known[expr, mask] = self._compute(expr, mask)
        return found

    def _compute(self, expr: Expr, mask: str) -> str:
        if isinstance(expr, Const):
            return _literal(expr)
        if isinstance(expr, SizeLeaf):
            return f"np.int64({self.size(expr.size)})"
        if isinstance(expr, Read):
            return self._read(expr, mask)
        if expr.op == "where":
            return self._where(expr, mask)
        args = [self.compute(arg, mask) for arg in expr.args]
        if expr.op == "cast":
            return self.let(f"np.asarray({args[0]}).astype({dtype_text(expr.dtype)})")
        form = PRIMITIVES[expr.op].source or self.embed(PRIMITIVES[expr.op].array)
        return self.let(f"{form}({', '.join(args)})")

    def _where(self, expr: Expr, mask: str) -> str:
        condition = self.compute(expr.args[0], mask)
        here = condition if not mask else self.let(f"{mask} & {condition}")
        there = self.let(f"~{condition}" if not mask else f"{mask} & ~{condition}")
        a, b = self.compute(expr.args[1], here), self.compute(expr.args[2], there)
        return self.let(f"np.where({condition}, {a}, {b})")

    def _read(self, read: Read, mask: str) -> str:
        sizes = self.nest.operands[read.operand].sizes  # type: ignore[attr-defined]
        axes = {letter: axis for axis, letter in enumerate(self.letters)}
        if self._plain(read, axes) and len(set(read.args)) == len(read.args):
            return self._view(read, axes)
        if not read.args:
            return f"x{read.operand}"
        indices = [
            f"inside({self.compute(index, mask)}, {mask or None}, {self.size(size)})"
            for index, size in zip(read.args, sizes, strict=True)
        ]
        return self.let(f"x{read.operand}[{', '.join(indices)}]")

    def _view(self, read: Read, axes: Mapping[Any, int]) -> str:
        """An operand with its dimensions in the letters' places."""
        text = f"x{read.operand}"
        own = [axes[letter] for letter in read.args]
        if self.slabs and 0 in own:
            text += f"[{':, ' * own.index(0)}start:stop]"
        order = sorted(range(len(own)), key=own.__getitem__)
        if order != list(range(len(own))):
            text += f".transpose({', '.join(map(str, order))})"
        missing = [axis for axis in range(len(self.letters)) if axis not in own]
        if any(axis > min(own, default=0) for axis in missing):
            text += f"[{', '.join('None' if axis in missing else ':' for axis in range(len(self.letters)))}]"
        return text


def _literal(const: Const) -> str:
    return f"{dtype_text(const.dtype)}({number(const.value)})"


def _combined(combiner: str, flat: str, dtype: DType) -> str:
    if combiner in ("argmax", "argmin"):
        plain = f"{flat}.view(np.uint8)" if dtype is bool_ else flat
        return f"np.{combiner}({plain}, axis=-1)"
    if combiner in ("sum", "prod"):
        wide = float32 if dtype in (float16, bfloat16) else dtype
        return f"np.{combiner}({flat}, axis=-1, dtype={dtype_text(wide)})"
    return f"np.{combiner}({flat}, axis=-1)"
