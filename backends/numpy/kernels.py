"""Element-wise kernels in source: one function for a fused group, or for a node whose body takes several steps.

A kernel's parameters are its registers, arrays filled with constants, operands and outputs, all of one block;
`runtime.fused` calls it block by block. A node of a single step is a plain line instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.dtypes import DType, bfloat16, float32
from ...ir.families import elementwise_dtype, elementwise_tree
from ...ir.graph import Node, Value
from ...ir.primitives import PRIMITIVES
from ...ir.types import ScalarType, TensorType
from .steps import Array, Number, Output, Program, Result, Step, Term, assign
from .text import dtype_text, number, place

__all__ = ["Kernel", "fused_kernel", "literal_of", "node_terms", "single_step", "step_line"]

_FLOAT_FORMS = {"pow": "np.power"}
_FORMS = {"sign": "np.sign"}
# NumPy's loops for these are several times faster on two arrays than on an array and a number.
_ARRAYS_ONLY = ("maximum", "minimum")


@dataclass(slots=True)
class Kernel:
    """A kernel's text and what `runtime.fused` must know of it."""

    lines: list[str]
    registers: list[DType] = field(default_factory=list)
    constants: list[tuple[Any, DType]] = field(default_factory=list)
    cost: int = 0
    origins: list[Node | None] = field(default_factory=list)  # of each line


# ------------------------------------------------------------------------------------------------ nodes into steps


def literal_of(value: Value) -> Any:
    """The number that a constant value is, or None."""
    node = value.node
    if node is None or node.op.name != "prim::Constant":
        return None
    found = node.attrs["value"]
    return found if isinstance(found, (bool, int, float)) else None


def node_terms(program: Program, node: Node, terms: Mapping[Value, Term], size: Callable[[Any], str]) -> Term:
    """Add an element-wise node's steps to a program; returns the term of its output.

    Args:
        terms: of the node's inputs; constant numbers need none.
    """
    types = [value.type for value in node.inputs]
    tree = elementwise_tree(node.op, types, node.attrs)
    common = elementwise_dtype(node.op, types) if node.op.promotes else None
    operands: list[Term] = []
    for parameter, value, type_ in zip(node.op.schema.inputs, node.inputs, types, strict=True):
        own = type_.dtype if isinstance(type_, (TensorType, ScalarType)) else float32
        wanted = common if common is not None and parameter.name in node.op.promotes else own
        term = terms.get(value)
        if term is None:
            operands.append(Number(wanted, value=_as_kind(literal_of(value), wanted)))
        elif isinstance(type_, ScalarType):
            operands.append(_typed_number(term, wanted))
        else:
            operands.append(program.cast(term, wanted, node))
    return program.tree(tree, operands, size, node)


def _typed_number(term: Term, dtype: DType) -> Term:
    """A Python number as an operand of a dtype, to which it goes directly."""
    assert isinstance(term, Number)
    if term.text:
        return Number(dtype, text=f"{dtype_text(dtype)}({term.text})")
    return Number(dtype, value=_as_kind(term.value, dtype))


def _as_kind(value: Any, dtype: DType) -> Any:
    """A Python number as one that a dtype holds: integers wrap around, as they do eagerly."""
    found = {"bool": bool, "int": int, "float": float}[dtype.kind](value)
    return found if dtype.kind != "int" or dtype.holds(found) else int(np.asarray(found, np.int64).astype(dtype.np))


def single_step(program: Program, term: Term) -> Step | None:
    """The program's only step, where that is one NumPy call with `out=` and needs no further memory."""
    if len(program.steps) != 1 or not isinstance(term, Result):
        return None
    step = program.steps[0]
    plain = step.op == "cast" or (step.op != "where" and _form(step) is not None)
    numbers = all(isinstance(arg, Number) for arg in step.args) and step.op != "cast"
    return step if plain and (numbers or any(isinstance(arg, Array) for arg in step.args)) else None


# --------------------------------------------------------------------------------------------------- steps into lines


def _form(step: Step) -> str | None:
    """The NumPy function that a step is, or None where it takes a function of ours."""
    source = PRIMITIVES[step.op].source or _FORMS.get(step.op)
    if source is None and step.dtype.kind == "float":
        source = _FLOAT_FORMS.get(step.op)
    return source or None


def step_line(
    step: Step,
    text: Callable[[Term], str],
    constant: Callable[[Number], str],
    function: Callable[[Any], str],
) -> str:
    """A step as a line of source.

    Args:
        text: a term as an expression.
        constant: a number as an array operand.
        function: embeds a Python function; returns its name.
    """
    out = step.register
    if step.op == "cast":
        return f'np.copyto({out}, {text(step.args[0])}, casting="unsafe")'
    if step.op == "where":
        a, b = ("None" if _is_zero(arg) else _typed(arg, text) for arg in step.args[1:])
        a = _typed(step.args[1], text) if b == "None" else a
        return f"select({text(step.args[0])}, {a}, {b}, {out}, {step.mask})"
    numbers = all(isinstance(arg, Number) for arg in step.args)
    args = []
    for arg in step.args:
        if isinstance(arg, Number) and step.op in _ARRAYS_ONLY and not numbers:
            args.append(constant(arg))
        else:
            args.append(_typed(arg, text) if numbers else text(arg))
    form = _form(step)
    if step.op == "mul" and step.args[0] == step.args[1] and step.dtype.kind != "bool":
        return f"np.square({args[0]}, out={out})"
    if form is not None:
        return f"{form}({', '.join(args)}, out={out})"
    return f"np.copyto({out}, {function(PRIMITIVES[step.op].array)}({', '.join(args)}))"


