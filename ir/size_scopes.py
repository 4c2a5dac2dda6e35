"""Which nodes and values bind the size variables of a graph, in which block, and who names them.

A variable is in scope from where it is bound to the end of the block. What binds one is a parameter of a block, a
`prim::Bind`, or an output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .block import Block
from .graph import Graph
from .graph_sizes import attribute_variables, size_variables
from .node import Node
from .size_matching import binding_dimensions
from .sizes import SizeExpr
from .types import Type
from .value import Value

__all__ = ["SizeScopes"]

Binder = Node | Value
"""A value where that is a parameter of a block or an output of a node with blocks, and otherwise a node."""


class SizeScopes:
    """A walk over a graph in the order of execution, with what it has found. Takes time in proportion to the graph.

    Attributes:
        bound: by block, the variables that it binds itself, with their bounds; the top block binds those of the
            inputs and the state. Blocks that bind none are left out.
        made: by node with blocks, the names that its outputs bind.
        needs: by node, and by output and parameter of a node with blocks, what binds the variables that it names,
            those of inputs and state left out.

    >>> from .parser import parse
    >>> from . import ops
    >>> graph = parse("graph @f(%n : int) -> (): prim::Bind[N](%n) return ()")
    >>> SizeScopes(graph).bound[graph.block]
    {'N': N}
    """

    def __init__(self, graph: Graph) -> None:
        self.bound: dict[Block, dict[str, SizeExpr]] = {}
        self.made: dict[Node, tuple[str, ...]] = {}
        self.needs: dict[Binder, list[Binder]] = {}
        self._inputs = graph.sizes
        self._binders: dict[str, Binder] = {}  # of what is in scope at the present place
        self._names: dict[int, tuple[SizeExpr, ...]] = {}  # the variables in a type of the graph, by identity
        if self._inputs:
            self.bound[graph.block] = dict(self._inputs)
        waiting: list[Iterator[Block]] = [self._block(graph.block)]
        while waiting:
            inner = next(waiting[-1], None)
            if inner is None:
                waiting.pop()
            else:
                waiting.append(self._block(inner))

    def __contains__(self, name: object) -> bool:
        """Whether a variable is in scope at the present place."""
        return name in self._inputs or name in self._binders

    def _block(self, block: Block) -> Iterator[Block]:
        outer = len(self._binders)
        if block.parent is not None:
            self._values(block.params, block)
        for node in block.nodes:
            named = [v for attribute in node.attrs.values() for v in attribute_variables(attribute)]
            self._named(node, named)
            if node.blocks:
                yield from node.blocks
                self.made[node] = self._values(node.outputs, block)
            elif node.outputs:
                self._outputs(node, block)
            else:
                for variable in named:
                    self._bind(variable, node, block)
        for name in list(self._binders)[outer:]:
            del self._binders[name]

    def _outputs(self, node: Node, block: Block) -> None:
        for output in node.outputs:
            variables = self._variables(output.type)
            self._named(node, variables)
            for variable in variables:
                self._bind(variable, node, block)

    def _values(self, values: Sequence[Value], block: Block) -> tuple[str, ...]:
        """Parameters of a block, or outputs of a node with blocks, which bind variables together; gives their names."""
        if all(str(v) in self for value in values for v in self._variables(value.type)):
            own = []
        else:
            own = list(binding_dimensions([value.type for value in values], self))
        for binding in own:
            self._bind(binding.variable, values[binding.place[0]], block)
        for value in values:
            self._named(value, self._variables(value.type))
        return tuple(binding.name for binding in own)

    def _named(self, who: Binder, variables: Sequence[SizeExpr]) -> None:
        found = {self._binders[name]: None for v in variables if (name := str(v)) in self._binders}
        if found:
            self.needs.setdefault(who, []).extend(binder for binder in found if binder is not who)

    def _bind(self, variable: SizeExpr, binder: Binder, block: Block) -> None:
        name = str(variable)
        if name not in self:
            self._binders[name] = binder
            self.bound.setdefault(block, {})[name] = variable

    def _variables(self, type_: Type) -> tuple[SizeExpr, ...]:
        found = self._names.get(id(type_))
        if found is None:
            found = self._names[id(type_)] = tuple(dict.fromkeys(size_variables(type_)))
        return found
