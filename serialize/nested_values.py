"""Nested values as JSON: the trees of signatures, and users' extras.

A tree is `"leaf"`, `"int"`, `"float"` or `"bool"` (a run-time number), `"none"`, `{"tuple": [...]}`, `{"list": [...]}`,
`{"dict": [["key", tree], ...]}`, `{"unordered dict": ...}`, `{"namedtuple" | "dataclass": ["Name", [["field", tree],
...]]}`, `{"constant": value}` or, in what becomes of an argument, `{"input": number}`.
An extra is plain JSON, but for what JSON has no notation for: a float that is not finite is
`{"$float": "nan"}`, and an object that could be mistaken for such a note is wrapped as `{"$dict": {...}}`.
"""

from __future__ import annotations

import math
from typing import Any, Final

from ..ir.errors import ArgumentError, FileFormatError
from ..ir.record_types import check_record_names
from ..ir.trees import LEAVES, RECORDS, Tree
from .attribute_values import check_int, encode_float, read_float
from .limits import MAX_NAME, MAX_TEXT, MAX_TREE_DEPTH
from .strict_json import integer, is_text, sequence, text

__all__ = ["count_leaves", "encode_extra", "encode_tree", "is_plain_tree", "read_extra", "read_tree"]

_FLOAT: Final = "$float"
_DICT: Final = "$dict"


# -- trees


def encode_tree(tree: Tree, depth: int = 0) -> Any:
    """A tree as JSON.

    >>> encode_tree({"kind": "tuple", "items": [{"kind": "leaf"}, {"kind": "none"}]})
    {'tuple': ['leaf', 'none']}
    """
    if depth > MAX_TREE_DEPTH:
        raise ArgumentError(f"an argument or result is nested more than {MAX_TREE_DEPTH} deep")
    kind = tree["kind"]
    if kind in ("leaf", "none"):
        return kind
    if kind == "number":
        return tree["type"]
    if kind == "input":
        return {"input": tree["index"]}
    if kind == "constant":
        value = tree["value"]
        if isinstance(value, str) and not is_text(value):
            raise ArgumentError("a string argument cannot be saved", expected=f"at most {MAX_TEXT} characters of text")
        if type(value) is int:
            check_int(value)
        return {"constant": encode_float(value) if isinstance(value, float) else value}
    items = [encode_tree(item, depth + 1) for item in tree["items"]]
    if kind in ("tuple", "list"):
        return {kind: items}
    pairs = [[_checked_name(key), item] for key, item in zip(tree["keys"], items, strict=True)]
    if kind == "dict":
        return {"unordered dict" if tree.get("any_order") else "dict": pairs}
    check_record_names(tree["name"], tree["keys"])
    return {kind: [_checked_name(tree["name"]), pairs]}


def is_plain_tree(tree: Tree) -> bool:
    """Whether the first version of the format can hold it."""
    plain = tree["kind"] in ("leaf", "none", "constant", "tuple", "list", "dict") and not tree.get("any_order")
    return plain and all(map(is_plain_tree, tree.get("items", ())))


def read_tree(value: Any, what: str, depth: int = 0, with_inputs: bool = False) -> Tree:
    """The tree that a JSON value stands for.

    Args:
        with_inputs: whether it may name the program's inputs.

    Raises:
        FileFormatError: when it stands for none.
    """
    if value in ("leaf", "none") and type(value) is str:
        return {"kind": value}
    if type(value) is str and value in ("int", "float", "bool"):
        return {"kind": "number", "type": value}
    if type(value) is not dict or len(value) != 1 or depth > MAX_TREE_DEPTH:
        raise FileFormatError(f"{what} is not a tree of arguments")
    ((kind, inner),) = value.items()
    if kind == "constant":
        return {"kind": kind, "value": _read_constant(inner, what)}
    if kind in ("tuple", "list"):
        items = [read_tree(item, what, depth + 1, with_inputs) for item in sequence(inner, what)]
        return {"kind": kind, "items": items}
    if kind in ("dict", "unordered dict"):
        keys, items = _read_pairs(inner, what, depth, with_inputs)
        tree: Tree = {"kind": "dict", "items": items, "keys": keys}
        return tree if kind == "dict" else {**tree, "any_order": True}
    if kind in RECORDS:
        return _read_record(kind, inner, what, depth, with_inputs)
    if kind == "input" and with_inputs:
        return {"kind": kind, "index": integer(inner, f"{what}: an input", 0, 2**31)}
    raise FileFormatError(f"{what} is not a tree of arguments")


