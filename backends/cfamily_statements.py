"""C and CUDA statements for expressions that share parts: temporaries, guarded branches, checked reads.

A sub-expression that is used more than once, or is long, becomes a `const` of its own, in the branch where `placement`
puts it. A `where` becomes `?:`, or `if` and `else` where a side needs statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..ir.dtypes import int64
from ..ir.nest import Letter, Read
from ..ir.scalar import Arg, Const, Expr, SizeLeaf
from ..ir.sizes import Size
from .cfamily import LOOSE, Dialect, Text, apply, cast, literal, loaded
from .cfamily_library import compute_type
from .index_range import is_plain_index, surely_inside, surely_natural
from .placement import Branch, Placement, place

__all__ = ["ScalarPrinter", "Surroundings", "indented"]

_MIRRORED: Final = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}
_LONGEST: Final = 64  # characters of an expression that is written into another one
_WIDEST: Final = 88  # of a choice on one line


class Surroundings(Protocol):
    """What expressions refer to, and the function around them knows."""

    def size(self, size: Size) -> Text:
        """The text of a size."""

    def operand_sizes(self, operand: int) -> Sequence[Size]:
        """The sizes of an operand."""

    def element(self, operand: int, indices: Sequence[Text]) -> str:
        """The text of an operand's element in memory."""

    def check(self, index: str, size: Size) -> str:
        """A statement that leaves the function when an index is not within a dimension."""


@dataclass(slots=True)
class _Block:
    """The statements of one branch."""

    branch: Branch
    lines: list[str]
    parent: _Block | None = None
    texts: dict[Expr, Text] = field(default_factory=dict)

    def find(self, expr: Expr) -> Text:
        block: _Block | None = self
        while block is not None:
            if expr in block.texts:
                return block.texts[expr]
            block = block.parent
        raise KeyError(expr)


class ScalarPrinter:
    """Writes expressions as statements and gives back the texts of their values."""

    def __init__(self, dialect: Dialect, around: Surroundings) -> None:
        self.dialect = dialect
        self.around = around
        self._count = 0
        self._placement: Placement

    def write(self, roots: Sequence[Expr], lines: list[str]) -> list[Text]:
        """Append the statements that compute `roots`; the results are the texts of their values."""
        self._placement = place(roots, self._inside_anywhere)
        block = _Block(self._placement.top, lines)
        self._fill(block, frozenset(roots))
        return [self._value(root, block) for root in roots]

    def named(self, value: Text, type_: str, lines: list[str]) -> Text:
        """A value that is a name, by a declaration where it is not yet."""
        if value.code.isidentifier():
            return value
        self._count += 1
        name = f"t{self._count - 1}"
        lines.append(f"const {type_} {name} = {value.code};")
        return Text(name)

    def _inside_anywhere(self, read: Expr) -> bool:
        assert isinstance(read, Read)
        sizes = self.around.operand_sizes(read.operand)
        return all(surely_inside(index, size) for index, size in zip(read.args, sizes, strict=True))

    def _fill(self, block: _Block, roots: frozenset[Expr] = frozenset()) -> None:
        for node in self._placement.order.get(block.branch, ()):
            text = self._build(node, block)
            long = len(text.code) > _LONGEST and node.op != "read" and node not in roots
            if long or self._placement.uses[node, block.branch] > 1:
                text = self.named(text, compute_type(node.dtype), block.lines)
            block.texts[node] = text

    def _value(self, expr: Expr, block: _Block) -> Text:
        if isinstance(expr, Const):
            return literal(expr.value, expr.dtype, self.dialect)
        if isinstance(expr, Letter):
            return Text(f"i{expr.number}")
        if isinstance(expr, SizeLeaf):
            return self.around.size(expr.size)
        return Text(f"x{expr.index}") if isinstance(expr, Arg) else block.find(expr)

    def _build(self, node: Expr, block: _Block) -> Text:
        if isinstance(node, Read):
            return self._read(node, block)
        if node.op == "where":
            return self._where(node, block)
        args = [self._value(arg, block) for arg in node.args]
        operand = node.args[0].dtype
        if node.op == "cast":
            return cast(args[0], operand, node.dtype)
        if node.op in _MIRRORED and isinstance(node.args[0], (Const, SizeLeaf)):
            return apply(_MIRRORED[node.op], args[::-1], operand)
        if operand is not int64 or not is_plain_index(node):
            return apply(node.op, args, operand)
        if all(isinstance(arg, Const) for arg in node.args):
            args[0] = Text(f"(i64){args[0].tight}")
        natural = node.op in ("floordiv", "mod") and all(
            surely_natural(arg, block.branch.facts) for arg in (node.args[0], node.args[1] - 1)
        )
        return apply(node.op, args, operand, plain=True, natural=natural)

    def _read(self, node: Read, block: _Block) -> Text:
        indices = []
        for index, size in zip(node.args, self.around.operand_sizes(node.operand), strict=True):
            text = self._value(index, block)
            if not surely_inside(index, size, block.branch.facts):
                text = self.named(text, "i64", block.lines)
                block.lines.append(self.around.check(text.code, size))
            indices.append(text)
        return loaded(self.around.element(node.operand, indices), node.dtype)

    def _where(self, node: Expr, block: _Block) -> Text:
        condition = self._value(node.args[0], block)
        taken, other = (_Block(branch, [], block) for branch in self._placement.sides[node, block.branch])
        self._fill(taken)
        self._fill(other)
        a, b = self._value(node.args[1], taken), self._value(node.args[2], other)
        if not taken.lines and not other.lines:
            return _choice(condition, a, b)
        self._count += 1
        name = f"t{self._count - 1}"
        block.lines.append(f"{compute_type(node.dtype)} {name};")
        block.lines.append(f"if ({condition.code}) {{")
        block.lines += indented([*taken.lines, f"{name} = {a.code};"])
        block.lines.append("} else {")
        block.lines += indented([*other.lines, f"{name} = {b.code};"])
        block.lines.append("}")
        return Text(name)


def indented(lines: Sequence[str], depth: int = 1) -> list[str]:
    """Lines moved to the right; one of them may hold several."""
    margin = "    " * depth
    return [margin + line.replace("\n", f"\n{margin}") for line in lines]


def _choice(condition: Text, a: Text, b: Text) -> Text:
    sides = [side.tight if " ? " in side.code or "\n" in side.code else side.code for side in (a, b)]
    code = f"{condition.tight} ? {sides[0]} : {sides[1]}"
    if len(code) > _WIDEST:
        code = f"{condition.tight}\n    ? {sides[0]}\n    : {sides[1]}"
    return Text(code, LOOSE)
