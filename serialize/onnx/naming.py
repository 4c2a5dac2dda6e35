"""Names that a reader of the ONNX file recognises, each given once."""

from __future__ import annotations

from typing import Any

from ...ir.trees import LEAVES, Tree

__all__ = ["Names", "output_names"]


class Names:
    """The names that are taken in one model. Nodes and tensors share them, so that a node's result can be called
    like the node.

    >>> names = Names()
    >>> names.take("fc1/Gemm"), names.take("fc1/Gemm"), names.take("")
    ('fc1/Gemm', 'fc1/Gemm_1', 'v')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._following: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """Take `wanted`, or it with the next free number behind it."""
        name = wanted = wanted or "v"
        number = self._following.get(wanted, 1)
        while name in self._taken:
            name = f"{wanted}_{number}"
            number += 1
        self._following[wanted] = number
        self._taken.add(name)
        return name


def output_names(tree: Tree | None, count: int) -> list[str]:
    """Names of a program's results: the keys of dicts, the positions in tuples and lists, `output` for a single one.

    Args:
        tree: the result's structure; without one, or one of another number of leaves, results are numbered.
        count: how many results there are.

    >>> leaf = {"kind": "leaf"}
    >>> output_names(leaf, 1), output_names({"kind": "tuple", "items": [leaf, leaf]}, 2)
    (['output'], ['output_0', 'output_1'])
    >>> pair = {"kind": "list", "items": [leaf, leaf]}
    >>> output_names({"kind": "dict", "keys": ["boxes", "scores"], "items": [pair, leaf]}, 3)
    ['boxes_0', 'boxes_1', 'scores']
    """
    found = [] if tree is None else _leaf_names(tree, "")
    if len(found) != count:
        return [f"output_{i}" for i in range(count)]
    return found


def _leaf_names(tree: Any, prefix: str) -> list[str]:
    if tree["kind"] in LEAVES:
        return [prefix or "output"]
    items = tree.get("items", ())
    if "keys" in tree:
        names = [f"{prefix}.{key}" if prefix else key for key in tree["keys"]]
    else:
        names = [f"{prefix or 'output'}_{i}" for i in range(len(items))]
    return [leaf for item, name in zip(items, names, strict=True) for leaf in _leaf_names(item, name)]
