"""Values and uses, nodes, blocks, insertion points, the builder, copies, comparison."""

import copy
import gc
import re
import threading

import numpy as np
import pytest
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32, int64
from ingot.ir.errors import ArgumentError, ShapeError, UnsupportedError
from ingot.ir.gc_pause import paused_gc
from ingot.ir.graph import Assumption, Block, Graph, InsertionPoint, Node, Value, same_graph
from ingot.ir.graph_copy import inline
from ingot.ir.locations import Location
from ingot.ir.parser import parse
from ingot.ir.sizes import SizeRelation, var
from ingot.ir.types import BOOL, FLOAT, INT, KEY, NONE, TensorType
from ingot.ir.verifier import verify
from random_graphs import random_graph

TYPE = TensorType(float32, (2,))


def small() -> tuple[Graph, Value, Node, Node]:
    """x -> h = relu(x) -> y = add(h, h)."""
    graph = Graph("small")
    x = graph.add_input("x", TYPE)
    builder = Builder(graph)
    h = builder.emit("relu", [x], names=["h"])
    y = builder.emit("add", [h.output, h.output], names=["y"])
    graph.set_return([y.output])
    return graph, x, h, y


def pairs(value: Value) -> list[tuple[Node, int]]:
    return [(use.node, use.index) for use in value.uses]


# -- values and uses


def test_uses_are_listed_oldest_first():
    graph, x, h, y = small()
    assert pairs(x) == [(h, 0)]
    assert pairs(h.output) == [(y, 0), (y, 1)]
    assert pairs(y.output) == [(graph.block.terminator, 0)]
    assert [v.use_count for v in (x, h.output, y.output)] == [1, 2, 1]


def test_uses_is_a_snapshot():
    _, x, h, y = small()
    uses = h.output.uses
    y.set_input(0, x)
    assert [(use.node, use.index) for use in uses] == [(y, 0), (y, 1)]
    assert pairs(h.output) == [(y, 1)] and pairs(x) == [(h, 0), (y, 0)]


def test_set_input_moves_one_use():
    _, x, h, y = small()
    assert y.inputs == (h.output, h.output)
    y.set_input(1, x)
    assert y.inputs == (h.output, x) and x.use_count == 2 and h.output.use_count == 1
    y.set_input(1, x)
    assert y.inputs == (h.output, x) and x.use_count == 2
    for index in (2, -1):
        with pytest.raises(ArgumentError, match="no input"):
            y.set_input(index, x)


def test_set_inputs_replaces_all():
    _, x, h, y = small()
    y.set_inputs([x])
    assert y.inputs == (x,) and h.output.uses == () and pairs(x) == [(h, 0), (y, 0)]
    y.set_inputs(y.inputs * 3)
    assert y.inputs == (x, x, x) and x.use_count == 4


def test_replace_uses_with_and_without_condition():
    graph, x, h, y = small()
    h.output.replace_uses(x, where=lambda use: use.index == 1)
    assert y.inputs == (h.output, x)
    h.output.replace_uses(x)
    assert y.inputs == (x, x) and h.output.use_count == 0
    x.replace_uses(x)
    assert x.use_count == 3
    y.output.replace_uses(h.output)
    assert graph.outputs == (h.output,)


def test_names_are_unique_identifiers():
    graph, x, h, y = small()
    assert [Builder(graph).emit("relu", [x]).output.name for _ in range(3)] == ["relu", "relu_1", "relu_2"]
    h.output.name = "y"
    assert h.output.name == "y_1"
    y.output.name = "z"
    h.output.name = "y"
    assert (h.output.name, y.output.name) == ("y", "z")
    assert graph.add_state("fc1.weight", TYPE).name == "fc1_weight"
    assert graph.add_input("0", TYPE).name == "_0"
    assert graph.add_input("größe", TYPE).name == "gr_e"
    assert graph.add_input("", TYPE).name == "v"


def test_an_erased_nodes_name_is_free_again():
    graph, _, h, y = small()
    graph.set_return([])
    y.erase()
    assert Builder(graph).emit("relu", [h.output], names=["y"]).output.name == "y"


# -- nodes


