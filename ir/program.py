"""The program record: everything about a captured program, as data.

A record is what a program file holds and what `frontend` wraps as a callable `Program`: entry points (graphs),
state, signatures, the ledger of what was frozen at capture, extras and examples. It knows no file format and runs
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .graph import Graph
from .ledger import LedgerEntry
from .trees import Tree, Types, flatten, unflatten

__all__ = ["Example", "LedgerEntry", "ProgramRecord", "Signature", "Tree", "flatten", "unflatten"]


@dataclass(frozen=True, slots=True)
class Signature:
    """How an entry point is called: its parameters by name, each with its tree; and its result's tree.

    The graph's inputs are the leaves of the arguments in the order of the parameters. Its outputs are the leaves of
    the result; then the new values of the inputs in `writes`; then the leaves of the trees in `after`.

    Attributes:
        kinds: how each parameter is given: `""` by position or name, `"/"` by position, `"="` by name, `"*"` and
            `"**"` the rest of both. Empty when all are `""`.
        defaults: what stands for an argument that is left out, a tree without leaves, by parameter.
        writes: the inputs that the program changes in place, by number; a call writes into the caller's arrays.
        copies: the inputs of which the program changes a copy.
        after: what becomes of arguments whose containers the program changes, by parameter; a leaf
            `{"kind": "input", "index": i}` is the caller's own.
    """

    parameters: tuple[str, ...]
    arguments: tuple[Tree, ...]
    result: Tree
    kinds: tuple[str, ...] = ()
    defaults: Mapping[str, Tree] = field(default_factory=dict)
    writes: tuple[int, ...] = ()
    copies: tuple[int, ...] = ()
    after: Mapping[str, Tree] = field(default_factory=dict)

    def kind(self, index: int) -> str:
        """How a parameter is given; see `kinds`."""
        return self.kinds[index] if self.kinds else ""


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
        modules: the class names of the modules, by path, where the program was captured in this process.
        types: the user's named tuples and dataclasses in signatures, where the program was captured in this process.
    """

    graphs: dict[str, Graph]
    state: dict[str, np.ndarray]
    signatures: dict[str, Signature]
    trainable: tuple[str, ...] = ()
    ledger: list[LedgerEntry] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    modules: dict[str, str] = field(default_factory=dict, compare=False)
    types: Types = field(default_factory=dict, compare=False, repr=False)
