"""`dynamic_shapes=` as users write it, brought to the leaves of a program's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...ir.errors import ArgumentError
from ...ir.trees import LEAVES, RECORDS, Tree, leaf_trees, show_tree
from .parameters import ExampleCall

__all__ = ["shapes_of_leaves"]


def shapes_of_leaves(given: Any, call: ExampleCall, trees: Mapping[str, Tree]) -> list[Any]:
    """What is said of the sizes of each leaf, in the order of the leaves.

    Args:
        given: by parameter, by position, or for a single argument alone; within an argument it follows its structure.
            `"all"` makes every size dynamic.

    Raises:
        ArgumentError: when it does not fit the arguments.
    """
    by_name = _by_parameter(given, call)
    return [item for name, tree in trees.items() for item in _follow(by_name.get(name), tree, name)]


def _by_parameter(given: Any, call: ExampleCall) -> dict[str, Any]:
    places = call.places()
    if given is None:
        return {}
    if isinstance(given, str) and given == "all":
        return dict.fromkeys(call.values, "all")
    if isinstance(given, Mapping) and given and all(isinstance(key, int) for key in given) and len(places) == 1:
        given = (given,)
    if isinstance(given, (tuple, list)):
        if len(given) > len(places):
            raise ArgumentError(f"dynamic_shapes: {len(given)} entries for {len(places)} arguments")
        return _placed(zip(places, given, strict=False))
    if not isinstance(given, Mapping):
        raise ArgumentError(f"dynamic_shapes is {given!r}", expected='{"x": {0: "batch"}}, or "all"')
    inner = {key: (name, key) for name, key in places if isinstance(key, str)}
    for key in given:
        if key not in call.values and key not in inner:
            names = ", ".join([*call.values, *inner])
            raise ArgumentError(
                f"dynamic_shapes: no argument {key!r}",
                found=f"arguments: {names}",
                advice="name the parameters of the function that is traced",
            )
    own = {name: value for name, value in given.items() if name in call.values}
    return {**own, **_placed((inner[key], value) for key, value in given.items() if key in inner and key not in own)}


def _placed(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (name, key), value in pairs:
        if key is None:
            found[name] = value
        else:
            found.setdefault(name, {})[key] = value
    return found


def _follow(given: Any, tree: Tree, where: str) -> list[Any]:
    """What is said of the leaves of one argument."""
    kind = tree["kind"]
    if kind == "leaf":
        return [given]
    if given is None or (kind in LEAVES and given == "all"):
        return [None] * len(list(leaf_trees(tree)))
    items = tree.get("items")
    if items is None:
        if isinstance(given, str) and given == "all":
            return []
        raise ArgumentError(f"dynamic_shapes: {where} is {show_tree(tree)}, which has no sizes", found=repr(given))
    keys = tree.get("keys") or list(range(len(items)))
    if isinstance(given, str) and given == "all":
        inner = dict.fromkeys(keys, given)
    elif isinstance(given, Mapping):
        inner = dict(given)
    elif isinstance(given, (tuple, list)) and kind != "dict" and len(given) <= len(items):
        inner = dict(zip(keys, given, strict=False))
    else:
        raise _unfit(given, tree, where)
    if any(key not in keys for key in inner):
        raise _unfit(given, tree, where)
    places = (f"{where}.{key}" if kind in RECORDS else f"{where}[{key!r}]" for key in keys)
    pairs = zip(keys, items, places, strict=True)
    return [found for key, item, place in pairs for found in _follow(inner.get(key), item, place)]


def _unfit(given: Any, tree: Tree, where: str) -> ArgumentError:
    return ArgumentError(
        f"dynamic_shapes: {given!r} for the nested argument {where}",
        expected=f"entries in the structure of {show_tree(tree)}",
    )
