"""The verifier's rules for what goes into and comes out of blocks.

Types may change on the way only in their sizes. Variables in the types of a Loop's block parameters that nothing
around binds are bound anew at each iteration: there is one substitution of them that gives the types of the initial
values, one that gives the yielded types, and one, by variables of their own, that gives the types of the outputs. In
the same way the outputs of an If, and the dimensions of stacked outputs, may have variables of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .errors import VerifyError
from .graph_sizes import attribute_variables
from .node import Node
from .size_matching import Binding, binding_dimensions, solve_types, substituted_type, why_out_of_bounds
from .sizes import Size, SizeExpr, ask, bounds, equal, free_vars, maximum, use_context
from .types import TensorType, Type
from .value import Value

if TYPE_CHECKING:
    from .verifier_types import TypeRules

__all__ = ["check_blocks"]


def check_blocks(rules: TypeRules, node: Node) -> None:
    """Check the types around a node with blocks, whose structure is that of its op and whose blocks are right.

    Args:
        rules: what is known in front of the node.
    """
    rule = _RULES.get(node.op.name)
    if rule is not None:
        with use_context(rules.facts):
            rule(_Borders(rules, node))


class _Borders:
    """One node, with what is known around it."""

    def __init__(self, rules: TypeRules, node: Node) -> None:
        self.rules = rules
        self.node = node

    def refuse(self, what: str, expected: Sequence[Type], found: Sequence[Type], advice: str = "") -> NoReturn:
        what = f"{self.node.op.name}: {what}"
        raise VerifyError(what, expected=_show(expected), found=_show(found), advice=advice)

    def fresh(self, values: Sequence[Value]) -> set[str]:
        """The variables in the values' types that nothing around binds."""
        names = {name for value in values for name in self.rules.size_names(self.node, value)}
        return names - self.rules.scope

    def match(self, pattern: Sequence[Value], found: Sequence[Value], what: str) -> None:
        """Check that some sizes for the pattern's own variables make its types those that are found."""
        types, others = _types(pattern), _types(found)
        if types == others and not self.fresh(pattern):
            return
        bindings = list(binding_dimensions(types, self.rules.scope))
        self.all_bound(pattern, {b.name for b in bindings})
        solved = self.solved(bindings, types, others, what)
        if (why := why_out_of_bounds(bindings, solved)) is not None:
            self.refuse(f"{what}: size out of bounds", types, others, f"it takes {why}; give it wider bounds")

    def solved(
        self, bindings: Sequence[Binding], types: Sequence[Type], others: Sequence[Type], what: str
    ) -> dict[str, Size]:
        """The sizes that make the one types the others."""
        solved = solve_types(bindings, others)
        if solved is None:
            self.refuse(what, types, others)
        for one, other in zip(types, others, strict=True):
            if not self.rules.agree(substituted_type(one, solved), other):
                self.refuse(what, types, others)
        return solved

    def all_bound(self, pattern: Sequence[Value], bound: set[str]) -> None:
        if missing := sorted(self.fresh(pattern) - bound):
            types = _types(pattern)
            advice = f"let {missing[0]} be a size of its own in front of the others"
            self.refuse(f"no size tells what size variable {missing[0]} is", types, types, advice)

    def renamed(self, pattern: Sequence[Value], found: Sequence[Value], what: str) -> set[str]:
        """Check that outputs have the pattern's types, with variables of their own for its variables; gives those."""
        types, others = _types(pattern), _types(found)
        if types == others and not self.fresh(pattern):
            return set()
        bindings = list(binding_dimensions(types, self.rules.scope))
        solved = self.solved(bindings, types, others, what)
        own = {str(size) for size in solved.values()}
        advice = "sizes that change need variables of their own in the outputs"
        if own & self.rules.scope or len(own) < len(solved) or not all(map(_is_variable, solved.values())):
            self.refuse(what, types, others, advice)
        for binding in bindings:
            if not _covers(bounds(solved[binding.name]), bounds(binding.variable)):
                self.refuse(f"{what}: other bounds", types, others, f"{binding.name} has bounds that its output lacks")
        return own


def _if(borders: _Borders) -> None:
    node = borders.node
    for i, block in enumerate(node.blocks):
        borders.match(node.outputs, block.returns, f"block{i} yields other types than the outputs")


def _loop(borders: _Borders) -> None:
    node = borders.node
    (block,) = node.blocks
    count = len(node.inputs) - 2
    params, carried = block.params[1:], block.returns[1 : 1 + count]
    borders.match(params, node.inputs[2:], "the block's parameters differ from the carried values")
    borders.match(params, carried, "the block yields other types than it carries")
    taken = borders.renamed(params, node.outputs[:count], "outputs differ from what is carried and stacked")
    _stacks(borders, block.returns[1 + count :], node.outputs[count:], taken)