def test_erase_refuses_while_an_output_is_used_and_names_the_user():
    graph, x, h, y = small()
    with pytest.raises(ArgumentError, match=re.escape("%h is used")) as error:
        h.erase()
    assert "%y = ingot::add(%h, %h)" in str(error.value)
    with pytest.raises(ArgumentError, match=re.escape("prim::Return(%y)")):
        y.erase()
    graph.set_return([x])
    y.erase()
    h.erase()
    assert list(graph.nodes()) == [] and x.use_count == 1
    assert h.block is None and h.inputs == ()
    with pytest.raises(ArgumentError, match="already"):
        h.erase()


def test_the_terminator_stays():
    graph, *_ = small()
    assert graph.block.terminator is not None
    with pytest.raises(ArgumentError, match="cannot be erased"):
        graph.block.terminator.erase()
    with pytest.raises(ArgumentError, match="cannot be moved"):
        graph.block.terminator.move_to(InsertionPoint.start(graph.block))


def test_erase_drops_what_is_nested():
    graph = parse(NESTED)
    x = graph.inputs[0]
    node = next(graph.nodes())
    graph.set_return([x])
    before = x.use_count
    node.erase()
    assert x.use_count == before - 2
    assert "h" not in graph.names and "i" not in graph.names
    verify(graph)


NESTED = """
graph @nested(%x : f32[2], %n : int, %c : bool) -> (f32[2]):
  %y : f32[2] = prim::Loop(%n, %c, %x)
    block0(%i : int, %p : f32[2]):
      %h : f32[2] = ingot::add(%x, %p)
      -> (%c, %h)
  return (%y)
"""


def test_replace_with():
    graph, x, h, y = small()
    h.replace_with(x)
    assert list(graph.nodes()) == [y] and y.inputs == (x, x)
    with pytest.raises(ArgumentError, match="own output"):
        y.replace_with([y.output])
    with pytest.raises(ArgumentError, match="1 outputs, got 2 values"):
        y.replace_with([x, x])
    y.replace_with([x])
    assert graph.outputs == (x,)


def test_output_wants_a_single_one():
    graph = Graph()
    split = Builder(graph).emit("prim::Split", [graph.add_input("k", KEY)])
    assert [v.name for v in split.outputs] == ["split", "split_1"]
    with pytest.raises(ArgumentError, match="2 outputs"):
        _ = split.output


def test_moving():
    graph, x, h, y = small()
    z = Builder(graph).emit("exp", [x], names=["z"])
    z.move_before(h)
    assert list(graph.nodes()) == [z, h, y]
    z.move_before(z)
    z.move_to(InsertionPoint.before(z))
    assert list(graph.nodes()) == [z, h, y]
    assert graph.block.terminator is not None
    z.move_before(graph.block.terminator)
    assert list(graph.nodes()) == [h, y, z]
    z.move_to(InsertionPoint.after(h))
    assert list(graph.nodes()) == [h, z, y] and h.is_before(z) and z.is_before(y)


def test_moving_into_and_out_of_blocks():
    graph = parse(NESTED)
    loop, inner = graph.nodes()
    with pytest.raises(ArgumentError, match="into itself"):
        loop.move_before(inner)
    other = Builder(graph, InsertionPoint.before(loop)).emit("exp", [graph.inputs[0]])
    other.move_before(inner)
    assert other.block is loop.blocks[0] and list(loop.blocks[0].nodes) == [other, inner]
    assert other.ancestor_in(graph.block) is loop and loop.ancestor_in(other.block) is None
    other.move_before(loop)
    assert list(graph.nodes(recursive=False)) == [other, loop]
    with pytest.raises(ArgumentError, match="another graph"):
        other.move_to(InsertionPoint.end(Graph().block))


# -- insertion points


def test_insertion_points_are_values():
    graph, _, h, y = small()
    assert InsertionPoint.after(h) == InsertionPoint.before(y)
    assert InsertionPoint.start(graph.block) == InsertionPoint.before(h)
    assert graph.block.terminator is not None
    assert InsertionPoint.after(y) == InsertionPoint.end(graph.block)
    assert InsertionPoint.before(graph.block.terminator) == InsertionPoint.end(graph.block)
    with pytest.raises(AttributeError):
        InsertionPoint.end(graph.block).following = h  # type: ignore[misc]
    with pytest.raises(ArgumentError, match="behind the terminator"):
        InsertionPoint.after(graph.block.terminator)


