"""The program record: everything about a captured program, as data.

A record is what a program file holds and what `frontend` wraps as a callable `Program`: entry points (graphs),
state, signatures, the ledger of what was frozen at capture, extras and examples. It knows no file format and runs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ArgumentError
from .graph import Graph
from .locations import Location

__all__ = ["Example", "LedgerEntry", "ProgramRecord", "Signature", "Tree", "flatten", "unflatten"]

# A tree is data: {"kind": "leaf"}, {"kind": "none"}, {"kind": "tuple" | "list", "items": [tree, ...]},
# {"kind": "dict", "items": [tree, ...], "keys": [str, ...]}, or {"kind": "constant", "value": number or string}.
Tree = dict[str, Any]


def flatten(value: Any, is_leaf: Callable[[Any], bool]) -> tuple[list[Any], Tree]:
    """A nested value as its leaves, in order, and the tree that they hang on.

    Raises:
        ArgumentError: for a value that is neither a leaf nor a container of them.

    >>> flatten((1.5, {"a": 2.5}), lambda x: isinstance(x, float))[0]
    [1.5, 2.5]
    """
    if is_leaf(value):
        return [value], {"kind": "leaf"}
    if value is None:
        return [], {"kind": "none"}
    if isinstance(value, (bool, int, float, str)):
        return [], {"kind": "constant", "value": value}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentError(f"a dict key is {key!r}", expected="strings as keys")
        parts = [flatten(item, is_leaf) for item in value.values()]
        tree: Tree = {"kind": "dict", "items": [t for _, t in parts], "keys": list(value)}
    elif isinstance(value, (tuple, list)):
        parts = [flatten(item, is_leaf) for item in value]
        tree = {"kind": "tuple" if isinstance(value, tuple) else "list", "items": [t for _, t in parts]}
    else:
        raise ArgumentError(
            f"a value of type {type(value).__name__} cannot be an input or output of a program",
            expected="tensors, numbers, None, and tuples, lists and dicts of them",
        )
    return [leaf for leaves, _ in parts for leaf in leaves], tree


def unflatten(tree: Tree, leaves: Sequence[Any]) -> Any:
    """The nested value of a tree over its leaves; the inverse of `flatten`."""
    return _unflatten(tree, iter(leaves))


def _unflatten(tree: Tree, leaves: Any) -> Any:
    kind = tree["kind"]
    if kind == "leaf":
        return next(leaves)
    if kind == "none":
        return None
    if kind == "constant":
        return tree["value"]
    items = [_unflatten(item, leaves) for item in tree["items"]]
    if kind == "dict":
        return dict(zip(tree["keys"], items, strict=True))
    return tuple(items) if kind == "tuple" else items


@dataclass(frozen=True, slots=True)
class Signature:
    """How an entry point is called: its parameters by name, each with its tree; and its result's tree.

    The graph's inputs are the leaves of the arguments in the order of the parameters; its outputs are the leaves
    of the result.
    """

    parameters: tuple[str, ...]
    arguments: tuple[Tree, ...]
    result: Tree


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One thing that capture took from Python and froze.

    `kind` says what it was ("item", "size", "assumption", "constant", ...), `what` is a sentence for people.
    """

    kind: str
    what: str
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs of an entry point and what it answered to them, as flat lists of arrays."""

    entry: str
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]


@dataclass(slots=True)
class ProgramRecord:
    """A whole program as data.

    Attributes:
        graphs: entry points by name; every graph's state keys are keys of `state`.
        state: parameters, buffers and keys by name (module paths, such as `"conv1.weight"`), as arrays.
        signatures: one per entry point.
        trainable: the names in `state` that are parameters.
        ledger: what capture froze.
        extras: named JSON-able values of the user's.
        examples: inputs with expected outputs; outside of the content hash.
    """

    graphs: dict[str, Graph]
    state: dict[str, np.ndarray]
    signatures: dict[str, Signature]
    trainable: tuple[str, ...] = ()
    ledger: list[LedgerEntry] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