def _read_pairs(value: Any, what: str, depth: int, with_inputs: bool) -> tuple[list[str], list[Tree]]:
    pairs = [sequence(pair, what, 2) for pair in sequence(value, what)]
    keys = [text(key, f"{what}: a key") for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise FileFormatError(f"{what}: a key stands there twice")
    return keys, [read_tree(item, what, depth + 1, with_inputs) for _, item in pairs]


def _read_record(kind: str, value: Any, what: str, depth: int, with_inputs: bool) -> Tree:
    """A named tuple or a dataclass: a name and fields, of which a class can be made."""
    name, inner = sequence(value, what, 2)
    fields, items = _read_pairs(inner, what, depth, with_inputs)
    try:
        check_record_names(text(name, f"{what}: a type"), fields)
    except ArgumentError as error:
        raise FileFormatError(f"{what}: {error.what}", expected=error.expected) from None
    return {"kind": kind, "name": name, "keys": fields, "items": items}


def count_leaves(tree: Tree) -> int:
    """The number of leaves of a tree.

    >>> count_leaves({"kind": "list", "items": [{"kind": "leaf"}, {"kind": "none"}, {"kind": "leaf"}]})
    2
    """
    if tree["kind"] in LEAVES:
        return 1
    return sum(count_leaves(item) for item in tree.get("items", ()))


def _checked_name(name: str) -> str:
    if not is_text(name, MAX_NAME):
        raise ArgumentError(f"the key {name[:80]!a} cannot be saved", expected=f"at most {MAX_NAME} characters")
    return name


def _read_constant(value: Any, what: str) -> Any:
    if type(value) is bool:
        return value
    if type(value) is int:
        return integer(value, what, -(2**63), 2**63 - 1)
    if type(value) is str:
        return text(value, what, MAX_TEXT)
    return read_float(value, what)


# -- extras


def encode_extra(value: Any, what: str, depth: int = 0) -> Any:
    """A user's value as JSON.

    Raises:
        ArgumentError: for what is not a number, a string, a boolean, None, or a list, tuple or dict of those.

    >>> encode_extra({"labels": ("a", "b"), "best": float("inf")}, "extras")
    {'labels': ['a', 'b'], 'best': {'$float': 'inf'}}
    """
    if depth > MAX_TREE_DEPTH:
        raise ArgumentError(f"{what} is nested more than {MAX_TREE_DEPTH} deep")
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return check_int(value)
    if type(value) is float:
        return value if math.isfinite(value) else {_FLOAT: encode_float(value)["float"]}
    if type(value) is str and is_text(value):
        return value
    if type(value) in (list, tuple):
        return [encode_extra(item, what, depth + 1) for item in value]
    if type(value) is dict and all(is_text(key) for key in value):
        items = {key: encode_extra(item, what, depth + 1) for key, item in value.items()}
        return {_DICT: items} if _is_note(items) else items
    raise ArgumentError(
        f"{what}: a value of type {type(value).__name__} cannot be saved",
        expected="numbers, strings, booleans, None, and lists and dicts of them with strings as keys",
    )


def read_extra(value: Any, what: str, depth: int = 0) -> Any:
    """The user's value of an extra.

    Raises:
        FileFormatError: for a number out of range or text that is not Unicode.
    """
    if depth > 2 * MAX_TREE_DEPTH:
        raise FileFormatError(f"{what} is nested too deep")
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return integer(value, what, -(2**63), 2**63 - 1)
    if type(value) is str:
        return text(value, what, MAX_TEXT)
    if type(value) is list:
        return [read_extra(item, what, depth + 1) for item in value]
    if type(value) is not dict:
        return read_float(value, what)
    if _FLOAT in value and len(value) == 1:
        return read_float({"float": value[_FLOAT]}, what)
    if _DICT in value and len(value) == 1 and type(value[_DICT]) is dict:
        value = value[_DICT]
    return {key: read_extra(item, what, depth + 1) for key, item in value.items()}


def _is_note(items: dict[str, Any]) -> bool:
    return len(items) == 1 and next(iter(items)) in (_FLOAT, _DICT)
