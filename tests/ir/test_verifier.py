"""The verifier: one wrong graph per rule, and graphs that are right."""

import numpy as np
import pytest
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32, int64
from ingot.ir.errors import VerifyError
from ingot.ir.graph import Assumption, Graph
from ingot.ir.insertion import InsertionPoint
from ingot.ir.node import Node
from ingot.ir.parser import parse
from ingot.ir.registry import all_ops, lookup
from ingot.ir.schema import REQUIRED, Parameter
from ingot.ir.sizes import AssumingContext, SizeRelation, use_context, var
from ingot.ir.types import BOOL, FLOAT, INT, KEY, NONE, ListType, OptionalType, TensorType, TupleType
from ingot.ir.verifier import verify
from ingot.ir.verifier_types import _agree
from random_graphs import random_graph

TYPE = TensorType(float32, (2,))


def refused(graph: Graph) -> str:
    with pytest.raises(VerifyError) as error:
        verify(graph)
    assert f"while verifying @{graph.name}" in str(error.value)
    return str(error.value)


def small() -> Graph:
    return parse(
        "graph @f(%x : f32[2], %c : bool) -> (f32[2]):\n"
        "  %h : f32[2] = ingot::relu(%x)  @model.py:4:9 in fc1\n"
        "  %y : f32[2] = ingot::add(%h, %x)  @model.py:5:9\n"
        "  return (%y)\n"
    )


# -- what is right


def test_random_graphs_are_right(rng: np.random.Generator):
    for _ in range(30):
        verify(random_graph(rng, 60))


@pytest.mark.parametrize(
    "text",
    [
        # Inner blocks see what is around them, and what comes before them.
        """graph @f(%x : f32[2], %c : bool) -> (f32[2]):
             %h : f32[2] = ingot::relu(%x)
             %y : f32[2] = prim::If(%c)
               block0():
                 %z : f32[2] = prim::If(%c)
                   block0():
                     -> (%h)
                   block1():
                     -> (%x)
                 -> (%z)
               block1():
                 -> (%h)
             return (%y)""",
        # Sizes bound by an input are good in attributes and types.
        """graph @f(%x : f32[B, 4]) -> (f32[2*B, 2]):
             %n : int = prim::Size[B*4]()
             %y : f32[2*B, 2] = ingot::reshape[shape=[2*B, 2]](%x)
             return (%y)""",
        # An assumption makes types agree.
        """graph @f(%x : f32[B], %y : f32[T]) -> (f32[B]):
             assume B == T
             %z : f32[B] = ingot::add(%x, %y)
             return (%z)""",
        """graph @f(%x : f32[B], %y : f32[T]) state {%s : f32[T] = "s"} -> ():
             assume B == T
             return () update {"s": %x}""",
        # Bound by a node, then used.
        """graph @f(%n : int) -> (int):
             prim::Bind[N](%n)
             %m : int = prim::Size[2*N]()
             return (%m)""",
        # The size of nonzero's result depends on data: its variable is free to choose.
        """graph @f(%x : f32[4, 4]) -> (f32[K, 2]):
             %i : i64[K, 2] = ingot::nonzero(%x)
             %y : f32[K, 2] = ingot::cast[dtype=f32](%i)
             return (%y)""",
        # A loop's stacked output has as many rows as there were iterations.
        """graph @f(%x : f32[2], %n : int, %c : bool) -> (f32[2], f32[S, 2]):
             %y : f32[2], %ys : f32[S, 2] = prim::Loop(%n, %c, %x)
               block0(%i : int, %p : f32[2]):
                 %q : f32[2] = ingot::exp(%p)
                 -> (%c, %q, %q)
             return (%y, %ys)""",
        # The same variable may be bound in two blocks that do not see each other.
        """graph @f(%n : int, %c : bool) -> (int):
             %y : int = prim::If(%c)
               block0():
                 prim::Bind[N](%n)
                 %a : int = prim::Size[N + 1]()
                 -> (%a)
               block1():
                 prim::Bind[N](%n)
                 %b : int = prim::Size[N]()
                 -> (%b)
             return (%y)""",
        "graph @f() -> (): return ()",
    ],
)
def test_right_graphs(text):
    verify(parse(text))


