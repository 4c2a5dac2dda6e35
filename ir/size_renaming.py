"""Other sizes for size variables: in types, attributes and nodes, and free names for variables that are bound twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .node import Node
from .size_matching import substituted_type
from .sizes import Size, SizeExpr, bounds, substitute, var
from .types import Type

__all__ = ["renamed_apart", "replace_sizes", "substituted_attribute"]


def substituted_attribute(value: Any, replacements: Mapping[str, Size]) -> Any:
    """An attribute with other sizes for its variables.

    >>> from .sizes import var
    >>> substituted_attribute((var("n") + 1, "sum"), {"n": 2*var("B")})
    (2*B + 1, 'sum')
    """
    if isinstance(value, SizeExpr):
        return substitute(value, replacements)
    if type(value) is tuple:
        return tuple([substituted_attribute(item, replacements) for item in value])
    return value


def replace_sizes(nodes: Iterable[Node], replacements: Mapping[str, Size]) -> None:
    """Put other sizes for variables into nodes and all that is inside of them."""
    if not replacements:
        return
    types: dict[int, tuple[Type, Type]] = {}  # by identity, the first of each pair kept alive meanwhile
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        for name, value in node.attrs.items():
            if isinstance(value, (SizeExpr, tuple)):
                node.attrs[name] = substituted_attribute(value, replacements)
        values = list(node.outputs)
        for block in node.blocks:
            values += block.params
            waiting += block.nodes
        for value in values:
            known = types.get(id(value.type))
            if known is None:
                known = types[id(value.type)] = value.type, substituted_type(value.type, replacements)
            value.type = known[1]


def renamed_apart(variables: Mapping[str, SizeExpr], taken: Collection[str]) -> dict[str, SizeExpr]:
    """For those variables whose names are taken, others of the same bounds with free names.

    >>> from .sizes import var
    >>> renamed_apart({"n": var("n"), "m": var("m")}, {"n", "n_1"})
    {'n': n_2}
    """
    found: dict[str, SizeExpr] = {}
    used = set(taken) | variables.keys()
    for name, variable in variables.items():
        if name not in taken:
            continue
        number = 1
        while f"{name}_{number}" in used:
            number += 1
        used.add(f"{name}_{number}")
        found[name] = var(f"{name}_{number}", *bounds(variable))
    return found
