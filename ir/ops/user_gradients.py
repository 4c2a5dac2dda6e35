"""Gradients that users write in Python, as part of a graph.

`prim::UserGradient` stands behind what the forward of an `autograd.Function` computes, and holds in a block what its
backward computes, or the reason why that is not known. It does nothing when a graph runs: the pass
`drop_user_gradients` takes it away; only those who differentiate read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..errors import VerifyError
from ..registry import NotDifferentiable, NotExportable, Op, lookup, register
from ..schema import Parameter, Schema
from ..types import Type
from . import prims as _prims  # noqa: F401  the other ops with blocks

if TYPE_CHECKING:
    from ..graph import Node

__all__: list[str] = []

_IF: Final = lookup("prim::If")  # its types come from its blocks, too, and its meaning from what runs the graph


def _verify(node: Node) -> None:
    count = len(node.outputs)
    if len(node.blocks) != 1:
        _fail(node, f"{len(node.blocks)} blocks", "1 block", str(len(node.blocks)))
    (block,) = node.blocks
    given = tuple(value.type for value in node.inputs)
    own = tuple(value.type for value in node.outputs)
    if not count or given[:count] != own:
        _fail(node, "the outputs are not the first inputs", _show(given), _show(own))
    params = tuple(param.type for param in block.params)
    if params != (*own, *own):
        _fail(
            node, "the block does not take the outputs' gradients and the outputs", _show((*own, *own)), _show(params)
        )
    if len(block.returns) != len(given) - count:
        yielded = tuple(value.type for value in block.returns)
        _fail(node, "the block does not yield one gradient per argument", _show(given[count:]), _show(yielded))


def _fail(node: Node, what: str, expected: str, found: str) -> None:
    raise VerifyError(f"{node.op.name}: {what}", expected=expected, found=found, location=node.location)


def _show(types: Sequence[Type]) -> str:
    return "(" + ", ".join(map(str, types)) + ")"


_INPUTS = (Parameter("values", "Tensor", 0),)
_ATTRIBUTES = (
    Parameter("function", "str", default=""),
    Parameter("whole", "bool", default=False),
    Parameter("why", "str", default=""),
)

register(
    Op(
        name="prim::UserGradient",
        schema=Schema(
            "UserGradient",
            (*_INPUTS, *_ATTRIBUTES),
            (),
            "prim::UserGradient(values, function, whole, why)",
            _INPUTS,
            _ATTRIBUTES,
            0,
        ),
        kind="prim",
        infer=_IF.infer,
        kernel=_IF.kernel,
        grad=NotDifferentiable("its block is its gradient"),
        onnx=NotExportable("it is part of the graph's structure"),
        verify=_verify,
        doc="Hands on as many of its first inputs as it has outputs; those behind them are the arguments that these "
        "were computed from. No gradient flows through the computation: the block takes the gradients of the outputs, "
        "then the outputs, and yields the gradients of the arguments; it reads what else it needs from around. "
        "`function` names it; `whole` says that it must be given a gradient of every output; `why`, where it is not "
        "empty, why the block is not to be used.",
        extras={"blocks": 1, "effect": False},
    )
)
