"""The inputs and outputs of an entry point by name: `x`, or `batch.0` and `batch.mask` where an argument is nested."""

from __future__ import annotations

from ..ir.errors import ArgumentError
from ..ir.graph import Graph
from ..ir.program import ProgramRecord, Signature, Tree
from ..ir.trees import LEAVES, RECORDS
from ..ir.types import Type

__all__ = ["find_entry", "input_leaves", "output_leaves", "tree_text"]


def find_entry(record: ProgramRecord, name: str | None) -> str:
    """The name of an entry point; the main one is `forward`, or else the first.

    Raises:
        ArgumentError: when there is none of that name.
    """
    if name is None:
        return "forward" if "forward" in record.graphs else next(iter(record.graphs))
    if name not in record.graphs:
        raise ArgumentError(f"no entry point {name!r}", expected=f"one of {', '.join(record.graphs)}")
    return name


def input_leaves(signature: Signature, graph: Graph) -> dict[str, Type]:
    """The types of the inputs by name, in the order of the graph's inputs."""
    names = [
        name
        for parameter, tree in zip(signature.parameters, signature.arguments, strict=True)
        for name in _names(parameter, tree)
    ]
    return _typed(names, [value.type for value in graph.inputs])


def output_leaves(signature: Signature, graph: Graph) -> dict[str, Type]:
    """The types of the outputs by name: a dict's keys, numbers in a tuple, `output` for the only one; `x.new` for what
    the program writes to its input `x`."""
    tree = signature.result
    names = _names("output" if tree["kind"] in LEAVES else "", tree)
    names += [f"{graph.inputs[number].name}.new" for number in signature.writes]
    names += [name for key, after in signature.after.items() for name in _names(f"{key}.new", after)]
    return _typed(names, [value.type for value in graph.outputs])


def _names(prefix: str, tree: Tree) -> list[str]:
    if tree["kind"] in LEAVES:
        return [prefix]
    items = tree.get("items", [])
    keys = tree.get("keys") or [str(i) for i in range(len(items))]
    inner = (f"{prefix}.{key}" if prefix else key for key in keys)
    return [name for key, item in zip(inner, items, strict=True) for name in _names(key, item)]


def _typed(names: list[str], types: list[Type]) -> dict[str, Type]:
    found: dict[str, Type] = {}
    for name, type_ in zip(names, types, strict=True):
        unique, number = name, 1
        while unique in found:  # two keys of a dict may read alike once they are joined by dots
            number += 1
            unique = f"{name}#{number}"
        found[unique] = type_
    return found


def tree_text(tree: Tree, types: list[Type]) -> str:
    """A tree with the types of its leaves, which are taken from the front of `types`.

    >>> from ingot.ir.types import INT
    >>> tree_text({"kind": "dict", "items": [{"kind": "leaf"}, {"kind": "none"}], "keys": ["n", "mask"]}, [INT])
    "{'n': int, 'mask': None}"
    """
    kind = tree["kind"]
    if kind in LEAVES:
        return str(types.pop(0))
    if kind in ("none", "constant"):
        return repr(tree.get("value"))
    items = [tree_text(item, types) for item in tree["items"]]
    if kind == "dict":
        pairs = zip(tree["keys"], items, strict=True)
        return "{" + ", ".join(f"{key!r}: {item}" for key, item in pairs) + "}"
    if kind in RECORDS:
        return f"{tree['name']}({', '.join(f'{key}={item}' for key, item in zip(tree['keys'], items, strict=True))})"
    if kind == "list":
        return f"[{', '.join(items)}]"
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
