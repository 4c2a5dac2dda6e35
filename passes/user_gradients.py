"""Gradients through `prim::UserGradient`: what its block computes, in the place of the way back.

A gradient that a user has written may be anything, and need not be zero where nothing flows back to it, in contrast to
those of operations. Where a branch or a loop stands between, zeros can stand for nothing: there it is made sure that
the block makes zeros of zeros.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ..ir.algebra import Algebra, Proxy, type_of
from ..ir.errors import GradientError, IngotError
from ..ir.families import elementwise_tree, nest_of
from ..ir.graph import Node, Value
from ..ir.graph_copy import copy_nodes
from ..ir.nest import NestOutput, Read
from ..ir.registry import Op
from ..ir.scalar import ARRAYS, Arg, Const, Expr, walk
from ..ir.types import TensorType, Type
from .facts import constant_of
from .gradient_walk import Back
from .structure import USER_GRADIENT, arguments_of

__all__ = ["makes_zeros", "may_not_vanish", "not_zero", "user_gradients", "vanishes"]


def may_not_vanish(node: Node) -> bool:
    """Whether a node has a gradient of the user's that may be another than zero where nothing flows back to it."""
    return node.op is USER_GRADIENT and (bool(node.attrs["whole"]) or not vanishes(node))


def user_gradients(
    back: Back, node: Node, grads: Sequence[Value | None], active: Collection[Value]
) -> dict[Value, Value]:
    """The gradients of the active arguments, computed at the place of `back` as the node's block says.

    Raises:
        GradientError: where that could differ from what the user's function would be given.
    """
    arguments = arguments_of(node)
    if not any(value in active for value in arguments):
        return {}
    _refuse_unknown(back, node, grads)
    (block,) = node.blocks
    count = len(node.outputs)
    values: dict[Value, Value] = dict(zip(block.params[count:], node.outputs, strict=True))
    for param, output, gradient in zip(block.params[:count], node.outputs, grads, strict=True):
        assert isinstance(output.type, TensorType)
        values[param] = back.zeros(output.type) if gradient is None else back.fitted(gradient, output.type.sizes)
    copy_nodes(block, back.builder.point, values)
    found: dict[Value, Value] = {}
    for value, gradient in zip(arguments, block.returns, strict=True):
        if value in active:
            assert isinstance(value.type, TensorType)
            back.add(found, value, back.fitted(values.get(gradient, gradient), value.type.sizes))
    return found


def _refuse_unknown(back: Back, node: Node, grads: Sequence[Value | None]) -> None:
    name = node.attrs["function"] or "a function"
    if node.attrs["why"]:
        raise GradientError(node.attrs["why"], location=node.location, path=node.path)
    if node.attrs["whole"] and (back.uncertain or any(g is None for g in grads)):
        raise GradientError(
            f"{name}.backward is written for gradients that may be None, and one may be none here",
            expected="a gradient of every output, or set_materialize_grads(True)",
            location=node.location,
            path=node.path,
            advice="let backward take zeros: leave ctx.set_materialize_grads(False) out",
        )
    if back.uncertain and not vanishes(node):
        raise not_zero(name).located(node.location, node.path)


def not_zero(name: str) -> GradientError:
    """What to say of a gradient that may be another than zero where nothing flows back to it."""
    return GradientError(
        f"{name}.backward may give another gradient than zero where none flows back to it, and the run decides whether "
        "one does",
        expected="a backward that makes zeros of zeros, such as one that multiplies the gradient",
        advice="write it as a multiple of the gradient, or let no branch or loop stand between it and the result",
    )


def vanishes(node: Node) -> bool:
    """Whether the block of a user's gradient surely makes zeros of zeros; what it reads besides is taken for finite.

    >>> from ingot.ir.parser import parse
    >>> graph = parse('''
    ... graph @f(%x : f32[2]) -> (f32[2]):
    ...   %r : f32[2] = ingot::round(%x)
    ...   %y : f32[2] = prim::UserGradient(%r, %x)
    ...     block0(%g : f32[2], %z : f32[2]):
    ...       %d : f32[2] = ingot::mul(%g, %x)
    ...       -> (%d)
    ...   return (%y)''')
    >>> vanishes(graph.outputs[0].node)
    True
    """
    (block,) = node.blocks
    return makes_zeros(block.nodes, block.params[: len(node.outputs)], block.returns)