@pytest.mark.parametrize("where", ["before", "after", "start", "end"])
def test_nodes_inserted_at_one_point_stand_in_order(where):
    graph, x, h, _ = small()
    make = getattr(InsertionPoint, where)
    point = make(graph.block if where in ("start", "end") else h)
    builder = Builder(graph, point)
    for name in "abc":
        builder.emit("relu", [x], names=[name])
    found = "".join(node.output.name for node in graph.nodes())
    assert found == {"before": "abchy", "after": "habcy", "start": "abchy", "end": "hyabc"}[where]


def test_a_lost_insertion_point_says_so():
    graph, x, h, y = small()
    point = InsertionPoint.before(h)
    h.replace_with(x)
    with pytest.raises(ArgumentError, match="insertion point lost"):
        Builder(graph, point).emit("relu", [x])
    with pytest.raises(ArgumentError, match="erased"):
        InsertionPoint.before(h)
    assert list(graph.nodes()) == [y] and x.use_count == 2


# -- blocks


def test_blocks_belong_to_one_node():
    graph = parse(NESTED)
    loop = next(graph.nodes())
    with pytest.raises(ArgumentError, match="one node only"):
        loop.attach(loop.blocks[0])
    with pytest.raises(ArgumentError, match="one node only"):
        loop.attach(graph.block)
    block = loop.add_block()
    assert block.parent is loop and loop.blocks[1] is block


def test_params_are_numbered():
    graph = Graph()
    block = Block(graph, [INT, TYPE], ["i"])
    assert [p.name for p in block.params] == ["i", "p"]
    first = block.add_param(INT, "first", index=0)
    assert [p.index for p in block.params] == [0, 1, 2] and block.params[0] is first
    assert first.block is block and first.node is None
    Builder(block).emit("relu", [block.params[2]])
    with pytest.raises(ArgumentError, match="ingot::relu"):
        block.remove_param(2)
    block.remove_param(0)
    assert [p.index for p in block.params] == [0, 1] and "first" not in graph.names


def test_walking_is_in_order_and_survives_changes():
    graph = parse(NESTED)
    loop, inner = graph.nodes()
    assert [loop, inner] == list(graph.nodes()) and [loop] == list(graph.nodes(recursive=False))
    assert graph.node_count == 2
    assert list(graph.blocks()) == [graph.block, loop.blocks[0]]
    seen = []
    for node in graph.nodes():
        seen.append(node)
        if node is inner:
            Builder(graph, InsertionPoint.after(node)).emit("relu", [node.output])
    assert [node.op.short for node in seen] == ["Loop", "add", "relu"]
    for node in graph.nodes():
        if node is loop:
            graph.set_return([])
            loop.erase()
        else:
            raise AssertionError("an erased node's blocks were entered")


# -- graphs


def test_inputs_and_state():
    graph = Graph()
    graph.add_state("w", TYPE)
    x = graph.add_input("x", TYPE)
    graph.add_state("rng", KEY, name="k")
    y = graph.add_input("y", TYPE)
    assert graph.inputs == (x, y) and list(graph.state) == ["w", "rng"]
    assert [p.name for p in graph.block.params] == ["x", "y", "w", "k"]
    assert [p.index for p in graph.block.params] == [0, 1, 2, 3]
    with pytest.raises(ArgumentError, match="already has state 'w'"):
        graph.add_state("w", TYPE)
    with pytest.raises(TypeError):
        graph.state["z"] = x  # type: ignore[index]
    graph.remove_input(x)
    graph.remove_state("w")
    assert graph.inputs == (y,) and list(graph.state) == ["rng"] and graph.state["rng"].index == 1
    for wrong in (x, graph.state["rng"]):
        with pytest.raises(ArgumentError, match="not an input"):
            graph.remove_input(wrong)
    with pytest.raises(ArgumentError, match="no state 'w'"):
        graph.remove_state("w")