# -- what is wrong, and can be written


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            """graph @f(%c : bool) -> (f32[2]):
                 %y : f32[2] = prim::If(%c)
                   block0():
                     %a : f32[2] = prim::Constant[value=tensor(f32[2], [1, 2])]()
                     -> (%a)
                   block1():
                     -> (%a)
                 return (%y)""",
            ["prim::Yield(%a): uses %a, which is defined in a block that is not around it"],
        ),
        (
            "graph @f(%x : f32[2]) -> (f32[3]): %y : f32[3] = ingot::relu(%x)  @m.py:7:3 in fc1 return (%y)",
            ["%y = ingot::relu(%x): wrong type of %y", "expected  f32[2]", "found     f32[3]", "at m.py:7:3  (fc1)"],
        ),
        (
            "graph @f(%x : f32[B, 2]) -> (f32[T, 2]): %y : f32[T, 2] = ingot::relu(%x) return (%y)",
            ["%y : f32[T, 2]: size variable T is not bound here"],
        ),
        (
            "graph @f(%x : f32[B], %z : f32[T]) -> (f32[T]): %y : f32[T] = ingot::relu(%x) return (%y)",
            ["wrong type of %y", "an assumption has to say so"],
        ),
        (
            "graph @f(%x : f32[B], %z : f32[T]) -> (f32[B]): %y : f32[B] = ingot::add(%x, %z) return (%y)",
            ["%y = ingot::add(%x, %z): ", "B", "T"],
        ),
        (
            "graph @f(%x : f32[2]) -> (): %y : f32[2], %z : f32[2] = ingot::relu(%x) return ()",
            ["wrong number of outputs", "expected  1", "found     2"],
        ),
        (
            "graph @f(%x : f32[2]) -> (): %y : f32[2] = ingot::relu(%x, %x) return ()",
            ["%y = ingot::relu(%x, %x): relu: 2 inputs"],
        ),
        (
            "graph @f(%x : f32[2]) -> (): %y : f32[2] = ingot::softmax[dim=1, dtype=none](%x) return ()",
            ["%y = ingot::softmax(%x): "],
        ),
        (
            "graph @f(%x : f32[2]) -> (): %y : f32[2] = ingot::softmax[dims=1](%x) return ()",
            ["no attribute 'dims'"],
        ),
        ("graph @f(%x : f32[2]) -> (): %y : f32[2] = ingot::softmax(%x) return ()", ["missing attribute 'dim'"]),
        (
            'graph @f(%x : f32[2]) -> (): %y : f32[2] = ingot::softmax[dim="a"](%x) return ()',
            ["dim is 'a'"],
        ),
        (
            "graph @f(%x : f32[2]) -> (): %y : f32[2] = ingot::elu[alpha=1](%x) return ()",
            ["attribute alpha is 1", "alpha: float"],
        ),
        (
            "graph @f(%x : f32[2]) -> (): %y : f32[2] = ingot::elu(%x) return ()",
            ["attribute alpha is missing", "alpha: float = 1.0"],
        ),
        ("graph @f() -> (): %n : int = prim::Size[B]() return ()", ["size variable B is not bound here"]),
        (
            "graph @f() -> (): assume B > 1  @m.py:3 return ()",
            ["assume B > 1: no input binds size variable B", "m.py:3"],
        ),
        (
            "graph @f(%x : f32[B]) -> (): assume B % 2 == 0\nassume B % 2 == 1\nreturn ()",
            ["% 2"],
        ),
        (
            "graph @f(%x : f32[B], %n : int) -> (): prim::Bind[B](%n) return ()",
            ["binds size variable B, which is bound already"],
        ),
        ("graph @f(%x : f32[B], %n : int) -> (): prim::Bind[2*B](%n) return ()", ["binds 2*B"]),
        ("graph @f(%n : float) -> (): prim::Bind[N](%n) return ()", ["prim::Bind takes an int"]),
        (
            """graph @f(%n : int, %c : bool) -> (int):
                 %y : int = prim::If(%c)
                   block0():
                     prim::Bind[N](%n)
                     -> (%n)
                   block1():
                     -> (%n)
                 %m : int = prim::Size[N]()
                 return (%y)""",
            ["%m = prim::Size(): attribute value: size variable N is not bound here"],
        ),
        ("graph @f(%x : f32[f32]) -> (): return ()", ["a size variable is called f32"]),
        (
            'graph @f(%x : f32[2]) -> (): return () update {"w": %x}',
            ["updates state 'w', which is not there", "nothing"],
        ),
        (
            'graph @f(%x : f32[2]) state {%w : f32[3] = "w"} -> (): return () update {"w": %x}',
            ["%x cannot be written to state 'w'", "expected  f32[3]", "found     f32[2]"],
        ),
        (
            """graph @f(%x : f32[2], %c : bool) -> (f32[2]):
                 %y : f32[2] = prim::If(%c)  @m.py:5:1
                   block0():
                     -> (%c)
                   block1():
                     -> (%x)
                 return (%y)""",
            ["%y = prim::If(%c): ", "block0 yields other types", "found     (bool)", "m.py:5:1"],
        ),
        ("graph @f(%x : f32[2], %c : bool) -> (f32[2]): %y : f32[2] = prim::If(%c) return (%y)", ["0 blocks"]),
        (
            """graph @f(%x : f32[2], %n : int, %c : bool) -> (f32[2]):
                 %y : f32[2] = prim::Loop(%n, %c, %x)
                   block0(%i : int, %p : f32[3]):
                     -> (%c, %x)
                 return (%y)""",
            ["parameters differ from the carried values"],
        ),
        (
            "graph @f(%x : f32[2]) -> (): prim::Yield(%x) return ()",
            ["prim::Yield stands in the middle of a block"],
        ),
    ],
)  # fmt: skip
def test_wrong_graphs(text, messages):
    shown = refused(parse(text))
    for message in messages:
        assert message in shown