def makes_zeros(nodes: Iterable[Node], zeros: Iterable[Value], results: Iterable[Value]) -> bool:
    """Whether nodes surely make zeros of some values where others are zeros; what they read besides is taken for
    finite."""
    known: dict[Value, Proxy] = {value: _known(0.0, value.type) for value in zeros}

    def operand(value: Value) -> Proxy:
        if value not in known:
            known[value] = _known(_number(constant_of(value)), value.type)
        return known[value]

    try:
        for node in nodes:
            if node.op is USER_GRADIENT:
                known.update((y, operand(x)) for y, x in zip(node.outputs, node.inputs, strict=False))
            elif not node.blocks and node.op.kind != "prim":
                found = _ZEROS.apply(node.op, [operand(x) for x in node.inputs], node.attrs)
                known.update(zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=True))
        return all(operand(value).value == 0 for value in results)
    except IngotError:  # a type that only the verifier, with all that is known of sizes, finds right
        return False


def _known(number: Any, type_: Type) -> Proxy:
    return Proxy(_ZEROS, number, type_)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (bool, int, float)) else None


class _Zeros(Algebra):
    """An algebra that computes the number that all elements of a tensor are known to be, or None; and types."""

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        types = [type_of(x) for x in inputs]
        numbers = [x.value if isinstance(x, Proxy) else _number(x) for x in inputs]
        results = op.infer(types, attrs)
        if op.kind == "composite" and op.body is not None:
            operands = [None if x is None else x for x in inputs]
            found = op.body(self, *op.schema.unflatten(operands), **attrs)
            parts = found if isinstance(found, tuple) else (found,)
            values = [x.value if isinstance(x, Proxy) else _number(x) for x in parts]
        else:
            values = self._numbers(op, types, numbers, attrs, len(results))
        made = tuple(Proxy(self, value, type_) for value, type_ in zip(values, results, strict=True))
        return made[0] if len(made) == 1 else made

    @staticmethod
    def _numbers(
        op: Op, types: Sequence[Type], numbers: Sequence[float | None], attrs: Mapping[str, Any], count: int
    ) -> list[float | None]:
        if op.kind == "elementwise":
            return [_number_of(elementwise_tree(op, types, attrs), numbers)]
        if op.kind == "nest":
            found = nest_of(op, types, attrs).outputs
            return [_combined(output, numbers) for output in found]
        return [None] * count


_ZEROS: Final = _Zeros()
_KEEP_ZERO: Final = frozenset(("sum", "max", "min"))


def _combined(output: Any, numbers: Sequence[float | None]) -> float | None:
    if not isinstance(output, NestOutput):
        return None
    found = _number_of(output.body, numbers)
    return found if output.combiner is None or (found == 0 and output.combiner in _KEEP_ZERO) else None


def _number_of(tree: Expr, numbers: Sequence[float | None]) -> float | None:
    """The number that an expression is known to be."""
    found: dict[Expr, float | None] = {}
    for expr in walk(tree):
        found[expr] = _known_number(expr, [found[arg] for arg in expr.args], numbers)
    return found[tree]


def _known_number(expr: Expr, args: Sequence[float | None], numbers: Sequence[float | None]) -> float | None:
    if isinstance(expr, Const):
        return _number(expr.value)
    if isinstance(expr, Arg):
        return numbers[expr.index]
    if isinstance(expr, Read):
        return numbers[expr.operand]
    if expr.op == "mul" and 0 in args:
        return 0.0
    if expr.op == "div" and args[0] == 0 and args[1] != 0:
        return 0.0
    if expr.op == "where":
        chosen = args[1:] if args[0] is None else (args[1 if args[0] else 2],)
        return chosen[0] if all(x == chosen[0] for x in chosen) else None
    if not args or None in args:
        return None
    if expr.op == "cast":
        return args[0] if args[0] == 0 else None
    with np.errstate(all="ignore"):
        return float(getattr(ARRAYS, expr.op)(*[np.float64(x) for x in args]))
