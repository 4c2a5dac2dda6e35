"""Trees: the structure of nested arguments and results, as data.

What lives here: taking a nested value apart into leaves and a tree, putting it together again, and fitting another
value to a tree. User types (named tuples, dataclasses) stand in a tree by name and fields alone; which class that is
in this process is kept beside it, in `Types`. A class for a type that is known by name only is `record_types`' subject.

A tree is data:

- `{"kind": "leaf"}`: a tensor; `{"kind": "number", "type": "int" | "float" | "bool"}`: a run-time number, a leaf too;
- `{"kind": "none"}`, `{"kind": "constant", "value": number or string}`;
- `{"kind": "tuple" | "list", "items": [tree, ...]}`;
- `{"kind": "dict", "items": [tree, ...], "keys": [str, ...]}`, with `"any_order": True` where the order of the keys
  does not matter;
- `{"kind": "namedtuple" | "dataclass", "name": str, "keys": [str, ...], "items": [tree, ...]}`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from .errors import ArgumentError
from .record_types import make_record, record_type

__all__ = [
    "LEAVES",
    "RECORDS",
    "Tree",
    "Types",
    "flatten",
    "leaf_names",
    "leaf_trees",
    "plain_constant",
    "record_fields",
    "record_kind",
    "show_tree",
    "type_key",
    "unflatten",
]

Tree = dict[str, Any]
Types = dict[tuple[str, str, tuple[str, ...]], type]
"""The user's classes by kind, name and fields."""

LEAVES: Final = ("leaf", "number")
RECORDS: Final = ("namedtuple", "dataclass")


def flatten(value: Any, is_leaf: Callable[[Any], bool | Tree], types: Types | None = None) -> tuple[list[Any], Tree]:
    """A nested value as its leaves, in order, and the tree that they hang on.

    Args:
        is_leaf: whether a value is a leaf; a tree stands for a leaf that is no tensor.
        types: where the classes of named tuples and dataclasses are noted.

    Raises:
        ArgumentError: for a value that is neither a leaf nor a container of them.

    >>> flatten((1.5, {"a": 2.5}), lambda x: isinstance(x, float))[0]
    [1.5, 2.5]
    """
    leaves: list[Any] = []
    tree = _flatten(value, is_leaf, {} if types is None else types, leaves, "")
    return leaves, tree


def _flatten(value: Any, is_leaf: Callable[[Any], bool | Tree], types: Types, leaves: list[Any], where: str) -> Tree:
    if found := is_leaf(value):
        leaves.append(value)
        return dict(found) if isinstance(found, dict) else {"kind": "leaf"}
    if value is None:
        return {"kind": "none"}
    if isinstance(value, (int, float, str)):
        return {"kind": "constant", "value": plain_constant(value, where)}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentError(
                    f"a dict key{_at(where)} is {key!r}",
                    expected="strings as keys",
                    advice="use strings, or a list in a fixed order",
                )
        items = [_flatten(item, is_leaf, types, leaves, f"{where}[{key!r}]") for key, item in value.items()]
        return {"kind": "dict", "items": items, "keys": list(value)}
    if kind := record_kind(value):
        return _flatten_record(kind, value, is_leaf, types, leaves, where)
    if isinstance(value, (tuple, list)):
        items = [_flatten(item, is_leaf, types, leaves, f"{where}[{i}]") for i, item in enumerate(value)]
        return {"kind": "tuple" if isinstance(value, tuple) else "list", "items": items}
    raise ArgumentError(
        f"a value of type {type(value).__name__}{_at(where)} cannot be an input or output of a program",
        expected="tensors, numbers, None, and tuples, lists, dicts, named tuples and dataclasses of them",
        advice="pass or return the tensors in it, in one of these",
    )


def plain_constant(value: Any, where: str = "") -> bool | int | float | str:
    """A number or string as Python's own type.

    Raises:
        ArgumentError: for one of a type with a meaning beyond that, such as a member of an enumeration.
    """
    if type(value) in (bool, int, float, str):
        plain: bool | int | float | str = value
        return plain
    if isinstance(value, np.generic):
        return plain_constant(value.item(), where)
    raise ArgumentError(
        f"a value of type {type(value).__name__}{_at(where)} cannot be an input or output of a program",
        expected="plain numbers and strings",
        found=repr(value),
        advice="pass the number or string itself",
    )


def _at(where: str) -> str:
    return f" at {where}" if where else ""


