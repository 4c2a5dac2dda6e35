"""C and CUDA functions in the making: parameters, sizes, nested loops and their indentation.

A function takes, in this order: each output's pointer and strides, each operand's (a run-time number is taken by
value), the size variables, and where the language has no result to return, a pointer to the status. Strides count
elements and may be zero or negative. What stands in the loops is written by `cfamily_nests` and `cfamily_lines`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from ..ir.errors import ArgumentError
from ..ir.scalar import Expr
from ..ir.sizes import Atom, Size, product
from ..ir.types import ScalarType, TensorType, Type
from .cfamily import PRODUCT, Dialect, Text, integer
from .cfamily_library import is_reserved, library_for, storage_type
from .cfamily_statements import ScalarPrinter, indented
from .index_range import certain
from .loops import scalar_dtype, size_variables

__all__ = ["EMPTY", "OUTSIDE", "FunctionWriter", "Kernel", "LoopSource", "Parameter", "file_text"]

OUTSIDE: Final = 1  # the status after a read or a write out of range
EMPTY: Final = 2  # the status after a maximum or minimum over no elements


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an emitted function.

    Attributes:
        kind: `output` or `input` (a pointer), `output stride` or `input stride`, `number`, `size`, `order` (a pointer
            to one int64 for each element of the output) or `status` (a pointer to one int32).
        index: the number of the output or the operand.
        axis: the dimension of a stride.
        variable: the name of the size variable.
    """

    kind: str
    text: str
    index: int = 0
    axis: int = 0
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Kernel:
    """An entry function and the number of elements that its threads share (1 where it does not run on a grid)."""

    name: str
    count: Size


@dataclass(frozen=True, slots=True)
class LoopSource:
    """The emitted functions of one op for one signature.

    Attributes:
        code: the functions alone; `text` is a complete file.
        kernels: the entry functions, to be run in this order with the same arguments.
        parameters: of every entry function, in order.
        operands: the types of the operands; those of an element-wise op hold variables for sizes.
        outputs: the types of the results.
        broadcasts: the operands' shapes are broadcast against each other.
    """

    dialect: Dialect
    name: str
    code: str
    kernels: tuple[Kernel, ...]
    parameters: tuple[Parameter, ...]
    operands: tuple[Type, ...]
    outputs: tuple[TensorType, ...]
    broadcasts: bool = False

    @property
    def text(self) -> str:
        """A file with these functions and all that they need."""
        return file_text(self.dialect, [self])


def file_text(dialect: Dialect, sources: Sequence[LoopSource]) -> str:
    """One file with the functions of several ops."""
    code = "\n".join(source.code for source in sources)
    library = library_for(code, dialect.function, dialect.functions)
    return "\n".join(part for part in (dialect.header, library, code) if part)


@dataclass(slots=True)
class _Phase:
    """A part that is done before the next one begins: a kernel of its own on a grid."""

    count: Size
    lines: list[str] = field(default_factory=list)


