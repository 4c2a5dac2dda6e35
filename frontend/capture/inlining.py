"""A program that is called while another one is captured: its nodes become the outer program's.

The inner graph is gone through node by node, each an operation on tensors: so types follow from the outer sizes, the
example's numbers are computed, gradients are recorded and state is read and written as that of a module would be. Nodes
keep their lines, and their module paths behind that of the call. Branches and loops are copied whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...ir.errors import DTypeError, ShapeError
from ...ir.graph import Assumption, Graph
from ...ir.graph_copy import copy_nodes
from ...ir.locations import here
from ...ir.node import Node, Value
from ...ir.size_matching import binding_dimensions, linear_in
from ...ir.size_renaming import renamed_apart, substituted_attribute
from ...ir.sizes import COMPARISONS, Size, SizeExpr, SizeRelation, bounds, free_vars, substitute
from ...ir.types import INT, ScalarType, TensorType
from ..tensor_base import TensorBase, wrap
from .control_tape import record_control
from .structured import made_leaf
from .symint import SymInt, as_size

__all__ = ["inline_graph"]


def inline_graph(tracer: Any, graph: Graph, leaves: Sequence[Any], state: Mapping[str, Any], name: str) -> list[Any]:
    """Call a graph within a capture.

    Args:
        leaves: its inputs: tensors and numbers.
        state: the tensors that hold its state, by key; they are written where the graph updates it.
        name: what messages call it.

    Returns:
        its outputs, as tensors and run-time numbers.

    Raises:
        ShapeError, DTypeError: for inputs that do not fit, as at any call.
        CaptureError: where the capture cannot know whether they do.
    """
    return _Inlining(tracer, graph, state, name).run(leaves)


class _Inlining:
    """One call."""

    def __init__(self, tracer: Any, graph: Graph, state: Mapping[str, Any], name: str) -> None:
        self.tracer = tracer
        self.graph = graph
        self.state = state
        self.name = name
        self.location = here()
        self.sizes: dict[str, Size] = {}
        self.held: dict[Value, Any] = {}

    def run(self, leaves: Sequence[Any]) -> list[Any]:
        self._enter(leaves)
        for assumption in self.graph.assumptions:
            self._assume(assumption)
        for node in self.graph.block.nodes:
            self._node(node)
        outputs = [self.held[value] for value in self.graph.outputs]
        new = {key: self.held[value] for key, value in self.graph.updates.items()}
        # Results first: what a result shares with state must not change with it.
        outputs = [self._own(x) for x in outputs]
        for key, value in new.items():
            self.tracer.regions.change(self.state[key], value)
        return outputs

    def _own(self, x: Any) -> Any:
        """A result that is an input or state, as a tensor of its own."""
        given = isinstance(x, TensorBase) and (
            x._base is not None or any(x is y for y in (*self.state.values(), *map(self.held.get, self.graph.inputs)))
        )
        return self.tracer.call("clone", x) if given else x

    # -------------------------------------------------------------------------------------------------- inputs

    def _enter(self, leaves: Sequence[Any]) -> None:
        pairs = list(zip(self.graph.inputs, leaves, strict=True))
        for value, leaf in pairs:
            self.held[value] = leaf if isinstance(value.type, ScalarType) else self._tensor(value, leaf)
        for key, value in self.graph.state.items():
            self.held[value] = self.state[key]
        for value, _ in pairs:
            self._bind(value)
        for value, _ in pairs:
            self._check_sizes(value)
        for name, variable in self.graph.sizes.items():
            low, high = bounds(variable)
            for op, limit in ((">=", low), ("<=", high)):
                if limit is not None and name in self.sizes:
                    self._hold(SizeRelation(op, self.sizes[name], limit), f"{name} {op} {limit}", None)

    def _tensor(self, value: Value, leaf: Any) -> Any:
        tensor = leaf if isinstance(leaf, TensorBase) else wrap(leaf)
        found = self.tracer.value_of(tensor).type
        expected = value.type
        if isinstance(expected, TensorType) and isinstance(found, TensorType):
            if found.dtype is not expected.dtype:
                raise DTypeError(
                    f"input '{value.name}' of {self.name} has another dtype",
                    expected=expected.dtype.name, found=found.dtype.name, location=self.location,
                )  # fmt: skip
            if len(found.sizes) != len(expected.sizes):
                raise ShapeError(
                    f"input '{value.name}' of {self.name} has another number of dimensions",
                    expected=str(expected), found=str(found), location=self.location,
                )  # fmt: skip
        return tensor

    def _outer_sizes(self, x: Any) -> tuple[Size, ...]:
        type_ = self.tracer.value_of(x).type
        return type_.sizes if isinstance(type_, TensorType) else ()

    def _bind(self, value: Value) -> None:
        """Solve an input's sizes for the variables that it binds."""
        if not isinstance(value.type, TensorType):
            return
        for inner, outer in zip(value.type.sizes, self._outer_sizes(self.held[value]), strict=True):
            known = linear_in(inner, self.sizes)
            if known is None:
                continue
            variable, factor, rest = known
            difference = outer - substitute(rest, self.sizes) if isinstance(rest, SizeExpr) else outer - rest
            self.sizes[str(variable)] = difference if factor == 1 else difference // factor

    def _check_sizes(self, value: Value) -> None:
        if not isinstance(value.type, TensorType):
            return
        for dim, (inner, outer) in enumerate(zip(value.type.sizes, self._outer_sizes(self.held[value]), strict=True)):
            mine = substitute(inner, self.sizes) if isinstance(inner, SizeExpr) else inner
            if mine != outer:
                self._hold(SizeRelation("==", outer, mine), f"{value.name}.size({dim}) == {inner}", None)

    def _assume(self, assumption: Assumption) -> None:
        relation = assumption.relation
        if relation.free_vars <= self.sizes.keys():
            left, right = (self._size(side) for side in (relation.left, relation.right))
            self._hold(SizeRelation(relation.op, left, right), str(relation), assumption)

    def _hold(self, relation: SizeRelation, text: str, assumption: Assumption | None) -> None:
        """See to it that a relation which the inner program needs holds at every call of the outer one."""
        tracer = self.tracer
        op, left, right = relation.op, relation.left, relation.right
        known = COMPARISONS[op](left, right) if isinstance(left, int) and isinstance(right, int) else None
        known = tracer.known(op, left, right) if known is None else known
        if known is None and COMPARISONS[op](tracer._at_hints(left), tracer._at_hints(right)):
            by_data = (free_vars(left) | free_vars(right)) & tracer._data_sizes
            if by_data or tracer.regions.conditional:
                message = f"{self.name} needs {text}"
                tracer.require(tracer.relation_tensor(op, left, right), message, self.location, "RuntimeError")
            else:
                self._carry(relation, assumption)
            return
        if known is not True:
            raise ShapeError(
                f"a call of {self.name} with sizes that it was not captured for",
                expected=text,
                found=f"{left} {op} {right} does not hold",
                location=self.location,
                context=f"assumed at {assumption.location}" if assumption and assumption.location else "",
            )

    def _carry(self, relation: SizeRelation, assumption: Assumption | None) -> None:
        """Make it an assumption of the outer program, with the line where the inner one made it."""
        tracer = self.tracer
        location = (assumption.location if assumption else None) or self.location
        if isinstance(relation.left, int):
            relation = relation.flipped()
        tracer.sizes.add(relation)
        if not any(known.relation == relation for known in tracer.graph.assumptions):
            tracer.graph.assumptions.append(Assumption(relation, location))
            tracer.note("assumption", f"traced assuming {relation} ({self.name})", location)

    # --------------------------------------------------------------------------------------------------- nodes

    def _size(self, size: Size) -> Size:
        return substitute(size, self.sizes) if isinstance(size, SizeExpr) else size

    def _node(self, node: Node) -> None:
        kind = node.op.name
        if kind == "prim::Constant":
            value = node.attrs["value"]
            self.held[node.output] = wrap(value) if hasattr(value, "dtype") else self._number(value)
        elif kind == "prim::Size":
            self.held[node.output] = self._number(node.attrs["value"])
        elif kind == "prim::Bind":
            self.sizes[str(node.attrs["variable"])] = as_size(self.held[node.inputs[0]])
        elif kind == "prim::Item":
            self.held[node.output] = self.tracer.item(self.held[node.inputs[0]])
        elif kind == "prim::Assert":
            message, error = node.attrs["message"], node.attrs["error"]
            self.tracer.require(self.held[node.inputs[0]], message, node.location, error)
        elif node.blocks:
            self._structured(node)
        else:
            self._operation(node)

    def _number(self, value: Any) -> Any:
        size = self._size(value)
        return SymInt(size, self.tracer) if isinstance(size, SizeExpr) else size

    def _operation(self, node: Node) -> None:
        attrs = {name: substituted_attribute(value, self.sizes) for name, value in node.attrs.items()}
        inputs = [self.held[value] for value in node.inputs]
        with _at(self.tracer, node.path):
            result = self.tracer._apply(node.op, inputs, attrs, node.location)
        outputs = result if isinstance(result, tuple) else (result,)
        for value, output in zip(node.outputs, outputs, strict=True):
            self.held[value] = output
            self._bind(value)

    def _structured(self, node: Node) -> None:
        """A node with blocks: copied, and run for the example."""
        tracer = self.tracer
        values = {value: tracer.value_of(x) for value, x in self._used(node).items()}
        block = tracer.builder.point.block
        sizes = {**self.sizes, **renamed_apart(_bound_inside(node, self.sizes), set(tracer.hints))}
        copy_nodes(_Single(node), tracer.builder.point, values, sizes)  # type: ignore[arg-type]
        new = next(iter(values[output] for output in node.outputs)).node if node.outputs else list(block.nodes)[-1]
        assert new is not None
        new.path = _joined(tracer.module_path, node.path)
        made = []
        for value, output, array in zip(node.outputs, new.outputs, tracer.regions.run(new), strict=True):
            is_int = output.type == INT
            self.held[value] = made_leaf(tracer, "int" if is_int else "tensor", array, output)
            made.append(self.held[value])
            if not is_int:
                self._bind(value)
        record_control(tracer, new, made)

    def _used(self, node: Node) -> dict[Value, Any]:
        """What a node and the blocks in it use from outside of it."""
        waiting, found = [node], {}
        while waiting:
            current = waiting.pop()
            for value in current.inputs:
                if value in self.held:
                    found[value] = x = self.held[value]
                    if isinstance(x, TensorBase):
                        self.tracer.regions.used(x, self.tracer.value_of(x))
            for block in current.blocks:
                waiting += [*block.nodes, *([block.terminator] if block.terminator else [])]
        return found


class _Single:
    """A block of one node, for copying."""

    def __init__(self, node: Node) -> None:
        self.nodes = (node,)


def _bound_inside(node: Node, known: Collection[str]) -> dict[str, SizeExpr]:
    """The size variables that a node's blocks and outputs bind, beyond the known ones."""
    types = [value.type for value in node.outputs]
    waiting, found = [node], {}
    while waiting:
        current = waiting.pop()
        if current.op.name == "prim::Bind":
            found[str(current.attrs["variable"])] = current.attrs["variable"]
        for block in current.blocks:
            types += [param.type for param in block.params]
            types += [output.type for inner in block.nodes for output in inner.outputs]
            waiting += block.nodes
    for binding in binding_dimensions(types, known):
        found[binding.name] = binding.variable
    return found


class _at:
    """Nodes recorded within the `with` block carry a module path behind the present one."""

    def __init__(self, tracer: Any, path: str) -> None:
        self._tracer = tracer
        self._path = path

    def __enter__(self) -> None:
        self._tracer.path.append(_joined(self._tracer.module_path, self._path))

    def __exit__(self, *_: object) -> None:
        self._tracer.path.pop()


def _joined(a: str, b: str) -> str:
    return f"{a}.{b}" if a and b else a or b
