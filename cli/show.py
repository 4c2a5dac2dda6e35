"""`ingot show`: what a program takes and gives, its state, its ops, what capture froze, and the text of its graphs."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from ..ir.dtypes import DType
from ..ir.graph import Graph
from ..ir.graph_sizes import size_bounds
from ..ir.ledger import Ledger
from ..ir.program import ProgramRecord, Signature
from ..ir.types import Type
from ..serialize import load
from .leaves import find_entry, tree_text
from .terminal import amount, cell, console, visible

__all__ = ["show_program"]

_SHOWN: Final = 100  # characters of one extra
_ENTRIES: Final = 10  # entries of one kind of the ledger
_BYTES: Final = re.compile(r'base64 "([A-Za-z0-9+/]{60})[A-Za-z0-9+/=]{40,}"')  # of a large constant


def show_program(file: Path, entry: str | None, with_graph: bool) -> None:
    """Print what is in a program file.

    Args:
        entry: the entry point to show; all of them when None.
        with_graph: whether to print the text of graphs; the bytes of large constants are cut short.

    Raises:
        FileFormatError, ArgumentError, OSError: when there is nothing to show.
    """
    record = load(file)
    entries = list(record.graphs) if entry is None else [find_entry(record, entry)]
    out = console()
    _line(out, f"{file}  {amount(os.path.getsize(file))}")
    for name in entries:
        _line(out, "")
        _signature(out, name, record.signatures[name], record.graphs[name])
    _state(out, record)
    for name in entries:
        _ops(out, name, record.graphs[name])
    _rest(out, record, entries)
    if with_graph:
        for name in entries:
            _line(out, "")
            _text(out, _BYTES.sub(r'base64 "\1..."', str(record.graphs[name])))


def _line(out: Console, text: str) -> None:
    out.print(cell(text), soft_wrap=True)


def _text(out: Console, text: str) -> None:
    """Print many lines at once; a graph's text may be long, and is nothing for Rich to lay out."""
    out.file.write(visible(text, breaks=True))


def _signature(out: Console, name: str, signature: Signature, graph: Graph) -> None:
    types = [value.type for value in graph.inputs]
    arguments = ", ".join(_argument(signature, i, types) for i in range(len(signature.parameters)))
    result = tree_text(signature.result, [value.type for value in graph.outputs])
    _line(out, f"{name}({arguments}) -> {result}")
    for variable, (low, high) in size_bounds(graph).items():
        _line(out, f"  {variable}: {_range_text(low, high)}")
    for assumption in graph.assumptions:
        where = f"  at {assumption.location}" if assumption.location else ""
        _line(out, f"  {assumption}{where}")
    for number in signature.writes:
        _line(out, f"  writes to {graph.inputs[number].name}")
    for parameter in signature.after:
        _line(out, f"  changes the contents of {parameter}")
    if graph.updates:
        _line(out, f"  updates {', '.join(graph.updates)}")


def _argument(signature: Signature, index: int, types: list[Type]) -> str:
    """A parameter with its types, taken from the front of `types`, and its default."""
    name, default = signature.parameters[index], signature.defaults.get(signature.parameters[index])
    text = f"{signature.kind(index).strip('/=')}{name}: {tree_text(signature.arguments[index], types)}"
    return text if default is None else f"{text} = {tree_text(default, [])}"


def _range_text(low: int | None, high: int | None) -> str:
    if low is None:
        return "any size" if high is None else f"at most {high}"
    return f"{low} or more" if high is None else f"{low} to {high}"


def _state(out: Console, record: ProgramRecord) -> None:
    if not record.state:
        return
    table = Table("name", "type", "elements", "bytes", "", title="state", title_justify="left", box=None)
    for column in (2, 3):
        table.columns[column].justify = "right"
    first: dict[int, str] = {}
    total = trained = 0
    for name, array in record.state.items():
        holder = first.setdefault(id(array), name)
        tied = holder is not name
        note = f"tied to {holder}" if tied else "trainable" if name in record.trainable else ""
        size = "" if tied else amount(array.nbytes)
        table.add_row(cell(name), cell(_array_type(array)), cell(f"{array.size:,}"), cell(size), cell(note))
        total += 0 if tied else array.nbytes
        trained += array.size if name in record.trainable and not tied else 0
    out.print()
    out.print(table)
    _line(out, f"total {amount(total)}, {trained:,} trainable elements")


def _array_type(array: np.ndarray[Any, Any]) -> str:
    if array.dtype == np.uint64:
        return "key"
    return f"{DType.of(array.dtype).short}[{', '.join(map(str, array.shape))}]"


def _ops(out: Console, name: str, graph: Graph) -> None:
    counts = Counter(node.op.name for node in graph.nodes())
    table = Table("op", "nodes", title=cell(f"ops of {name}"), title_justify="left", box=None)
    table.columns[1].justify = "right"
    for op, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(cell(op), cell(f"{count:,}"))
    table.add_row(cell("total"), cell(f"{sum(counts.values()):,}"))
    out.print()
    out.print(table)


def _rest(out: Console, record: ProgramRecord, entries: list[str]) -> None:
    if record.ledger:
        _line(out, "")
        _line(out, "taken from Python and frozen:")
        for kind, found in Ledger(record.ledger).groups().items():
            for entry in found[:_ENTRIES]:
                where = f"  at {entry.location}" if entry.location else ""
                expression = f"{entry.expression}: " if entry.expression else ""
                _line(out, f"  {kind}: {expression}{entry.text}{where}")
            if len(found) > _ENTRIES:
                _line(out, f"  {kind}: {len(found) - _ENTRIES:,} more (ingot ledger shows all)")
    if record.extras:
        _line(out, "")
        _line(out, "extras:")
        for key, value in record.extras.items():
            text = json.dumps(value, ensure_ascii=False)
            _line(out, f"  {key}: {text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'}")
    examples = Counter(example.entry for example in record.examples)
    for name in entries:
        if examples[name]:
            _line(out, "")
            _line(out, f"examples of {name}: {examples[name]}")
