"""What a `prim::Loop` keeps for the way back: the values that it carried into each iteration, and how many there were.

They become further stacked outputs of the loop. A tensor whose sizes change from iteration to iteration cannot be
stacked: it goes, flattened, to the end of a carried vector, and where it starts there is stacked. How the way back
uses all this is the subject of `control_gradients`.
"""

from __future__ import annotations

from typing import Any, Final

from ..ir.builder import Builder
from ..ir.dtypes import DType, bool_, float64, int64
from ..ir.errors import GradientError
from ..ir.graph import InsertionPoint, Node, Value
from ..ir.graph_algebra import GraphAlgebra
from ..ir.graph_sizes import size_variables
from ..ir.sizes import Size, SizeExpr, free_vars, product
from ..ir.types import BOOL, FLOAT, INT, KEY, TensorType, Type
from .gradient_walk import Back

__all__ = ["History", "add_output"]

_NUMBERS: Final[dict[Type, DType]] = {INT: int64, FLOAT: float64, BOOL: bool_}


class History:
    """Extends a loop as the way back asks for what it has carried.

    Attributes:
        length: how many iterations there were, as a size.
    """

    def __init__(self, back: Back, node: Node) -> None:
        self.node = node
        self.names = back.names
        stacks = node.outputs[len(node.inputs) - 2 :]
        self._stacked = bool(stacks)
        self.length: Size = stacks[0].type.sizes[0] if stacks else back.names.fresh("steps")  # type: ignore[attr-defined]
        outside = {str(v) for value in node.inputs[2:] for v in size_variables(value.type)}
        inside = {str(v): v for p in node.blocks[0].params for v in size_variables(p.type)}
        self._changing = {name: v for name, v in inside.items() if name not in outside}

    def count(self, back: Back) -> Value:
        """How many iterations there were, as a number at run time. To be asked last."""
        if not self._stacked:
            F = self._forward()
            self._stack(F.value(F.full(size=(0,), value=False, dtype=bool_)), "steps")
        return back.builder.emit("prim::Size", (), {"value": self.length}, names=["steps"]).output

    def gradient_type(self, k: int) -> Type:
        """A type for the gradient of carried value k in any iteration: sizes that change get variables of their
        own."""
        type_ = self._param(k).type
        assert isinstance(type_, TensorType)
        return type_.with_(sizes=tuple(self.names.fresh("size") if self._changes(s) else s for s in type_.sizes))

    def recall(self, start: Back, k: int, position: Size) -> Value:
        """Carried value k at the beginning of an iteration.

        Args:
            start: a place in the way back's block.
            position: the iteration.

        Raises:
            GradientError: when it is neither a tensor nor a number nor a key.
        """
        param = self._param(k)
        if isinstance(param.type, TensorType):
            changing = any(map(self._changes, param.type.sizes))
            return self._cut_out(start, param, position) if changing else self._at(start, param, position)
        F = self._forward()
        if param.type is KEY:
            words = self._at(start, F.value(F.key_words(F.proxy(param))), position)
            return start.F.value(start.F.key_of(start.F.proxy(words)))
        if param.type not in _NUMBERS:
            raise GradientError(
                f"no gradient through a loop that carries %{param.name} : {param.type}",
                expected="tensors, numbers and keys",
                location=self.node.location,
                path=self.node.path,
            )
        kept = self._at(start, F.value(_as_tensor(F, param)), position)
        return start.builder.emit("prim::Item", [kept], names=[param.name]).output

    def recall_sizes(self, start: Back, position: Size) -> None:
        """Bind the sizes that change from iteration to iteration, as they were in one."""
        for variable in self._changing.values():
            self._bind(start, variable, variable, position)

    # -- the forward loop

    def _param(self, k: int) -> Value:
        return self.node.blocks[0].params[1 + k]

    def _changes(self, size: Any) -> bool:
        return isinstance(size, SizeExpr) and not self._changing.keys().isdisjoint(free_vars(size))

    def _forward(self) -> Any:
        """Writes at the beginning of the forward loop's body."""
        block = self.node.blocks[0]
        builder = Builder(block, InsertionPoint.start(block))
        return GraphAlgebra(builder, self.node.location, self.node.path)

    def _at(self, start: Back, value: Value, position: Size) -> Value:
        """What a value of the forward body was in an iteration."""
        F = start.F
        return F.value(F.select(F.proxy(self._stack(value, value.name)), dim=0, index=position))

    def _bind(self, start: Back, variable: SizeExpr, size: Size, position: Size) -> None:
        """Let a variable of the way back's block be what a size of the forward body was in an iteration."""
        F = self._forward()
        kept = self._at(start, F.value(F.full(size=(), value=size, dtype=int64)), position)
        number = start.builder.emit("prim::Item", [kept], names=[str(variable)]).output
        start.builder.emit("prim::Bind", [number], {"variable": variable})

    def _stack(self, value: Value, name: str) -> Value:
        """Let the forward loop hand out a value of each iteration, one upon the other."""
        self._stacked = True
        node, block = self.node, self.node.blocks[0]
        assert isinstance(value.type, TensorType)
        block.set_returns([*block.returns, value])
        type_ = value.type.with_(sizes=(self.length, *value.type.sizes))
        return add_output(node, type_, f"{name}_stack", len(node.outputs))

    # -- tensors whose sizes change

    def _cut_out(self, start: Back, param: Value, position: Size) -> Value:
        """A carried tensor in an iteration, out of the vector that holds those of all iterations."""
        assert isinstance(param.type, TensorType)
        count = product(param.type.sizes)
        filled, whole = self._gathered(param)
        begin = self.names.fresh("begin")
        self._bind(start, begin, filled, position)
        F = start.F
        places = F.arange(start=begin, end=begin + count, step=1, dtype=int64)
        part = F.index_select(F.proxy(whole), dim=0, index=places)
        return F.value(F.reshape(part, shape=param.type.sizes))

    def _gathered(self, param: Value) -> tuple[SizeExpr, Value]:
        """Let the forward loop carry a vector, at whose end each iteration puts what `param` is.

        Returns:
            its size at the beginning of an iteration, and what it is in the end.
        """
        node, block = self.node, self.node.blocks[0]
        assert isinstance(param.type, TensorType)
        vector, filled, count = param.type, self.names.fresh("filled"), len(node.inputs) - 2
        before = GraphAlgebra(Builder(block, InsertionPoint.before(node)), node.location, node.path)
        empty = before.value(before.full(size=(0,), value=0, dtype=vector.dtype))
        node.set_inputs([*node.inputs, empty])
        held = block.add_param(vector.with_(sizes=(filled,)), f"{param.name}_all")
        F = self._forward()
        flat = F.reshape(F.proxy(param), shape=(product(vector.sizes),))
        longer = F.value(F.cat((F.proxy(held), flat), dim=0))
        block.set_returns([*block.returns[: 1 + count], longer, *block.returns[1 + count :]])
        total = self.names.fresh("filled")
        return filled, add_output(node, vector.with_(sizes=(total,)), f"{param.name}_all", count)


def _as_tensor(F: Any, number: Value) -> Any:
    """A run-time number as a tensor of one element."""
    if number.type is FLOAT:  # a cast would take it for one of the default dtype, and round it
        return F.mul(F.full(size=(), value=1.0, dtype=float64), F.proxy(number))
    return F.cast(F.proxy(number), dtype=_NUMBERS[number.type])


def add_output(node: Node, type_: Type, name: str, index: int) -> Value:
    """Give a node with blocks one more output."""
    assert node.block is not None
    output = Value(type_, node.block.graph.names.take(name), node, None, index)
    node.outputs = (*node.outputs[:index], output, *node.outputs[index:])
    for i, value in enumerate(node.outputs):
        value.index = i
    return output