def record_kind(value: Any) -> str:
    """`"namedtuple"` or `"dataclass"`, or nothing for a value that is neither."""
    cls = type(value)
    if isinstance(value, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return "namedtuple"
    return "dataclass" if dataclasses.is_dataclass(cls) else getattr(cls, "__ingot_record__", "")


def record_fields(value: Any) -> tuple[str, ...]:
    """The names of a record's fields."""
    if dataclasses.is_dataclass(value):
        return tuple(field.name for field in dataclasses.fields(value))
    return tuple(type(value)._fields)


def _flatten_record(
    kind: str, value: Any, is_leaf: Callable[[Any], bool | Tree], types: Types, leaves: list[Any], where: str
) -> Tree:
    cls, names = type(value), record_fields(value)
    key = (kind, cls.__name__, names)
    if types.setdefault(key, cls) is not cls:
        raise ArgumentError(
            f"two types are named {cls.__name__} and have the same fields",
            found=f"{types[key].__module__}.{types[key].__qualname__} and {cls.__module__}.{cls.__qualname__}",
            advice="rename one of them",
        )
    items = [_flatten(getattr(value, name), is_leaf, types, leaves, f"{where}.{name}") for name in names]
    return {"kind": kind, "name": cls.__name__, "keys": list(names), "items": items}


def type_key(tree: Tree) -> tuple[str, str, tuple[str, ...]]:
    """What a record's class is known by in `Types`."""
    return tree["kind"], tree["name"], tuple(tree["keys"])


def unflatten(
    tree: Tree, leaves: Sequence[Any], types: Types | None = None, make: Callable[[Any, Tree], Any] | None = None
) -> Any:
    """The nested value of a tree over its leaves; the inverse of `flatten`.

    Args:
        types: the user's classes; records of others are of a plain class with their fields.
        make: gives the container to be used in place of one, from the container and its tree.

    >>> unflatten({"kind": "namedtuple", "name": "Pair", "keys": ["a"], "items": [{"kind": "leaf"}]}, [3])
    Pair(a=3)
    """
    return _unflatten(tree, iter(leaves), types or {}, make or _as_it_is)


def _as_it_is(container: Any, tree: Tree) -> Any:
    return container


def _unflatten(tree: Tree, leaves: Iterator[Any], types: Types, make: Callable[[Any, Tree], Any]) -> Any:
    kind = tree["kind"]
    if kind in LEAVES:
        return next(leaves)
    if kind == "none":
        return None
    if kind == "constant":
        return tree["value"]
    items = [_unflatten(item, leaves, types, make) for item in tree["items"]]
    if kind == "dict":
        return make(dict(zip(tree["keys"], items, strict=True)), tree)
    if kind in RECORDS:
        cls = types.get(type_key(tree)) or record_type(kind, tree["name"], tuple(tree["keys"]))
        return make(make_record(cls, kind, tree["keys"], items), tree)
    return make(tuple(items) if kind == "tuple" else items, tree)


def leaf_trees(tree: Tree) -> Iterator[Tree]:
    """The leaves of a tree, in order."""
    if tree["kind"] in LEAVES:
        yield tree
    for item in tree.get("items", ()):
        yield from leaf_trees(item)


def leaf_names(name: str, tree: Tree) -> list[str]:
    """A name for each leaf of an argument: `x` for a tensor, `batch_image`, `batch_0` inside of a nested one.

    >>> leaf_names("pair", {"kind": "tuple", "items": [{"kind": "leaf"}, {"kind": "leaf"}]})
    ['pair_0', 'pair_1']
    """
    if tree["kind"] in LEAVES:
        return [name]
    items = tree.get("items", ())
    keys = tree.get("keys") or range(len(items))
    return [found for key, item in zip(keys, items, strict=True) for found in leaf_names(f"{name}_{key}", item)]


def show_tree(tree: Tree) -> str:
    """A tree's structure as a reader would write it.

    >>> show_tree({"kind": "dict", "items": [{"kind": "leaf"}, {"kind": "none"}], "keys": ["x", "mask"]})
    "{'x': tensor, 'mask': None}"
    """
    kind = tree["kind"]
    if kind == "leaf":
        return "tensor"
    if kind == "number":
        return str(tree["type"])
    if kind in ("none", "constant"):
        return repr(tree.get("value"))
    items = [show_tree(item) for item in tree["items"]]
    if kind == "dict":
        return "{" + ", ".join(f"{k!r}: {v}" for k, v in zip(tree["keys"], items, strict=True)) + "}"
    if kind in RECORDS:
        return f"{tree['name']}({', '.join(f'{k}={v}' for k, v in zip(tree['keys'], items, strict=True))})"
    if kind == "tuple" and len(items) == 1:
        return f"({items[0]},)"
    return ("({})" if kind == "tuple" else "[{}]").format(", ".join(items))
