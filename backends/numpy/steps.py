"""Element-wise arithmetic as a list of steps, and the registers that hold their results.

Scalar trees of one node, or of a whole fused group, become steps, each one primitive over terms. `assign` finds an
array for every step's result: an output where it may be written early, an operand's register in its last use, a
free register, or a new one. What is printed from that is `lines`' subject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.dtypes import DType, by_short
from ...ir.scalar import Arg, Const, Expr, SizeLeaf, evaluate, walk
from .text import dtype_text

__all__ = ["Array", "Number", "Output", "Program", "Result", "Step", "Term", "assign", "bits_dtype"]


@dataclass(frozen=True, slots=True)
class Array:
    """An array operand by its name in the source."""

    name: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class Number:
    """A number: a literal, or an expression that gives a NumPy scalar of the dtype."""

    dtype: DType
    value: Any = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a step computes."""

    step: int
    dtype: DType


Term = Array | Number | Result


@dataclass(slots=True)
class Step:
    """One primitive, `where` or `cast` over terms; `origin` is whatever the caller wants to know again."""

    op: str
    args: tuple[Term, ...]
    dtype: DType
    origin: Any = None
    register: str = ""
    mask: str = ""


@dataclass(slots=True)
class Output:
    """An output array, and the result that ends up in it.

    `after` is the last step at which something else needs what lies in that memory: an operand that the output
    takes the place of. -1 where it is free from the beginning.
    """

    name: str
    term: Result
    after: int = -1


def bits_dtype(dtype: DType) -> DType:
    """The signed integers of a dtype's size, which hold masks for it."""
    return by_short[f"i{8 * dtype.itemsize}"]


@dataclass(slots=True)
class Program:
    """Steps, in an order in which they can be executed."""

    steps: list[Step] = field(default_factory=list)

    def add(self, op: str, args: tuple[Term, ...], dtype: DType, origin: Any = None) -> Result:
        """What one more step computes."""
        self.steps.append(Step(op, args, dtype, origin))
        return Result(len(self.steps) - 1, dtype)

    def cast(self, term: Term, dtype: DType, origin: Any = None) -> Term:
        """A term in another dtype."""
        if term.dtype is dtype:
            return term
        if isinstance(term, Number):
            if term.text:
                return Number(dtype, text=f"{dtype_text(dtype)}({term.text})")
            return Number(dtype, value=_folded(Expr("cast", (Const(term.value, term.dtype),), dtype)))
        return self.add("cast", (term,), dtype, origin)

    def tree(self, expr: Expr, operands: Sequence[Term], size: Callable[[Any], str], origin: Any = None) -> Term:
        """The steps of a scalar tree.

        Args:
            operands: the term of each operand, of the dtype in which the tree takes it.
            size: a symbolic size as an expression.
        """
        terms: dict[Expr, Term] = {}
        for node in walk(expr):
            terms[node] = self._node(node, operands, terms, size, origin)
        return terms[expr]

    def _node(
        self, node: Expr, operands: Sequence[Term], terms: dict[Expr, Term], size: Callable[[Any], str], origin: Any
    ) -> Term:
        if isinstance(node, Arg):
            return operands[node.index]
        if isinstance(node, Const):
            return Number(node.dtype, value=node.value)
        if isinstance(node, SizeLeaf):
            return Number(node.dtype, text=f"np.int64({size(node.size)})")
        args = tuple(terms[arg] for arg in node.args)
        if node.op == "cast":
            return self.cast(args[0], node.dtype, origin)
        if all(isinstance(arg, Number) and not arg.text for arg in args):
            constants = tuple(Const(arg.value, arg.dtype) for arg in args)  # type: ignore[union-attr]
            return Number(node.dtype, value=_folded(Expr(node.op, constants, node.dtype)))
        # `select` needs two arrays. repr tells 0.0 from -0.0, as equality does not.
        if node.op == "where" and repr(args[1]) == repr(args[2]):
            return args[1]
        return self.add(node.op, args, node.dtype, origin)


def _folded(expr: Expr) -> Any:
    """The value of an expression of literals, as the Python number that stands for it exactly."""
    with np.errstate(all="ignore"):
        return np.asarray(evaluate(expr, lambda leaf: None)).astype(expr.dtype.np).item()


# ------------------------------------------------------------------------------------------------------- registers


@dataclass(slots=True)
class _Register:
    name: str
    dtype: DType
    busy: int  # the last step that needs what lies in it
    due: int | None = None  # for an output: the step that computes it


def assign(program: Program, outputs: Sequence[Output], new: Callable[[DType], str]) -> list[tuple[str, str]]:
    """Give every step a register, and every `where` a mask.

    A step may write over an operand that it is the last to read: NumPy's functions work element by element.

    Args:
        new: makes another register.

    Returns:
        the copies that are left: names of outputs and of what to copy there, after all steps.
    """
    last = _last_uses(program, outputs)
    registers = [_Register(o.name, o.term.dtype, o.after, o.term.step) for o in outputs]
    targets: dict[int, _Register] = {}
    for output, register in zip(outputs, registers, strict=True):
        targets.setdefault(output.term.step, register)
    names: dict[int, str] = {}
    for i, step in enumerate(program.steps):
        if step.op == "where":
            # The mask is written while the operands are still needed, and read while the result is written.
            step.mask = _free(registers, bits_dtype(step.dtype), i - 1, i + 1, new).name
        found = targets.get(i)
        if found is None or found.busy > i:
            found = _free(registers, step.dtype, i, last[i], new)
        found.busy = last[i]
        step.register = names[i] = found.name
    return [(o.name, names[o.term.step]) for o in outputs if names[o.term.step] != o.name]


def _last_uses(program: Program, outputs: Sequence[Output]) -> list[int]:
    last = list(range(len(program.steps)))
    for i, step in enumerate(program.steps):
        for arg in step.args:
            if isinstance(arg, Result):
                last[arg.step] = i
    for output in outputs:
        last[output.term.step] = 1 << 60
    return last


def _free(registers: list[_Register], dtype: DType, now: int, until: int, new: Callable[[DType], str]) -> _Register:
    """A register of a dtype that nothing needs after step `now`, for something that is needed until `until`."""
    for register in registers:
        if register.dtype is dtype and register.busy <= now and (register.due is None or until <= register.due):
            register.busy = until
            return register
    found = _Register(new(dtype), dtype, until)
    registers.append(found)
    return found