def test_updates_are_what_the_return_writes():
    graph = Graph()
    x = graph.add_input("x", TYPE)
    w = graph.add_state("w", TYPE)
    b = graph.add_state("b", TYPE)
    graph.set_return([x, w], {"b": x, "w": b}, Location("m.py", 3))
    assert graph.outputs == (x, w) and graph.updates == {"b": x, "w": b}
    graph.set_return([x])
    assert graph.outputs == (x,) and graph.updates == {} and (w.use_count, b.use_count) == (0, 0)
    assert graph.block.terminator is not None and graph.block.terminator.location == Location("m.py", 3)
    with pytest.raises(ArgumentError, match="no state 'q'"):
        graph.set_return([], {"q": x})
    graph.set_return([], {"w": x})
    with pytest.raises(ArgumentError, match="it is updated"):
        graph.remove_state("w")


def test_size_variables_of_the_inputs():
    graph = Graph()
    batch, time = var("B", 1), var("T")
    graph.add_input("x", TensorType(float32, (batch * time, 4, batch)))
    assert list(graph.sizes) == ["B", "T"] and graph.sizes["B"] is not graph.sizes["T"]


# -- the builder


def test_the_builder_infers_and_completes():
    graph = Graph()
    x = graph.add_input("x", TensorType(float32, (var("B"), 4)))
    builder = Builder(graph)
    node = builder.emit("softmax", [x], {"dim": 1})
    assert node.output.type == x.type and node.attrs.keys() == {p.name for p in node.op.schema.attributes}
    with pytest.raises(ShapeError):
        builder.emit("add", [x, graph.add_input("y", TensorType(float32, (3,)))])
    with pytest.raises(ArgumentError, match="no attribute 'dims'"):
        builder.emit("softmax", [x], {"dims": 1})
    with pytest.raises(ArgumentError, match="2 inputs"):
        builder.emit("relu", [x, x])
    with pytest.raises(UnsupportedError, match="unknown op") as error:
        builder.emit("ingot::softmx", [x])
    assert "ingot::softmax" in str(error.value)
    with pytest.raises(ArgumentError, match="2 names for 1 outputs"):
        builder.emit("relu", [x], names=["a", "b"])
    assert graph.node_count == 1 and x.use_count == 1


def test_errors_of_inference_name_the_users_line():
    graph = Graph()
    x, y = (graph.add_input("x", TensorType(float32, (n,))) for n in (2, 3))
    builder = Builder(graph)
    with builder.located(Location("model.py", 7, 5), "fc1"), pytest.raises(ShapeError) as error:
        builder.emit("add", [x, y])
    assert "at model.py:7:5  (fc1)" in str(error.value)


def test_builder_defaults_and_places():
    graph, x, h, _ = small()
    builder = Builder(graph)
    builder.location, builder.path = Location("a.py", 1), "net"
    own = builder.emit("relu", [x], location=Location("b.py", 2), path="fc")
    with builder.located(None), builder.at(InsertionPoint.before(h)):
        first = builder.emit("relu", [x])
    last = builder.emit("relu", [x])
    assert (own.location, own.path) == (Location("b.py", 2), "fc")
    assert (first.location, first.path) == (None, "") and graph.block.nodes.first is first
    assert (last.location, last.path) == (Location("a.py", 1), "net") and graph.block.nodes.last is last
    assert builder.graph is graph


def test_constants():
    graph = Graph()
    builder = Builder(graph)
    array = np.arange(3)
    constant = builder.constant(array)
    array[0] = 9
    held = constant.node.attrs["value"]
    assert held.tolist() == [0, 1, 2] and not held.flags.writeable
    assert builder.constant(held).node.attrs["value"] is held
    types = [builder.constant(v).type for v in (2, 2.0, True)]
    assert types == [INT, FLOAT, BOOL]
    assert builder.none().type is NONE and constant.type == TensorType(int64, (3,))
    assert builder.constant(2, type=FLOAT, name="two").name == "two"


# -- copies and comparison


