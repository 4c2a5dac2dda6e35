"""The symbolic sizes inside of types, attributes and graphs: which variables there are, with which bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .sizes import SizeExpr, bounds, variables
from .types import ListType, OptionalType, TensorType, TupleType, Type

if TYPE_CHECKING:
    from .graph import Graph

__all__ = [
    "Bounds",
    "attribute_variables",
    "bounds_in",
    "same_type_and_bounds",
    "size_bounds",
    "size_variables",
    "tensor_types",
]

Bounds = tuple[int | None, int | None]


def tensor_types(type_: Type) -> Iterator[TensorType]:
    """The tensor types within a type, in order."""
    waiting = [type_]
    while waiting:
        current = waiting.pop()
        if isinstance(current, TensorType):
            yield current
        elif isinstance(current, TupleType):
            waiting.extend(reversed(current.items))
        elif isinstance(current, (ListType, OptionalType)):
            waiting.append(current.item)


def size_variables(type_: Type) -> list[SizeExpr]:
    """The size variables in a type: every occurrence, in order of appearance, sorted within one size.

    >>> from . import dtypes, sizes
    >>> size_variables(TensorType(dtypes.float32, (sizes.var("B"), 3, sizes.var("T") + 1)))
    [B, T]
    """
    tensors = (type_,) if isinstance(type_, TensorType) else tensor_types(type_)
    found: list[SizeExpr] = []
    for tensor in tensors:
        for size in tensor.sizes:
            if isinstance(size, SizeExpr):
                found.extend(variables(size))
    return found


def bounds_in(types: Iterable[Type], attrs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The size variables in types and attributes, each behind one another with its lower and upper bound.

    It completes a key made of these: variables of one name are equal whatever their bounds.
    """
    waiting: list[Any] = []
    for type_ in types:
        if isinstance(type_, TensorType):
            waiting.extend(type_.sizes)
        else:
            waiting.extend(size for tensor in tensor_types(type_) for size in tensor.sizes)
    waiting.extend(attrs.values())
    found: list[Any] = []
    for item in waiting:
        if type(item) is tuple:
            waiting.extend(item)
        elif type(item) is SizeExpr:
            for monomial in item.poly:
                for atom in monomial:
                    if atom.op == "var":
                        found += (atom, atom.lo, atom.hi)
                    else:
                        waiting.extend(atom.args)
    return tuple(found)


def same_type_and_bounds(a: Type, b: Type) -> bool:
    """Whether two types are equal, the bounds of their size variables included.

    >>> from . import dtypes, sizes
    >>> one = TensorType(dtypes.float32, (sizes.var("B"),))
    >>> other = TensorType(dtypes.float32, (sizes.var("B", lo=1),))
    >>> one == other, same_type_and_bounds(one, other)
    (True, False)
    """
    if a is b:
        return True
    if a != b:
        return False
    pairs = zip(size_variables(a), size_variables(b), strict=True)
    return all(bounds(x) == bounds(y) for x, y in pairs)


def attribute_variables(attribute: Any) -> list[SizeExpr]:
    """The size variables in an attribute: every occurrence, in order of appearance."""
    result: list[SizeExpr] = []
    waiting = [attribute]
    while waiting:
        item = waiting.pop()
        if type(item) is tuple:
            waiting.extend(reversed(item))
        elif isinstance(item, SizeExpr):
            result.extend(variables(item))
    return result


def size_bounds(graph: Graph) -> dict[str, Bounds]:
    """The bounds of every size variable that occurs in a graph, None standing for unbounded, in order of
    appearance in types, attributes and assumptions.

    Of two variables of one name the first counts; the verifier refuses such graphs.
    """
    found: dict[str, Bounds] = {}
    for variable in _occurrences(graph):
        name = str(variable)
        if name not in found:
            found[name] = bounds(variable)
    return found


def _occurrences(graph: Graph) -> Iterator[SizeExpr]:
    seen: set[int] = set()  # types by identity: most are met again and again
    for block in graph.blocks():
        for param in block.params:
            yield from _new_variables(param.type, seen)
        for node in block.nodes:
            for output in node.outputs:
                if id(output.type) not in seen:
                    yield from _new_variables(output.type, seen)
            for attribute in node.attrs.values():
                if type(attribute) is SizeExpr or type(attribute) is tuple:
                    yield from attribute_variables(attribute)
    for assumption in graph.assumptions:
        yield from variables(assumption.relation.left)
        yield from variables(assumption.relation.right)


def _new_variables(type_: Type, seen: set[int]) -> list[SizeExpr]:
    if id(type_) in seen:
        return []
    seen.add(id(type_))
    return size_variables(type_)