def _user_gradient(borders: _Borders) -> None:
    node = borders.node
    arguments, found = node.inputs[len(node.outputs) :], node.blocks[0].returns
    if not all(borders.rules.agree(a.type, b.type) for a, b in zip(arguments, found, strict=True)):
        borders.refuse("the block does not yield gradients of the arguments' types", _types(arguments), _types(found))
    for inner in node.blocks[0].walk():  # which is copied to wherever a gradient is wanted
        if inner.op.extras.get("effect"):
            borders.refuse(f"{inner.op.name} in the block has an effect", (), _types(inner.outputs))
        named = [str(v) for attribute in inner.attrs.values() for v in attribute_variables(attribute)]
        named += [name for output in inner.outputs for name in borders.rules.size_names(inner, output)]
        if not borders.rules.scope.issuperset(named):
            borders.refuse(f"{inner.op.name} in the block binds a size variable", (), _types(inner.outputs))


def _stacks(borders: _Borders, inner: Sequence[Value], outputs: Sequence[Value], taken: set[str]) -> None:
    """Check stacked outputs: one dimension in front, and sizes that the block does not bind."""
    counts: set[str] = set()
    solved: dict[str, Size] = {}
    for value, output in zip(inner, outputs, strict=True):
        _stack(borders, value, output, counts, solved)
    own = counts | solved.keys()
    if own & taken or counts & solved.keys():
        advice = "a size of one output is not that of another one: give each a variable of its own"
        borders.refuse("stacked outputs share a size variable", _types(inner), _types(outputs), advice)


def _stack(borders: _Borders, value: Value, output: Value, counts: set[str], solved: dict[str, Size]) -> None:
    inner, outer = value.type, output.type
    what = "a stacked output does not add one dimension in front"
    if not isinstance(inner, TensorType) or not isinstance(outer, TensorType) or outer.ndim != inner.ndim + 1:
        borders.refuse(what, [inner], [outer])
    if inner.dtype is not outer.dtype or inner.device != outer.device:
        borders.refuse(what, [inner], [outer])
    _count(borders, output, outer.sizes[0], counts)
    scope = borders.rules.scope
    for mine, theirs in zip(inner.sizes, outer.sizes[1:], strict=True):
        if _is_variable(theirs) and str(theirs) not in scope:
            lo = bounds(theirs)[0]
            if solved.setdefault(str(theirs), mine) != mine or (lo is not None and lo > 0):
                borders.refuse(what, [inner], [outer], f"{theirs} is 0 where the loop does not run")
        elif free_vars(theirs) - scope or equal(mine, theirs) is not True:
            borders.refuse(what, [inner], [outer])


def _count(borders: _Borders, output: Value, size: Size, counts: set[str]) -> None:
    """Check the first dimension of a stacked output: a variable of its own, or the number of iterations if the
    loop runs to its end whatever happens."""
    if _is_variable(size) and str(size) not in borders.rules.scope:
        counts.add(str(size))
        lo, hi = bounds(size)
        fits, advice = (lo is None or lo <= 0) and hi is None, f"{size} needs the bounds of any size"
    else:
        fits, advice = _is_number_of_iterations(borders, size), "let it be a variable of its own"
    if not fits:
        what = "the number of iterations may differ from a stack's first size"
        borders.refuse(what, [output.type], [output.type], advice)


def _is_number_of_iterations(borders: _Borders, size: Size) -> bool:
    trips = borders.rules.number(borders.node.inputs[0])
    if trips is None or not _runs_to_its_end(borders.node):
        return False
    return equal(size, maximum(trips, 0)) is True or (equal(size, trips) is True and ask(">=", trips, 0) is True)


def _runs_to_its_end(node: Node) -> bool:
    """Whether a Loop never stops before its trip count."""
    return all(_is_true(value) for value in (node.inputs[1], node.blocks[0].returns[0]))


def _is_true(value: Value) -> bool:
    node = value.node
    return node is not None and node.op.name == "prim::Constant" and bool(node.attrs["value"])


def _types(values: Sequence[Value]) -> list[Type]:
    return [value.type for value in values]


def _show(types: Sequence[Type]) -> str:
    return "(" + ", ".join(map(str, types)) + ")"


def _is_variable(size: Any) -> bool:
    return isinstance(size, SizeExpr) and free_vars(size) == {str(size)}


def _covers(wide: tuple[int | None, int | None], narrow: tuple[int | None, int | None]) -> bool:
    """Whether bounds allow all that others allow."""
    low = wide[0] is None or (narrow[0] is not None and wide[0] <= narrow[0])
    return low and (wide[1] is None or (narrow[1] is not None and wide[1] >= narrow[1]))


_RULES: Final[dict[str, Callable[[_Borders], None]]] = {
    "prim::If": _if,
    "prim::Loop": _loop,
    "prim::UserGradient": _user_gradient,
}
