"""Tensors without dimensions as NumPy scalars: for which values, and what their nodes become.

What decides conditions, sizes and assertions is a chain of single numbers. An array operation on one element costs
several times what the same operation on NumPy's scalars does, and means the same: integers wrap around, float32 is
rounded to float32. So such values are kept in Python variables, bools as NumPy's or Python's own. Whatever else reads
one of them gets an array of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from ...ir.dtypes import DType, by_short
from ...ir.graph import Graph, Node, Value
from ...ir.types import TensorType
from .emitter import Emitter
from .kernels import literal_of, node_terms
from .nodes import own_kernel
from .steps import Array, Number, Program, Result, Step, Term
from .text import dtype_text, number

__all__ = ["emit_scalars", "scalar_values"]

_DTYPES: Final = frozenset(by_short[name] for name in ("bool", "i32", "i64", "f32", "f64"))
_COMPARISONS: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_BITS: Final = {"and_": "&", "or_": "|", "xor": "^"}
_ARITHMETIC: Final = {"add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%"}
_ON_BOOLS: Final = {"add": "|", "mul": "&"}


# -------------------------------------------------------------------------------------------------- which values


def scalar_values(graph: Graph) -> frozenset[Value]:
    """The values of a graph that are kept as scalars: those that conditions, sizes and assertions are computed from,
    as far as scalars compute them."""
    found: set[Value] = set()
    inputs = frozenset(graph.inputs)
    waiting = list(_read_as_scalars(graph))
    while waiting:
        value = waiting.pop()
        if value not in found and _is_small(value):
            kept, read = ((value,), ()) if value in inputs else _chain(value)
            found.update(kept)
            waiting.extend(read)
    return frozenset(found)


def _read_as_scalars(graph: Graph) -> Iterator[Value]:
    for node in graph.nodes():
        if node.op.name in ("prim::Item", "prim::Assert", "prim::If"):
            yield node.inputs[0]
        elif node.op.name == "prim::Loop":
            yield node.inputs[1]
            yield node.blocks[0].returns[0]


def _is_small(value: Value) -> bool:
    return isinstance(value.type, TensorType) and not value.type.sizes and value.type.dtype in _DTYPES


def _chain(value: Value) -> tuple[Sequence[Value], Sequence[Value]]:
    """The values that are scalars when this one is, and those that they are computed from."""
    node = value.node
    if node is None:
        owner = value.block.parent
        return _carried(owner, value.index - 1) if owner is not None and owner.op.name == "prim::Loop" else ((), ())
    if node.op.name == "prim::Loop":
        return _carried(node, value.index)
    if node.op.name == "prim::If":
        return (value,), [block.returns[value.index] for block in node.blocks]
    if node.op.name == "prim::Constant":
        return (value,), ()
    return (node.outputs, node.inputs) if _has_form(node) else ((), ())


def _carried(loop: Node, i: int) -> tuple[Sequence[Value], Sequence[Value]]:
    block = loop.blocks[0]
    if i >= len(loop.inputs) - 2:  # a stack
        return (), ()
    return (loop.outputs[i], block.params[1 + i]), (loop.inputs[2 + i], block.returns[1 + i])


def _has_form(node: Node) -> bool:
    """Whether a node computes single numbers from single numbers, in steps that scalars have."""
    op = node.op
    if op.name != "prim::FusionGroup" and not (op.kind == "elementwise" and (op.fast is None or not own_kernel(op))):
        return False
    tensors = [value for value in (*node.inputs, *node.outputs) if isinstance(value.type, TensorType)]
    if op.view or not node.outputs or not all(map(_is_small, tensors)):
        return False
    program, ends = _steps(node, lambda value: _term(value, "x"), str)
    return all(end.dtype in _DTYPES for end in ends) and all(map(_is_known, program.steps))


def _is_known(step: Step) -> bool:
    dtypes = {step.dtype, *(arg.dtype for arg in step.args)}
    if not dtypes <= _DTYPES:
        return False
    if step.op in ("maximum", "minimum"):  # Python's own choose another of NaN and zeros
        return step.dtype.kind == "int"
    if step.dtype.kind == "bool" and step.op in _ARITHMETIC:
        return step.op in _ON_BOOLS
    return step.op in _FORMS or step.op in _INFIX


# -------------------------------------------------------------------------------------------------- what nodes become


def emit_scalars(e: Emitter, node: Node) -> None:
    """Write a node whose outputs are kept as scalars: a line for each step."""
    program, ends = _steps(node, lambda value: _term(value, _operand(e, value)), e.size)
    names: list[str] = []

    def text(term: Term) -> str:
        if isinstance(term, Array):
            return term.name
        return names[term.step] if isinstance(term, Result) else _number(e, term)

    for step in program.steps:
        names.append(e.assign(e.names.new("v"), _expression(e, step, text), step.origin or node))
    for value, end in zip(node.outputs, ends, strict=True):
        known = isinstance(end, (Array, Result)) or not end.text
        e.seat_scalar(value, text(end) if known else e.assign(e.names.new("v"), text(end), node))


def _operand(e: Emitter, value: Value) -> str:
    return e.scalar(value) if isinstance(value.type, TensorType) else e.seats[value].text


def _term(value: Value, text: str) -> Term:
    type_ = value.type
    if isinstance(type_, TensorType):
        return Array(text, type_.dtype)
    return Number(type_.dtype, text=text)  # type: ignore[attr-defined]


def _steps(node: Node, term: Callable[[Value], Term], size: Callable[[Any], str]) -> tuple[Program, list[Term]]:
    """The steps of a node or a fused group, and the terms of its outputs."""
    program = Program()
    if not node.blocks:
        terms = {value: term(value) for value in node.inputs if literal_of(value) is None}
        return program, [node_terms(program, node, terms, size)]
    block = node.blocks[0]
    terms = {}
    for param, value in zip(block.params, node.inputs, strict=True):
        literal = literal_of(value)
        terms[param] = term(value) if literal is None else Number(param.type.dtype, value=literal)  # type: ignore[attr-defined]
    for inner in block.nodes:
        if inner.op.name != "prim::Constant":
            terms[inner.output] = node_terms(program, inner, terms, size)
        elif isinstance(inner.attrs["value"], np.ndarray):
            array = inner.attrs["value"]
            terms[inner.output] = Number(DType.of(array.dtype), value=array.item())
    return program, [terms[value] for value in block.returns]


def _number(e: Emitter, term: Number) -> str:
    """A number of its dtype."""
    return term.text or e.literal(term.dtype, term.value)


def _expression(e: Emitter, step: Step, text: Callable[[Term], str]) -> str:
    if step.op in _FORMS:
        return _FORMS[step.op](e, step, [text(arg) for arg in step.args])
    sign = _ON_BOOLS[step.op] if step.dtype.kind == "bool" and step.op in _ON_BOOLS else _INFIX[step.op]
    # A Python number beside a scalar becomes one of its dtype; two of them are compared as they are.
    plain = step.op in _COMPARISONS or not all(isinstance(arg, Number) for arg in step.args)
    left, right = (_plain(arg) or text(arg) if plain and isinstance(arg, Number) else text(arg) for arg in step.args)
    return f"{left} {sign} {right}"


def _plain(term: Number) -> str:
    """A number as Python's own, where that means the same; or an empty string."""
    if not term.text:
        return number(term.value)
    typed = f"{dtype_text(term.dtype)}("
    if term.dtype is not _INT64 or not term.text.startswith(typed):
        return ""
    inner = term.text[len(typed) : -1]
    return inner if _CLOSED.fullmatch(inner) else f"({inner})"