def test_copies_are_equal_and_independent(rng: np.random.Generator):
    for _ in range(30):
        graph = random_graph(rng, 60)
        new = graph.copy()
        assert same_graph(graph, new) is None and graph == new and copy.deepcopy(graph) == graph
        assert not set(graph.values()) & set(new.values())
        verify(new)
        x = new.inputs[0]
        assert graph.names.take("h") == new.names.take("h")
        Builder(new).emit("relu", [x])
        assert graph != new
        verify(graph)


def test_a_copy_gives_out_the_same_names_from_there_on():
    graph, x, _, _ = small()
    builder = Builder(graph)
    builder.emit("relu", [x])
    builder.emit("relu", [x]).erase()
    names = [Builder(g).emit("relu", [g.inputs[0]]).output.name for g in (graph.copy(), graph)]
    assert names == ["relu_2", "relu_2"]


def test_graphs_are_compared_not_hashed():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Graph())
    assert Graph() != "graph"


BASE = """
graph @f sizes {B >= 1} (%x : f32[B, 2], %c : bool @m.py:1) state {%w : f32[2] = "w", %v : f32[2] = "v"} -> (f32[B, 2]):
  assume B % 2 == 0  @m.py:2
  %s : f32[B, 2] = ingot::softmax[dim=1, dtype=none](%x)  @m.py:3:1 in a
  %y : f32[B, 2] = prim::If(%c)
    block0():
      %t : f32[B, 2] = ingot::relu(%s)
      -> (%t)
    block1():
      -> (%s)
  %k : float = prim::Constant[value=0.0]()
  return (%y) update {"w": %v}  @m.py:9
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@f", "@g", "the names differ: @f and @g"),
        ("B >= 1", "B >= 2", "the bounds of size variable B differ: (1, None) and (2, None)"),
        ("%c : bool @m.py:1", "%c : bool", "the locations of input or state 1 differ"),
        ('"v"}', '"u"}', "the states differ: [w, v] and [w, u]"),
        ("%v : f32[2]", "%v : f32[3]", "the types of input or state 3 differ: f32[2] and f32[3]"),
        ("% 2 ==", "% 3 ==", "the assumptions differ"),
        ("@m.py:2", "@m.py:7", "the assumptions differ"),
        ("dim=1", "dim=0", "attribute dim of %s = ingot::softmax(%x) differs: 1 and 0"),
        ("[dim=1, dtype=none]", "[dim=1]", "the attributes of %s = ingot::softmax(%x) differ"),
        ("value=0.0", "value=-0.0", "attribute value of %k = prim::Constant() differs: 0.0 and -0.0"),
        ("value=0.0", "value=0", "attribute value of %k = prim::Constant() differs: 0.0 and 0"),
        ("%k", "%q", "the names of output 0 of %k = prim::Constant() differ: %k and %q"),
        ("@m.py:3:1", "@m.py:3:2", "the locations of %s = ingot::softmax(%x) differ"),
        (" in a", " in b", "the module paths of %s = ingot::softmax(%x) differ: 'a' and 'b'"),
        ("ingot::relu", "ingot::exp", "the ops differ: %t = ingot::relu(%s) and %t = ingot::exp(%s)"),
        ("ingot::relu(%s)", "ingot::relu(%x)", "input 0 differs"),
        ("-> (%s)", "-> (%x)", "input 0 differs: prim::Yield(%s) and prim::Yield(%x)"),
        ('{"w": %v}', '{"w": %w}', "input 1 differs: prim::Return(%y, %v) and prim::Return(%y, %w)"),
        ('{"w": %v}', '{"v": %v}', 'attribute updates of prim::Return(%y, %v) differs: ["w"] and ["v"]'),
        ("%k : float", "%k : f32[]", "the types of output 0 of %k = prim::Constant() differ: float and f32[]"),
        ("  %k : float = prim::Constant[value=0.0]()\n", "", "the numbers of nodes differ in the top block: 3 and 2"),
    ],
)
def test_the_first_difference_is_named(old, new, message):
    first, second = parse(BASE), parse(BASE.replace(old, new))
    difference = same_graph(first, second)
    assert difference is not None and difference.startswith(message)
    assert same_graph(first, parse(BASE)) is None


def test_names_and_locations_may_be_left_out():
    other = parse(BASE.replace("%k", "%q").replace("%t", "%r"))
    assert same_graph(parse(BASE), other) is not None
    assert same_graph(parse(BASE), other, names=False) is None
    other = parse(BASE.replace("@m.py:3:1 in a", "").replace("@m.py:2", ""))
    assert same_graph(parse(BASE), other, locations=False) is None
    assert same_graph(parse(BASE), parse(BASE.replace("relu(%s)", "relu(%x)")), names=False, locations=False)


def test_inline_binds_parameters():
    source = parse(NESTED)
    graph = Graph()
    x, n, c = graph.add_input("x", TYPE), graph.add_input("n", INT), graph.add_input("c", BOOL)
    once = inline(source.block, InsertionPoint.end(graph.block), [x, n, c])
    twice = inline(source.block, InsertionPoint.end(graph.block), [once[0], n, c])
    graph.set_return(twice)
    verify(graph)
    assert graph.node_count == 4 and [node.output.name for node in graph.nodes()] == ["y", "h", "y_1", "h_1"]
    verify(source)
    with pytest.raises(ArgumentError, match="3 parameters, 1 arguments"):
        inline(source.block, InsertionPoint.end(graph.block), [x])


def test_inline_into_the_block_itself():
    graph, x, _, y = small()
    copies = inline(graph.block, InsertionPoint.end(graph.block), [y.output])
    graph.set_return(copies)
    verify(graph)
    assert graph.node_count == 4 and x.use_count == 1


def test_random_edits_keep_the_web_consistent(rng: np.random.Generator):
    for _ in range(20):
        graph = random_graph(rng, 80)
        for _ in range(40):
            nodes = [n for n in graph.nodes() if not n.blocks]
            node = nodes[int(rng.integers(0, len(nodes)))]
            same = [v for v in graph.inputs if node.outputs and v.type == node.outputs[0].type]
            if len(node.outputs) == 1 and same:
                node.replace_with(same[0])
            elif all(not v.use_count for v in node.outputs):
                node.erase()
        verify(graph)
        assert graph == graph.copy()


# -- depth, and the collector


def test_depth_costs_no_recursion():
    """Text, copy, comparison, verification and erasure of control flow 10,000 deep."""
    graph = deep(10_000)
    verify(graph)
    text = str(graph)
    assert same_graph(graph, graph.copy()) is None
    assert same_graph(parse(text), graph) is None
    assert graph.node_count == 20_000
    (outer,) = graph.nodes(recursive=False)
    graph.set_return(graph.inputs[:1])
    outer.erase()
    assert graph.inputs[0].use_count == 1 and graph.inputs[1].use_count == 0
    del graph
    gc.collect()


def deep(depth: int) -> Graph:
    """`prim::If` inside of `prim::If`, with a node beside each."""
    lines = ["graph @deep(%x : f32[2], %c : bool) -> (f32[2]):"]
    for level in range(depth):
        lines += [f"%y{level} : f32[2] = prim::If(%c)", "block0():", f"%r{level} : f32[2] = ingot::relu(%x)"]
    lines.append(f"-> (%r{depth - 1})")
    for level in reversed(range(depth)):
        lines += ["block1():", "-> (%x)", f"-> (%y{level})"]
    lines[-1] = "return (%y0)"
    return parse("\n".join(lines))


def test_the_collector_pauses_and_resumes():
    assert gc.isenabled()
    with paused_gc():
        assert not gc.isenabled()
        with paused_gc():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), paused_gc():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with paused_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_pauses_overlap_between_threads():
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with paused_gc():
            inside.set()
            leave.wait(10)

    with paused_gc():
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_assumptions_print():
    assert str(Assumption(SizeRelation("==", var("H") % 2, 0))) == "assume H % 2 == 0"


def test_after_a_pause_the_collector_does_not_walk_what_was_made():
    import gc

    from ingot.ir.gc_pause import paused_gc

    gc.collect()
    before = gc.get_count()[0]
    with paused_gc():
        made = [[] for _ in range(5000)]
    assert gc.isenabled()
    assert gc.get_count()[0] < before + 1000
    assert gc.get_freeze_count() == 0
    del made