def _is_zero(term: Term) -> bool:
    """Whether a term is a literal all of whose bits are 0."""
    return isinstance(term, Number) and not term.text and str(term.value) in ("0", "0.0", "False")


def _typed(term: Term, text: Callable[[Term], str]) -> str:
    if isinstance(term, Number) and not term.text and term.dtype is not bfloat16:
        return f"{dtype_text(term.dtype)}({number(term.value)})"
    return text(term)


def literal_text(term: Number) -> str:
    """A number as an operand beside arrays of its dtype."""
    if term.text:
        return term.text
    # NumPy does not convert Python numbers to a dtype that is not its own.
    return f"bfloat16({number(term.value)})" if term.dtype is bfloat16 else number(term.value)


# ------------------------------------------------------------------------------------------------------- a function


def fused_kernel(
    name: str,
    inputs: Mapping[Value, Any],
    nodes: Sequence[Node],
    outputs: Sequence[Value],
    aliases: Mapping[int, int],
    size: Callable[[Any], str],
    size_names: Mapping[str, None],
    function: Callable[[Any], str],
) -> Kernel:
    """The kernel of element-wise nodes.

    Args:
        inputs: what the nodes read from outside, each with the number that it is, or None for a parameter.
        outputs: what they hand out.
        aliases: outputs whose memory is that of an input: position among the outputs to position among the inputs.
            Such an input is not a parameter of its own.
        size: a symbolic size as an expression.
        size_names: the names in those expressions, when all have been asked for; further parameters behind the inputs.
        function: embeds a Python function; returns its name.
    """
    program = Program()
    terms: dict[Value, Term] = {}
    outs = [f"y{i}" for i in range(len(outputs))]
    parameters = []
    by_input = {i: outs[o] for o, i in aliases.items()}
    for i, (value, literal) in enumerate(inputs.items()):
        type_ = value.type
        assert isinstance(type_, (TensorType, ScalarType))
        if literal is not None:
            terms[value] = Number(type_.dtype, value=literal)
            continue
        operand = by_input.get(i, f"x{i}")
        if i not in by_input:
            parameters.append(operand)
        is_array = isinstance(type_, TensorType)
        terms[value] = Array(operand, type_.dtype) if is_array else Number(type_.dtype, text=operand)
    for node in nodes:
        terms[node.output] = node_terms(program, node, terms, size)
    ends = [terms[value] for value in outputs]
    # An operand that is handed out as it is, is copied by a step like any other: its memory may be another output's.
    results = [end if isinstance(end, Result) else program.add("cast", (end,), end.dtype) for end in ends]
    finished = [Output(out, end, _last_read(program, out)) for out, end in zip(outs, results, strict=True)]
    return _Writer(name, program, function).write([*parameters, *size_names], finished)


def _last_read(program: Program, name: str) -> int:
    """The last step that reads an array operand; -1 where none does."""
    reading = (
        i for i, step in enumerate(program.steps) if any(isinstance(a, Array) and a.name == name for a in step.args)
    )
    return max(reading, default=-1)


class _Writer:
    def __init__(self, name: str, program: Program, function: Callable[[Any], str]) -> None:
        self.name = name
        self.program = program
        self.function = function
        self.kernel = Kernel([], cost=len(program.steps))
        self.constants: dict[tuple[str, str], str] = {}

    def write(self, parameters: Sequence[str], outputs: Sequence[Output]) -> Kernel:
        kernel = self.kernel
        copies = assign(self.program, outputs, self.register)
        where = ""
        body: list[tuple[str, Node | None]] = []
        for step in self.program.steps:
            here = place(step.origin.location, step.origin.path) if step.origin is not None else ""
            if here and here != where:
                body.append((f"    # {here}", None))
                where = here
            body.append((f"    {step_line(step, self.text, self.constant, self.function)}", step.origin))
        body += [(f"    np.copyto({out}, {source})", None) for out, source in copies]
        names = [*(f"t{i}" for i in range(len(kernel.registers))), *self.constants.values(), *parameters]
        names += [output.name for output in outputs]
        body.insert(0, (f"def {self.name}({', '.join(names)}):", None))
        kernel.lines = [line for line, _ in body]
        kernel.origins = [origin for _, origin in body]
        return kernel

    def register(self, dtype: DType) -> str:
        self.kernel.registers.append(dtype)
        return f"t{len(self.kernel.registers) - 1}"

    def constant(self, term: Number) -> str:
        """An array filled with a literal; numbers known only at run time stay numbers."""
        if term.text:
            return term.text
        key = (repr(term.value), term.dtype.name)
        if key not in self.constants:
            self.constants[key] = f"k{len(self.constants)}"
            self.kernel.constants.append((term.value, term.dtype))
        return self.constants[key]

    def text(self, term: Term) -> str:
        if isinstance(term, Array):
            return term.name
        return self.program.steps[term.step].register if isinstance(term, Result) else literal_text(term)