# -- what is wrong, and can only be made by hand


def test_use_before_definition():
    graph = small()
    h, y = graph.nodes()
    y.move_before(h)
    assert "%y = ingot::add(%h, %x): uses %h before it is computed\n  at model.py:5:9" in refused(graph)


def test_use_of_what_a_node_defines_inside_or_is():
    graph = parse(
        """graph @f(%x : f32[2], %c : bool) -> (f32[2]):
             %y : f32[2] = prim::If(%c)
               block0():
                 %h : f32[2] = ingot::relu(%x)
                 -> (%h)
               block1():
                 -> (%x)
             return (%y)"""
    )
    outer, inner = graph.nodes()
    inner.set_input(0, outer.output)
    assert "%h = ingot::relu(%y): uses %y before it is computed" in refused(graph)
    inner.set_input(0, graph.inputs[0])
    verify(graph)
    graph.block.terminator.set_input(0, inner.output)
    assert "prim::Return(%h): uses %h, which is defined in a block that is not around it" in refused(graph)


def test_values_of_other_graphs_and_of_erased_nodes():
    graph, other = small(), small()
    h, y = graph.nodes()
    y.set_input(1, other.inputs[0])
    assert "uses %x, which belongs to another graph" in refused(graph)
    assert "%y = ingot::add(%h, %x): uses %x, but is not in the graph" in refused(other)
    graph = small()
    h, y = graph.nodes()
    gone = h.output
    h.replace_with(graph.inputs[0])
    y.set_input(0, gone)
    assert "uses %h, whose node was erased" in refused(graph)