def _cast(e: Emitter, step: Step, args: Sequence[str]) -> str:
    if step.dtype.kind == "bool":
        return f"{args[0]} != 0"
    if step.args[0].dtype.kind == "bool":
        one, zero = (e.literal(step.dtype, {"int": int, "float": float}[step.dtype.kind](x)) for x in (1, 0))
        return f"{one} if {args[0]} else {zero}"
    return f"{args[0]}.astype({dtype_text(step.dtype)})"


_CLOSED: Final = re.compile(r"\w+|\([^()]*\)")
_INT64: Final = by_short["i64"]
_INFIX: Final = {**_COMPARISONS, **_BITS, **_ARITHMETIC}
_FORMS: Final[dict[str, Callable[[Emitter, Step, Sequence[str]], str]]] = {
    "cast": _cast,
    "where": lambda e, step, args: f"{args[1]} if {args[0]} else {args[2]}",
    "maximum": lambda e, step, args: f"max({', '.join(args)})",
    "minimum": lambda e, step, args: f"min({', '.join(args)})",
    "neg": lambda e, step, args: f"-{args[0]}",
    "abs": lambda e, step, args: f"abs({args[0]})",
    "isnan": lambda e, step, args: f"{args[0]} != {args[0]}",
    "not_": lambda e, step, args: f"not {args[0]}" if step.dtype.kind == "bool" else f"~{args[0]}",
}