class FunctionWriter:
    """Collects the text of the functions of one op."""

    def __init__(
        self,
        dialect: Dialect,
        name: str,
        operands: Sequence[Type],
        outputs: Sequence[TensorType],
        sizes: Sequence[Size],
    ) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or is_reserved(name):
            raise ArgumentError(
                f"not a name for an emitted function: {name!r}", expected="an identifier that emitted text does not use"
            )
        self.dialect = dialect
        self.name = name
        self.operands = tuple(operands)
        self.outputs = tuple(outputs)
        self.scalars = ScalarPrinter(dialect, self)
        self._variables = {str(v): f"n{i}" for i, v in enumerate(size_variables(sizes))}
        self._named_sizes: dict[Size, str] = {}
        self._phases: list[_Phase] = []
        self._depth = 1
        self.needs_order = False

    # -- lines and loops

    def line(self, text: str) -> None:
        """Append a line at the current depth."""
        self._phases[-1].lines += indented([text], self._depth)

    def lines(self, texts: Sequence[str]) -> None:
        """Append lines at the current depth."""
        for text in texts:
            self.line(text)

    def phase(self, sizes: Sequence[Size]) -> None:
        """Begin a part whose outermost loops run over the given sizes."""
        self._phases.append(_Phase(product(sizes)))

    @contextmanager
    def loops(self, names: Sequence[str], sizes: Sequence[Size]) -> Iterator[None]:
        """Loops of one thread, one inside the other."""
        for name, size in zip(names, sizes, strict=True):
            self.line(f"for (i64 {name} = 0; {name} < {self.size(size).code}; ++{name}) {{")
            self._depth += 1
        yield
        self._close(len(names))

    @contextmanager
    def space(self, names: Sequence[str], sizes: Sequence[Size]) -> Iterator[None]:
        """The outermost loops, which a grid shares among its threads."""
        self.phase(sizes)
        if not self.dialect.grid:
            with self.loops(names, sizes):
                yield
            return
        count = self.size(product(sizes)).code
        self.line(f"for (i64 at = first_element(); at < {count}; at += element_step()) {{")
        self._depth += 1
        self._unravel(names, sizes)
        yield
        self._close(1)

    def _unravel(self, names: Sequence[str], sizes: Sequence[Size]) -> None:
        rest = "at"
        for axis in range(len(names) - 1, 0, -1):
            # Over no elements nothing is divided, but compilers refuse a division by a literal 0.
            size = self.size(1 if sizes[axis] == 0 else sizes[axis]).code
            self.line(f"const i64 {names[axis]} = {rest} % {size};")
            if axis > 1:
                self.line(f"{'i64 ' if rest == 'at' else ''}rest = {rest} / {size};")
                rest = "rest"
            else:
                rest = f"{rest} / {size}"
        if names:
            self.line(f"const i64 {names[0]} = {rest};")

    def _close(self, count: int) -> None:
        for _ in range(count):
            self._depth -= 1
            self.line("}")

    def fail(self, status: int) -> str:
        """The statement that ends the function with a status."""
        return self.dialect.fail.format(status)

    def values(self, roots: Sequence[Expr]) -> list[Text]:
        """Append the statements that compute some expressions; the texts of their values."""
        lines: list[str] = []
        texts = self.scalars.write(roots, lines)
        self.lines(lines)
        return texts

    # -- what expressions refer to

    def operand_sizes(self, operand: int) -> Sequence[Size]:
        """The sizes of an operand."""
        type_ = self.operands[operand]
        assert isinstance(type_, TensorType)
        return type_.sizes

    def element(self, operand: int, indices: Sequence[Text]) -> str:
        """The text of an operand's element in memory."""
        return f"x{operand}[{_offset(f'x{operand}', indices)}]"

    def result(self, output: int, indices: Sequence[Text]) -> str:
        """The text of a result's element in memory."""
        return f"y{output}[{_offset(f'y{output}', indices)}]"

    def check(self, index: str, size: Size) -> str:
        """A statement that leaves the function when an index is not within a dimension."""
        return f"if (outside({index}, {self.size(size).code})) {self.fail(OUTSIDE)}"

    def size(self, size: Size) -> Text:
        """The text of a size; expressions are computed once, at the top of the function."""
        if isinstance(size, int):
            return integer(size)
        code = self._expression(size)
        if code.isidentifier():
            return Text(code)
        name = self._named_sizes.setdefault(size, f"e{len(self._named_sizes)}")
        return Text(name)

    def _expression(self, size: Size) -> str:
        if isinstance(size, int):
            return integer(size).code
        text = ""
        for coefficient, factors in size.terms:
            term = " * ".join(self._atom(factor) for factor in factors)
            if not factors or abs(coefficient) != 1:
                term = integer(abs(coefficient)).code + (f" * {term}" if factors else "")
            sign = "-" if coefficient < 0 else "+"
            text += f" {sign} {term}" if text else term if sign == "+" else f"-{term}"
        return text

    def _atom(self, atom: Atom) -> str:
        if atom.op == "var":
            return self._variables[str(atom)]
        args = [self._expression(arg) for arg in atom.args]
        if atom.op in ("min", "max"):
            nested = args[0]
            for arg in args[1:]:
                nested = f"{atom.op}_i64({nested}, {arg})"
            return nested
        left, right = atom.args
        if not (certain(">=", left, 0) and certain(">", right, 0)):
            return f"{'floordiv' if atom.op == '//' else 'mod'}_i64({args[0]}, {args[1]})"
        left_text, right_text = (arg if re.fullmatch(r"\w+", arg) else f"({arg})" for arg in args)
        return f"({left_text} {'/' if atom.op == '//' else '%'} {right_text})"

    # -- the end

    def finish(self, broadcasts: bool = False) -> LoopSource:
        """The functions as text."""
        parameters = self._parameters()
        phases = self._phases if self.dialect.grid else [_joined(self._phases)]
        names = [self.name] if len(phases) == 1 else [f"{self.name}_{i}" for i in range(len(phases))]
        code = "\n".join(self._function(name, phase, parameters) for name, phase in zip(names, phases, strict=True))
        kernels = tuple(Kernel(name, phase.count) for name, phase in zip(names, phases, strict=True))
        return LoopSource(
            self.dialect, self.name, code, kernels, tuple(parameters), self.operands, self.outputs, broadcasts
        )

    def _parameters(self) -> list[Parameter]:
        found: list[Parameter] = []
        for i, output in enumerate(self.outputs):
            found += self._pointer("output", "y", i, output)
        for i, operand in enumerate(self.operands):
            if isinstance(operand, TensorType):
                found += self._pointer("input", "x", i, operand)
            elif isinstance(operand, ScalarType):
                found.append(Parameter("number", f"{storage_type(scalar_dtype(operand))} x{i}", i))
        found += [Parameter("size", f"i64 {name}", variable=v) for v, name in self._variables.items()]
        if self.needs_order:
            found.append(Parameter("order", f"i64 *{self.dialect.restrict} order"))
        if self.dialect.grid:
            found.append(Parameter("status", "i32 *status"))
        return found

    def _pointer(self, kind: str, letter: str, index: int, type_: TensorType) -> list[Parameter]:
        const = "const " if kind == "input" else ""
        name = f"{letter}{index}"
        pointer = Parameter(kind, f"{const}{storage_type(type_.dtype)} *{self.dialect.restrict} {name}", index)
        strides = [Parameter(f"{kind} stride", f"i64 {name}_s{axis}", index, axis) for axis in range(type_.ndim)]
        return [pointer, *strides]

    def _function(self, name: str, phase: _Phase, parameters: Sequence[Parameter]) -> str:
        body = "\n".join(phase.lines)
        # A size that another named one is written with never has a name itself, so one look at the body is enough.
        sizes = [
            f"    const i64 {known} = {self._expression(size)};\n"
            for size, known in self._named_sizes.items()
            if re.search(rf"\b{known}\b", body)
        ]
        head = _wrapped_list(f"{self.dialect.entry} {name}(", [p.text for p in parameters])
        end = f"    {self.dialect.finish}\n" if self.dialect.finish else ""
        return f"{head} {{\n{''.join(sizes)}{body}\n{end}}}\n"


def _offset(name: str, indices: Sequence[Text]) -> str:
    terms = [f"{index.within(PRODUCT)} * {name}_s{axis}" for axis, index in enumerate(indices) if index.code != "0"]
    return " + ".join(terms) or "0"


def _joined(phases: Sequence[_Phase]) -> _Phase:
    return _Phase(1, [line for phase in phases for line in phase.lines])


def _wrapped_list(head: str, items: Sequence[str]) -> str:
    """A call or a declaration with its parameters, in lines of at most 110 characters."""
    one = f"{head}{', '.join(items)})"
    if len(one) <= 110:
        return one
    lines = [head]
    current = "    "
    for item in items:
        if len(current) + len(item) > 106:
            lines.append(current.rstrip())
            current = "    "
        current += f"{item}, "
    return "\n".join([*lines, current.rstrip(", ")]) + ")"