def test_blocks_without_terminators():
    graph = Graph("f")
    assert refused(graph).startswith("the graph has no terminator")
    x = graph.add_input("x", TYPE)
    node = Builder(graph).emit("prim::If", [graph.add_input("c", BOOL)], types=[TYPE])
    graph.set_return([x])
    node.add_block().set_returns([x])
    node.add_block()
    assert "a block of %if = prim::If(%c) has no terminator" in refused(graph)


def test_the_wrong_terminator():
    graph = Graph("f")
    graph.block.set_returns([])
    assert "the graph is closed by prim::Yield" in refused(graph)


def test_broken_use_lists():
    graph = small()
    h, y = graph.nodes()
    h.output.use_count = 7
    assert "%h counts 7 uses, but lists 1" in refused(graph)

    graph = small()
    h, y = graph.nodes()
    y._operands[0].value = graph.inputs[0]
    assert "%y = ingot::add(%x, %x): is listed as a user of %h, but does not use it as input 0" in refused(graph)

    graph = small()
    h, y = graph.nodes()
    y._operands[1].index = 0
    assert "does not know its place" in refused(graph) or "but does not use it" in refused(graph)

    graph = small()
    h, y = graph.nodes()
    h.output._first_use = h.output._last_use = None
    h.output.use_count = 0
    assert "is not listed as a user of its input %h" in refused(graph)


def test_broken_lists_of_nodes():
    graph = small()
    h, y = graph.nodes()
    y.previous = None
    assert "the list of nodes is broken" in refused(graph)
    graph = small()
    h, y = graph.nodes()
    h.order = y.order
    assert "order labels do not grow" in refused(graph)
    graph = small()
    graph.block.nodes._length = 5
    assert "the list of nodes is broken" in refused(graph)


def test_broken_ownership():
    graph = small()
    h, _y = graph.nodes()
    h.output.index = 3
    assert "output %h does not know its place" in refused(graph)
    graph = small()
    graph.inputs[1].index = 0
    assert "parameter %c does not know its place" in refused(graph)
    graph = small()
    graph.block.parent = next(graph.nodes())
    assert "the top block belongs to a node" in refused(graph)
    graph = small()
    node = Builder(graph).emit("prim::If", [graph.inputs[1]], types=[])
    node.add_block().set_returns([])
    node.blocks[0].parent = next(graph.nodes())
    assert "a block does not know that it belongs to this node" in refused(graph)
    graph = small()
    node = Builder(graph).emit("prim::If", [graph.inputs[1]], types=[])
    node.add_block().graph = Graph()
    assert "a block belongs to another graph" in refused(graph)


def test_names_are_unique():
    graph = small()
    _h, y = graph.nodes()
    y.output._name = "h"
    assert "the name %h is not unique" in refused(graph)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "list is not a kind of attribute"),
        (np.float64(1), "float64 is not a kind of attribute"),
        ((1, {2}), "set is not a kind of attribute"),
        (np.zeros(2), "the array can be written to"),
        (np.array(["x"]), "cannot be a constant"),
    ],
)
def test_attributes_of_no_kind(value, message):
    graph = small()
    node = Builder(graph).constant(1).node
    node.attrs["value"] = value
    assert message in refused(graph)


def test_types_of_no_kind():
    graph = small()
    h, _y = graph.nodes()
    for wrong, message in (
        ("f32", "is not a type"),
        (TensorType(float32, (-1,)), "-1 is not a size"),
        (TensorType(float32, (2.0,)), "2.0 is not a size"),
        (TensorType(np.float32, (2,)), "is not a dtype"),
        (TupleType((TensorType(float32, (True,)),)), "True is not a size"),
    ):
        h.output.type = wrong
        assert message in refused(graph)


def test_bounds_are_the_same_everywhere():
    graph = Graph("f")
    graph.add_input("x", TensorType(float32, (var("B", 1),)))
    y = graph.add_input("y", TensorType(float32, (var("B"),)))
    graph.set_return([y])
    assert "size variable B changes its bounds" in refused(graph)


