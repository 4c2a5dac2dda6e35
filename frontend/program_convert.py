"""`Program.to`: a program in another floating-point dtype, or on another device.

What lives here: what the arguments mean, and the typing of a graph anew. The methods stand in `program`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends.backend import backends, get_backend
from ..ir.block import Block
from ..ir.builder import Builder
from ..ir.dtypes import DType
from ..ir.errors import ArgumentError, DTypeError, IngotError, UnsupportedError
from ..ir.graph import Graph, Node, Value
from ..ir.insertion import InsertionPoint
from ..ir.locations import here
from ..ir.program import ProgramRecord
from ..ir.registry import lookup
from ..ir.sizes import SizeContext, use_context
from ..ir.types import TensorType, Type
from ..ir.verifier import verify
from .devices import device as device_type
from .tensor_base import TensorBase

if TYPE_CHECKING:
    from .program import Program

__all__ = ["convert", "in_dtype"]


def convert(program: Program, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Program:
    """`program.to(dtype)`, `.to(device)`, `.to(device, dtype)`, `.to(tensor)`; or the name of a backend.

    State, inputs and results of the floating-point dtypes that the state and the inputs have are in the new dtype, as
    if the module had been converted before the capture; the dtypes that the program itself asks for (`x.double()`)
    stay. The result is a program with state of its own; the same program where there is nothing to convert.

    Raises:
        ArgumentError: for what is neither a floating-point dtype nor a device nor a backend.
        DTypeError: where an operation does not exist in the new dtype; names the user's line.
        UnsupportedError: for a device that programs do not run on.

    >>> import ingot
    >>> program = ingot.jit.trace(lambda x: (x * 2).sum(), ingot.ones(2))
    >>> program.to(ingot.float64)(ingot.ones(2, dtype=ingot.float64)).dtype
    ingot.float64
    """
    dtype: DType | None = None
    found = program
    unknown = set(kwargs) - {"dtype", "device"}
    if unknown:
        raise ArgumentError(
            f"Program.to: no argument {sorted(unknown)[0]!r}", expected="dtype, device", location=here()
        )
    for value in (*args, *(value for value in kwargs.values() if value is not None)):
        if isinstance(value, str) and value in _names():
            found = found.on(value)
        elif isinstance(value, TensorBase):
            dtype = DType.of(value._array.dtype)
            found = _on_device(found, "cpu" if isinstance(value._array, np.ndarray) else "cuda")
        elif isinstance(value, device_type) or (isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda")):
            found = _on_device(found, str(value) if isinstance(value, str) else value.type)
        else:
            dtype = _dtype_of(value)
    return found if dtype is None else in_dtype(found, dtype)


def _names() -> set[str]:
    return {backend.name for backend in backends()}


def _dtype_of(value: Any) -> DType:
    try:
        dtype = DType.of(value)
    except (IngotError, TypeError):
        if isinstance(value, str):
            get_backend(value)  # says which there are
        raise ArgumentError(
            f"Program.to: {value!r}", expected="a floating-point dtype, a device or a backend", location=here()
        ) from None
    if not dtype.is_floating_point:
        raise ArgumentError(f"Program.to: dtype is {dtype.name}", expected="a floating-point dtype", location=here())
    return dtype


def _on_device(program: Program, name: str) -> Program:
    kind = name.split(":")[0]
    if kind == "cuda":
        if "cuda" in _names():
            return program.on("cuda")
        raise UnsupportedError(
            "programs run on the CPU",
            found=f"to({name!r})",
            location=here(),
            advice="call the module itself on the GPU",
        )
    return program.on("numpy") if program.backend == "cuda" else program


def in_dtype(program: Program, dtype: DType) -> Program:
    """The program with its floating-point state, inputs and results in a dtype."""
    record = program._own._record  # its own arrays, also where their tensors have been moved on already
    old = {DType.of(a.dtype) for a in record.state.values() if a.dtype != np.uint64}  # but for random states
    old |= {v.type.dtype for g in record.graphs.values() for v in g.inputs if isinstance(v.type, TensorType)}
    change = {d: dtype for d in old if d.is_floating_point and d is not dtype}
    if not change:
        return program
    graphs = {name: _retyped(graph, change) for name, graph in record.graphs.items()}
    state = {key: _cast(array, change) for key, array in record.state.items()}
    return type(program)(_with(record, graphs, state), backend=program.backend)


def _with(record: ProgramRecord, graphs: dict[str, Graph], state: dict[str, np.ndarray]) -> ProgramRecord:
    """The record with other graphs; the examples' results, which are those of the old dtype, are left out."""
    return replace(record, graphs=graphs, state=state, ledger=list(record.ledger), examples=[])


def _cast(array: Any, change: Mapping[DType, DType]) -> Any:
    target = change.get(DType.of(array.dtype)) if array.dtype != np.uint64 else None
    return array if target is None else array.astype(target.np)


def _changed(type_: Type, change: Mapping[DType, DType]) -> Type:
    if isinstance(type_, TensorType) and type_.dtype in change:
        return type_.with_(dtype=change[type_.dtype])
    return type_


def _retyped(graph: Graph, change: Mapping[DType, DType]) -> Graph:
    """A copy of a graph whose inputs and state have other dtypes, and all that follows from them."""
    found = graph.copy()
    wanted: dict[Value, Type] = {}
    for block in _blocks(found.block):
        for value in (*block.params, *(v for node in block.nodes for v in node.outputs)):
            wanted[value] = _changed(value.type, change)
            value.type = wanted[value]
    context = SizeContext([assumption.relation for assumption in found.assumptions])
    with use_context(context):
        for node in tuple(found.nodes()):
            _retype_node(found, node, wanted, change)
    verify(found)
    return found


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for node in block.walk():
        yield from node.blocks


def _retype_node(graph: Graph, node: Node, wanted: Mapping[Value, Type], change: Mapping[DType, DType]) -> None:
    """Give a node attributes for the new dtypes, and casts where its results still come in others."""
    if node.op.kind == "prim":
        _retype_constant(node, change)
        return
    types = [value.type for value in node.inputs]
    try:
        inferred = node.op.infer(types, node.attrs)
    except IngotError as error:
        raise DTypeError(
            f"Program.to: {error.what}", expected=error.expected, found=error.found, notes=error.notes,
            location=node.location, path=node.path, advice="keep the program in its dtype",
        ) from None  # fmt: skip
    for output, type_ in zip(node.outputs, inferred, strict=True):
        target = wanted[output]
        if not isinstance(type_, TensorType) or not isinstance(target, TensorType) or type_.dtype is target.dtype:
            continue
        output.type = target.with_(dtype=type_.dtype)
        builder = Builder(graph, at=InsertionPoint.after(node))
        cast = builder.emit(lookup("cast"), [output], {"dtype": target.dtype}, location=node.location, path=node.path)
        output.replace_uses(cast.output, where=lambda use, cast=cast: use.node is not cast)  # type: ignore[misc]


def _retype_constant(node: Node, change: Mapping[DType, DType]) -> None:
    value = node.attrs.get("value")
    if node.op.name == "prim::Constant" and hasattr(value, "dtype"):
        node.attrs["value"] = found = _cast(value, change)
        found.setflags(write=False)
