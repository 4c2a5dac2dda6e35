"""What a captured program takes for granted, as a text for people: `capture_report`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..ir.graph import Assumption, Graph
from ..ir.graph_sizes import Bounds
from ..ir.ledger import KINDS, Ledger
from ..ir.locations import Location
from ..ir.program import ProgramRecord, Signature
from ..ir.sizes import bounds
from ..ir.trees import Tree, leaf_trees, show_tree
from .capture.specialised import fixed_sizes

__all__ = ["capture_report"]


def capture_report(program: Any) -> str:
    """What calls of a program may give, and what its capture took for granted, as text: inputs and dynamic sizes with
    their bounds, sizes that were fixed, each assumption with its line and the reason, the state that is read and
    updated, and how much the ledger holds.

    Args:
        program: a `Program`, or its record.

    >>> import ingot
    >>> def head(x):
    ...     return x[:4] if x.shape[0] > 4 else x
    >>> program = ingot.jit.trace(head, ingot.ones(6), dynamic_shapes={0: "n"})
    >>> print(ingot.jit.capture_report(program))  # doctest: +ELLIPSIS
    forward(x)
      inputs
        x                 f32[n]
      dynamic sizes
        n                 n >= 5
      assumptions, checked at each call
        n > 4             ...
    ...
    """
    record: ProgramRecord = getattr(program, "record", program)
    blocks = [_entry(name, record) for name in record.graphs]
    return "\n\n".join(blocks)


def _entry(name: str, record: ProgramRecord) -> str:
    graph, signature = record.graphs[name], record.signatures[name]
    several = len(record.graphs) > 1
    ledger = [e for e in record.ledger if not several or e.entry in ("", name)]
    sections = [
        ("inputs", list(_inputs(graph, signature))),
        ("changed in place", list(_changes(graph, signature))),
        ("dynamic sizes", list(_dynamic(graph))),
        ("dynamic sizes that were fixed", list(_fixed(graph, ledger))),
        ("assumptions, checked at each call", list(_assumptions(graph, ledger))),
        ("state", list(_state(graph))),
        ("ledger", list(_ledger(ledger))),
    ]
    lines = [f"{name}({', '.join(_parameter(signature, i) for i in range(len(signature.parameters)))})"]
    for title, rows in sections:
        if rows:
            lines += [f"  {title}", *(f"    {left:<17} {right}".rstrip() for left, right in rows)]
    return "\n".join(lines)


def _parameter(signature: Signature, index: int) -> str:
    name, kind = signature.parameters[index], signature.kind(index)
    default = signature.defaults.get(name)
    return f"{kind.strip('/=')}{name}" + ("" if default is None else f"={show_tree(default)}")


def _inputs(graph: Graph, signature: Signature) -> Iterator[tuple[str, str]]:
    values = iter(graph.inputs)
    for name, tree in zip(signature.parameters, signature.arguments, strict=True):
        leaves = list(leaf_trees(tree))
        if tree["kind"] not in ("leaf", "number"):
            yield name, show_tree(tree)
        for leaf in leaves:
            value = next(values)
            note = "  (given at each call)" if leaf["kind"] == "number" else ""
            yield ("  " if leaf is not tree else "") + value.name, f"{value.type}{note}"
        if constants := list(_constants(tree)):
            yield "", f"constant: {', '.join(constants)}; ingot.jit.runtime(...) lets calls choose numbers"


def _constants(tree: Tree) -> Iterator[str]:
    if tree["kind"] == "constant":
        yield repr(tree["value"])
    for item in tree.get("items", ()):
        yield from _constants(item)


def _changes(graph: Graph, signature: Signature) -> Iterator[tuple[str, str]]:
    for number in signature.writes:
        yield graph.inputs[number].name, "the caller's own, at each call"
    for number in signature.copies:
        yield graph.inputs[number].name, "a copy of it"
    for name in signature.after:
        yield name, "its lists, dicts or fields, at each call"


def _dynamic(graph: Graph) -> Iterator[tuple[str, str]]:
    fixed = fixed_sizes(graph)
    for name, size in graph.sizes.items():
        if name not in fixed:
            yield name, _range(name, _sharpened(graph, name, bounds(size)))


def _sharpened(graph: Graph, name: str, found: Bounds) -> Bounds:
    """Bounds with what assumptions of the variable alone add to them."""
    low, high = found
    for assumption in graph.assumptions:
        relation = assumption.relation
        if str(relation.left) != name or not isinstance(relation.right, int):
            continue
        if relation.op in (">", ">="):
            low = max(low or 0, relation.right + (relation.op == ">"))
        elif relation.op in ("<", "<="):
            limit = relation.right - (relation.op == "<")
            high = limit if high is None else min(high, limit)
    return low, high


def _range(name: str, found: Bounds) -> str:
    low, high = found
    if high is None:
        return f"{name} >= {low or 0}"
    return f"{low or 0} <= {name} <= {high}"


def _fixed(graph: Graph, ledger: list[Any]) -> Iterator[tuple[str, str]]:
    for name, (value, assumption) in fixed_sizes(graph).items():
        yield name, f"{name} == {value}, for good"
        yield "", _why(assumption, ledger)


def _assumptions(graph: Graph, ledger: list[Any]) -> Iterator[tuple[str, str]]:
    for assumption in graph.assumptions:
        yield str(assumption.relation), _at(assumption.location)
        if assumption.location is not None and assumption.location.source.strip():
            yield "", f"    {assumption.location.source.strip()}"
        if reason := _why(assumption, ledger):
            yield "", f"    {reason}"


def _why(assumption: Assumption, ledger: list[Any]) -> str:
    """What the ledger says about a size that was fixed on the assumption's line."""
    found = [e.what for e in ledger if e.kind == "size" and e.location == assumption.location]
    return "; ".join(dict.fromkeys(found))


def _at(location: Location | None) -> str:
    return "" if location is None else f"at {location}"


def _state(graph: Graph) -> Iterator[tuple[str, str]]:
    updates = graph.updates
    for key, value in graph.state.items():
        read = value.use_count > (1 if updates.get(key) is value else 0)
        words = [word for word, holds in (("read", read), ("updated", key in updates)) if holds]
        yield key, f"{value.type}  {' and '.join(words) or 'not used'}"


def _ledger(ledger: list[Any]) -> Iterator[tuple[str, str]]:
    entries = Ledger(ledger)
    for kind, what in KINDS.items():
        if count := len(entries.of(kind)):
            yield f"{count} {kind}", what
    if entries:
        yield "", "print(program.ledger) shows each with its line"