def test_ops_do_not_mix_up_the_bounds_of_two_graphs():
    """What an op has inferred for one graph is not used for another with other bounds."""
    for least in (0, 1, 5):
        graph = Graph("f")
        x = graph.add_input("x", TensorType(float32, (var("B", least),)))
        graph.set_return([Builder(graph).emit("relu", [x]).output])
        verify(graph)
        assert "%relu : f32[B]" in str(graph) and (least == 0) == ("sizes" not in str(graph))


def test_more_updates_than_values():
    graph = small()
    graph.add_state("w", TYPE)
    graph.block.terminator.attrs["updates"] = ("w", "w")
    assert "2 updates, but only 1 values" in refused(graph)
    graph.block.terminator.set_inputs(graph.inputs[:1] * 2)
    assert "updated twice" in refused(graph)


def test_parameters_that_are_neither_inputs_nor_state():
    graph = small()
    graph.block.add_param(TYPE)
    assert "are not the inputs and the state" in refused(graph)


def test_the_context_of_the_caller_does_not_matter():
    """A graph is right by itself, not by what is being assumed around it."""
    graph = parse("graph @f(%x : f32[B], %y : f32[T]) -> (f32[B]): %z : f32[B] = ingot::add(%x, %y) return (%z)")
    assumed: list[SizeRelation] = []
    with use_context(AssumingContext({"B": 2, "T": 2}, assumed.append)):
        refused(graph)
    assert assumed == []
    graph.assumptions.append(Assumption(SizeRelation("==", var("B"), var("T"))))
    verify(graph)


def test_verifying_changes_nothing(rng: np.random.Generator):
    graph = random_graph(rng, 50)
    before = graph.copy()
    verify(graph)
    assert graph == before


SAMPLES = {"int": 0, "size": 1, "float": 0.5, "number": 1, "bool": True, "str": "a", "dtype": float32, "constant": 1}


def test_no_op_trips_over_types_it_was_not_made_for(rng: np.random.Generator):
    """Files come from strangers: whatever their nodes look like, the verifier says no in its own words."""
    scalar, matrix = TensorType(float32, ()), TensorType(int64, (var("B"), 3))
    types = [INT, FLOAT, BOOL, KEY, NONE, TYPE, scalar, matrix]
    types += [TupleType((INT, TYPE)), ListType(TYPE), OptionalType(INT)]
    refusals = 0
    for op in all_ops():
        attrs = {p.name: _sample(p) for p in op.schema.attributes}
        for _ in range(20):
            graph = Graph("f")
            count = len(op.schema.inputs) if op.schema.variadic is None else int(rng.integers(0, 4))
            inputs = [graph.add_input("x", types[int(rng.integers(0, len(types)))]) for _ in range(count)]
            results = [TYPE] * len(op.schema.outputs)
            Node(InsertionPoint.end(graph.block), op, inputs, results, ["y"] * len(results), dict(attrs))
            graph.set_return([])
            try:
                verify(graph)
            except VerifyError:
                refusals += 1
    assert refusals > 1000


def _sample(parameter: Parameter) -> object:
    if parameter.default is not REQUIRED:
        return parameter.default
    value = SAMPLES[parameter.kind]
    return value if parameter.count is None else (value,) * (parameter.count or 2)


def test_types_agree_by_structure():
    assert _agree(TupleType((TYPE, INT)), TupleType((TYPE, INT)))
    assert not _agree(TupleType((TYPE, INT)), TupleType((TYPE, FLOAT)))
    assert not _agree(TupleType((TYPE,)), TYPE)


def test_hand_made_nodes_are_checked_too():
    graph = small()
    node = Node(InsertionPoint.end(graph.block), lookup("relu"), graph.inputs[:1], [INT], ["bad"], {})
    assert f"wrong type of %{node.output.name}" in refused(graph)
