"""Every op goes into a file and comes back; absurd numbers in its attributes are refused or make sense."""

import copy
from typing import Any

import numpy as np
import pytest
from ingot.ir import ops, registry  # noqa: F401
from ingot.ir.algebra import type_of
from ingot.ir.builder import Builder
from ingot.ir.dtypes import bool_, float32, int64
from ingot.ir.errors import FileFormatError
from ingot.ir.graph import Graph, same_graph
from ingot.ir.program import ProgramRecord
from ingot.serialize import dumps, loads
from program_files import document_of, leaves_only, with_document
from samples import samples

NAMES = sorted(op.short for op in registry.all_ops() if op.name.startswith("ingot::"))
ATTRIBUTES = ("entries", 0, "graph", "attributes")


def programs(name: str, rng: np.random.Generator, count: int) -> list[ProgramRecord]:
    """Programs of one op each, from its sample calls; up to `count` for each dtype."""
    found = []
    for dtype in (float32, int64, bool_):
        for sample in list(samples(name, rng, dtype))[:count]:
            graph = Graph("f")
            builder = Builder(graph)
            inputs = [
                builder.none() if x is None else graph.add_input(f"x{i}", type_of(x))
                for i, x in enumerate(sample.inputs)
            ]
            graph.set_return(list(builder.emit(f"ingot::{name}", inputs, sample.attrs).outputs))
            found.append(ProgramRecord({"f": graph}, {}, {"f": leaves_only(graph)}))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_op_comes_back(name: str, rng: np.random.Generator) -> None:
    found = programs(name, rng, 3)
    assert found, f"{name} has no sample call"
    for program in found:
        data = dumps(program)
        back = loads(data)
        assert same_graph(program.graphs["f"], back.graphs["f"]) is None
        assert dumps(back) == data


def integers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of the integers in a JSON value."""
    if type(value) is int:
        return [path]
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    return [place for key, item in items for place in integers(item, (*path, key))]


@pytest.mark.conformance
@pytest.mark.parametrize("name", NAMES)
def test_absurd_attributes(name: str, rng: np.random.Generator) -> None:
    for program in programs(name, rng, 4):
        data = dumps(program)
        original = document_of(data)
        for path in integers(original["entries"][0]["graph"]["attributes"]):
            for value in (0, -1, 65, 100_000, 2**31, 2**63 - 1, -(2**63)):
                document = copy.deepcopy(original)
                place: Any = document
                for key in (*ATTRIBUTES, *path[:-1]):
                    place = place[key]
                place[path[-1]] = value
                try:
                    loads(with_document(data, document))
                except FileFormatError as error:
                    assert str(error)
