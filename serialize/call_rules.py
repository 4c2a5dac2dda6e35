"""The rules that a signature keeps about calls: how parameters are given or left out, numbers, what is changed."""

from __future__ import annotations

from collections.abc import Iterator

from ..ir.errors import VerifyError
from ..ir.graph import Graph
from ..ir.program import Signature
from ..ir.trees import Tree, leaf_trees
from ..ir.types import ScalarType, TensorType, Type

__all__ = ["check_call"]


def check_call(entry: str, signature: Signature, graph: Graph) -> None:
    """Whether a signature, whose leaves are as many as the graph's inputs and outputs, makes sense for calls.

    Raises:
        VerifyError: naming what does not.
    """
    problem = next(_problems(signature, graph), None)
    if problem is not None:
        raise VerifyError(f"entry point {entry!r}: {problem}")


def _problems(signature: Signature, graph: Graph) -> Iterator[str]:
    yield from _wrong_kinds(signature)
    names = set(signature.parameters)
    for name, tree in signature.defaults.items():
        if name not in names or _inner(tree):
            yield f"the default of {name!r} is no plain value of a parameter"
    leaves = [leaf for tree in signature.arguments for leaf in leaf_trees(tree)]
    for leaf, value in zip(leaves, graph.inputs, strict=True):
        if leaf["kind"] == "number" and not (isinstance(value.type, ScalarType) and value.type.name == leaf["type"]):
            yield f"input {value.name!r} is not a number of type {leaf['type']}"
    for leaf, value in zip(leaf_trees(signature.result), graph.outputs, strict=False):
        if leaf["kind"] == "number" and not _is_single(value.type):
            yield f"the result {value.name!r} is not a number"
    yield from _wrong_changes(signature, graph)


def _wrong_kinds(signature: Signature) -> Iterator[str]:
    kinds = signature.kinds
    if kinds and len(kinds) != len(signature.parameters):
        yield "parameters and the ways to give them differ in number"
    if kinds.count("*") > 1 or kinds.count("**") > 1:
        yield "two parameters take the rest of the arguments"
    for kind, tree in zip(kinds, signature.arguments, strict=False):
        if kind in ("*", "**") and tree["kind"] != {"*": "tuple", "**": "dict"}[kind]:
            yield f"a parameter of kind {kind!r} is no {'tuple' if kind == '*' else 'dict'}"


def _wrong_changes(signature: Signature, graph: Graph) -> Iterator[str]:
    numbers = (*signature.writes, *signature.copies)
    if len(set(numbers)) != len(numbers) or any(number >= len(graph.inputs) for number in numbers):
        yield "an input that is changed does not exist, or is named twice"
        return
    first = len(list(leaf_trees(signature.result)))
    for place, number in enumerate(signature.writes, first):
        given, new = graph.inputs[number].type, graph.outputs[place].type
        if not isinstance(given, TensorType) or given != new:
            yield f"input {graph.inputs[number].name!r} cannot be changed into {new}"
    inner = len(graph.outputs) - first - len(signature.writes)
    rest = iter(graph.outputs[len(graph.outputs) - inner :] if inner else ())
    for name, tree in signature.after.items():
        if name not in signature.parameters:
            yield f"there is no parameter {name!r} to change"
        if any(found["index"] >= len(graph.inputs) for found in _inputs(tree)):
            yield f"what becomes of {name!r} names an input that does not exist"
        for leaf in leaf_trees(tree):
            if not _is_single(next(rest).type) and leaf["kind"] == "number":
                yield f"what becomes of {name!r} has a number that is none"


def _is_single(type_: Type) -> bool:
    return isinstance(type_, ScalarType) or (isinstance(type_, TensorType) and not type_.sizes)


def _inner(tree: Tree) -> bool:
    """Whether a tree holds leaves, or inputs."""
    return any(True for _ in leaf_trees(tree)) or any(True for _ in _inputs(tree))


def _inputs(tree: Tree) -> Iterator[Tree]:
    if tree["kind"] == "input":
        yield tree
    for item in tree.get("items", ()):
        yield from _inputs(item)
