"""What the graph itself needs: constants, terminators, control flow, keys, sizes, containers, fusion groups.

Ops with blocks take their output types from what their blocks yield; `verify` holds the rules of their structure, and
`ir/verifier_blocks` those of the types that go in and out. The interpreter and the backends give `If`, `Loop`, `Size`
and `Bind` their run-time meaning; the kernels here are those of plain ops. An op with an effect (`extras["effect"]`)
is there for what it does: no pass drops it, or takes it out of its block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import philox
from ..dtypes import DType
from ..errors import ShapeError, VerifyError
from ..raised import RAISED
from ..registry import NamedKernel, NotDifferentiable, NotExportable, Op, register
from ..schema import Parameter, Schema
from ..sizes import SizeExpr, equal, product
from ..types import BOOL, FLOAT, INT, KEY, NONE, ListType, ScalarType, TensorType, TupleType, Type, of_number
from ..watched import show

if TYPE_CHECKING:
    from ..graph import Node

__all__ = ["assertion_text", "constant_type"]

_STRUCTURE = NotDifferentiable("it is part of the graph's structure")
_NO_FORM = NotExportable("it is part of the graph's structure")


def _prim(
    name: str,
    inputs: tuple[Parameter, ...],
    attributes: tuple[Parameter, ...],
    infer: Callable[[Sequence[Type], Mapping[str, Any]], tuple[Type, ...]],
    kernel: Callable[..., Any],
    *,
    doc: str,
    verify: Callable[[Node], None] | None = None,
    blocks: int = 0,
    variadic: int | None = None,
    onnx: Any = _NO_FORM,
    effect: bool = False,
    version: int = 1,
) -> Op:
    text = f"prim::{name}({', '.join(map(str, inputs + attributes))})"
    schema = Schema(name, inputs + attributes, (), text, inputs, attributes, variadic)
    return register(
        Op(
            name=f"prim::{name}",
            schema=schema,
            kind="prim",
            infer=infer,
            kernel=kernel,
            grad=_STRUCTURE,
            onnx=onnx,
            verify=verify,
            version=version,
            doc=doc,
            extras={"blocks": blocks, "effect": effect},
        )
    )


def _values(name: str = "values") -> tuple[Parameter, ...]:
    return (Parameter(name, "Tensor", 0),)


def _structural(*_: Any, **__: Any) -> Any:
    raise VerifyError("a structural op has no kernel; run the graph with the interpreter or a backend")


def _types_from_blocks(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    raise VerifyError("the types of an op with blocks come from its blocks; give them when it is made")


def _no_outputs(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    return ()


def constant_type(value: Any) -> Type:
    """The type of a constant: of a number, None, or an array.

    >>> str(constant_type(2.0))
    'float'
    """
    if value is None:
        return NONE
    if isinstance(value, (bool, int, float)):
        return of_number(value)
    if isinstance(value, SizeExpr):
        return INT
    if isinstance(value, np.ndarray) and value.dtype == np.uint64 and value.shape == (2,):
        return KEY
    return TensorType(DType.of(value.dtype), tuple(value.shape))


_prim(
    "Constant",
    (),
    (Parameter("value", "constant", optional=True),),
    lambda types, attrs: (constant_type(attrs["value"]),),
    lambda *, value: value,
    doc="A tensor, a number or none, known when the graph is made.",
)
_prim("Yield", _values(), (), _no_outputs, _structural, doc="Closes a block: what it hands out.", variadic=0)
_prim(
    "Return",
    _values(),
    (Parameter("updates", "str", 0, default=()),),
    _no_outputs,
    _structural,
    doc="Closes a graph: its outputs, then the new values of the state named in `updates`.",
    variadic=0,
)
_prim(
    "Split",
    (Parameter("key", "Key"),),
    (),
    lambda types, attrs: (KEY, KEY),
    lambda key: philox.split(key),
    doc="Two independent keys from one.",
)
_prim(
    "Size",
    (),
    (Parameter("value", "size"),),
    lambda types, attrs: (INT,),
    _structural,
    doc="A size expression as a run-time integer.",
)


def _verify_bind(node: Node) -> None:
    if node.inputs[0].type is not INT:
        raise VerifyError(f"prim::Bind takes an int, not {node.inputs[0].type}", location=node.location)


_prim(
    "Bind",
    _values("value"),
    (Parameter("variable", "size"),),
    _no_outputs,
    _structural,
    doc="Gives a fresh size variable the value of a run-time integer.",
    verify=_verify_bind,
    variadic=0,
)


def _item_type(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    (type_,) = types
    if not isinstance(type_, TensorType):
        raise VerifyError(f"prim::Item takes a tensor, not {type_}")
    if equal(product(type_.sizes), 1) is False:
        raise ShapeError("item: the tensor does not have one element", expected="one element", found=str(type_))
    return ({"bool": BOOL, "int": INT, "float": FLOAT}[type_.dtype.kind],)


def _item(x: Any) -> Any:
    if x.size != 1:
        raise ShapeError("item: the tensor does not have one element", expected="one element", found=f"{x.size}")
    return x.item()


_prim(
    "Item",
    (Parameter("x", "Tensor"),),
    (),
    _item_type,
    _item,
    doc="The only element of a tensor as a run-time number: an int, a float or a bool, by its dtype.",
)


def assertion_text(message: str, error: str) -> str:
    """What is said where a `prim::Assert` raises.

    >>> assertion_text("", "AssertionError"), assertion_text("", "ValueError"), assertion_text("too long", "ValueError")
    ('an assertion does not hold', 'ValueError', 'too long')
    """
    return message or ("an assertion does not hold" if error == "AssertionError" else error)


def check_assertion(condition: Any, *, message: str = "", error: str = "AssertionError") -> tuple[()]:
    """The kernel of `prim::Assert`.

    Raises:
        AssertError: when the condition is false; of the built-in class of that name, too.
    """
    if not condition:
        raise RAISED[error](assertion_text(message, error))
    return ()


def _verify_assert(node: Node) -> None:
    if not _is_condition(node.inputs[0].type):
        _fail(node, "the condition is not a bool", "bool or bool[]", _show(_types(node.inputs)))
    if node.attrs["error"] not in RAISED:
        found = repr(node.attrs["error"][:80])
        _fail(node, "no exception that a program can raise has this name", "one of " + ", ".join(RAISED), found)


_prim(
    "Assert",
    (Parameter("condition", "Tensor"),),
    (Parameter("message", "str", default=""), Parameter("error", "str", default="AssertionError")),
    _no_outputs,
    check_assertion,
    doc="Raises AssertError with the message where the condition does not hold, as a built-in exception of that name.",
    version=2,
    verify=_verify_assert,
    onnx=NotExportable("ONNX has no assertions; leave it out of the program that is exported"),
    effect=True,
)


_prim(
    "Watch",
    _values("value"),
    (Parameter("place", "int"),),
    _no_outputs,
    NamedKernel("prim::Watch", show),
    doc="Shows a value to who listens to the run, under the number of a place.",
    variadic=0,
    onnx=NotExportable("it is there for who watches a run of the program"),
    effect=True,
)


def _tuple_type(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    return (TupleType(tuple(types)),)


def _untuple_types(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    if not isinstance(types[0], TupleType):
        raise VerifyError(f"prim::Untuple takes a tuple, not {types[0]}")
    return types[0].items


def _list_type(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    if not types or any(t != types[0] for t in types):
        raise VerifyError("prim::List takes one or more values of one type", found=", ".join(map(str, types)))
    return (ListType(types[0]),)


_prim("Tuple", _values(), (), _tuple_type, lambda *xs: (tuple(xs),), doc="Values as one tuple.", variadic=0)
_prim("Untuple", _values("value"), (), _untuple_types, lambda x: x, doc="A tuple's values.", variadic=0)
_prim(
    "List",
    _values(),
    (),
    _list_type,
    lambda *xs: (list(xs),),
    doc="Values of one type as a list.",
    variadic=0,
)


# ----------------------------------------------------------------------------------------------------- control flow


def _fail(node: Node, what: str, expected: str = "", found: str = "") -> None:
    raise VerifyError(f"{node.op.name}: {what}", expected=expected, found=found, location=node.location)


def _types(values: Sequence[Any]) -> tuple[Type, ...]:
    return tuple(v.type for v in values)


def _show(types: Sequence[Type]) -> str:
    return "(" + ", ".join(map(str, types)) + ")"


def _is_condition(type_: Type) -> bool:
    if isinstance(type_, ScalarType):
        return type_ is BOOL
    return isinstance(type_, TensorType) and type_.dtype.kind == "bool" and not type_.sizes


def _verify_if(node: Node) -> None:
    if len(node.inputs) != 1 or not _is_condition(node.inputs[0].type):
        _fail(node, "the condition is not a bool", "bool or bool[]", _show(_types(node.inputs)))
    if len(node.blocks) != 2:
        _fail(node, f"{len(node.blocks)} blocks", "2 blocks")
    for i, block in enumerate(node.blocks):
        if block.params:
            _fail(node, f"block{i} has parameters")
        if len(block.returns) != len(node.outputs):
            expected, found = _show(_types(node.outputs)), _show(_types(block.returns))
            _fail(node, f"block{i} yields other types than the outputs", expected, found)


def _verify_loop(node: Node) -> None:
    if len(node.inputs) < 2 or node.inputs[0].type is not INT or not _is_condition(node.inputs[1].type):
        found = _show(_types(node.inputs))
        _fail(node, "the first inputs are not a trip count and a condition", "(int, bool, ...)", found)
    if len(node.blocks) != 1:
        _fail(node, f"{len(node.blocks)} blocks", "1 block")
    block = node.blocks[0]
    carried, params, yielded = _types(node.inputs[2:]), _types(block.params), _types(block.returns)
    if len(params) != 1 + len(carried) or params[0] is not INT:
        expected = _show((INT, *carried))
        _fail(node, "the block's parameters differ from the carried values", expected, _show(params))
    if len(yielded) < 1 + len(carried) or not _is_condition(yielded[0]):
        expected = _show((BOOL, *carried))
        _fail(node, "the block yields other types than it carries", expected, _show(yielded))
    if len(node.outputs) != len(yielded) - 1:
        expected, found = _show((*carried, *yielded[1 + len(carried) :])), _show(_types(node.outputs))
        _fail(node, "outputs differ from what is carried and stacked", expected, found)


def _verify_group(node: Node) -> None:
    if len(node.blocks) != 1:
        _fail(node, f"{len(node.blocks)} blocks", "1 block")
    block = node.blocks[0]
    if _types(block.params) != _types(node.inputs):
        _fail(
            node,
            "the block's parameters differ from the inputs",
            _show(_types(node.inputs)),
            _show(_types(block.params)),
        )
    if _types(block.returns) != _types(node.outputs):
        _fail(
            node,
            "the block yields other types than the outputs",
            _show(_types(node.outputs)),
            _show(_types(block.returns)),
        )
    for inner in block.nodes:
        if inner.op.kind != "elementwise" and inner.op.name != "prim::Constant":
            _fail(node, f"{inner.op.name} is not element-wise")


_prim(
    "If",
    _values("condition"),
    (),
    _types_from_blocks,
    _structural,
    doc="Runs its first block where the condition holds, else its second. Both yield the types of the outputs, in "
    "which size variables that nothing around binds stand for what the block that is run yields.",
    verify=_verify_if,
    blocks=2,
    variadic=0,
)
_prim(
    "Loop",
    _values(),
    (),
    _types_from_blocks,
    _structural,
    doc="Runs its block while the condition holds, at most the given number of times. Inputs: trip count, condition, "
    "carried values. The block takes the iteration and the carried values, and yields the next condition, the carried "
    "values and what is to be stacked; outputs are the last carried values and the stacks. Size variables in the types "
    "of the block's parameters that nothing around binds are bound anew by what each iteration is given.",
    verify=_verify_loop,
    blocks=1,
    variadic=0,
)
_prim(
    "FusionGroup",
    _values(),
    (),
    _types_from_blocks,
    _structural,
    doc="Element-wise nodes to be computed together, block by block.",
    verify=_verify_group,
    blocks=1,
    variadic=0,
)
