"""The text form: printing, parsing, their round trip, and what the parser says about wrong text."""

import random
import re
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ingot.ir.attributes import array_from_bytes, array_from_items, array_text, attribute_text, same_attribute
from ingot.ir.builder import Builder
from ingot.ir.dtypes import bfloat16, bool_, float32
from ingot.ir.errors import ArgumentError, ParseError
from ingot.ir.graph import Assumption, Graph, same_graph
from ingot.ir.locations import Location
from ingot.ir.parser import _machine, _token_expression, parse, parse_all
from ingot.ir.printer import print_graph
from ingot.ir.sizes import SizeRelation, bounds, minimum, var
from ingot.ir.types import INT, KEY, ListType, OptionalType, TensorType, TupleType
from ingot.ir.verifier import verify
from random_graphs import random_attribute, random_graph

STATE = '{%w : f32[128, 784] = "fc1.weight", %k0 : key = "rng"}'
DESIGN = f"""\
graph @forward(%x : f32[B, 784], %train : bool) state {STATE} -> (f32[B, 128]):
  %h : f32[B, 128] = ingot::linear(%x, %w)  @model.py:12:12 in fc1
  %y : f32[B, 128], %k3 : key = prim::If(%train)  @model.py:13:8
    block0():
      %k1 : key, %k2 : key = prim::Split(%k0)
      %d : f32[B, 128] = ingot::dropout[p=0.1](%h, %k1)
      -> (%d, %k2)
    block1():
      -> (%h, %k0)
  return (%y) update {{"rng": %k3}}
"""


def round_trip(graph: Graph) -> str:
    """The graph's text, after a check that it reads back as an equal graph with equal text."""
    text = print_graph(graph)
    back = parse(text)
    assert same_graph(graph, back) is None
    assert print_graph(back) == text
    return text


def constant(value: object) -> Graph:
    graph = Graph()
    graph.set_return([Builder(graph).constant(value, type=INT)])
    return graph


# -- the whole


def test_the_designs_example_is_its_own_text():
    graph = parse(DESIGN)
    assert print_graph(graph) == DESIGN
    assert [node.op.name for node in graph.nodes()] == [
        "ingot::linear", "prim::If", "prim::Split", "ingot::dropout",
    ]  # fmt: skip
    linear = next(graph.nodes())
    assert (linear.location, linear.path) == (Location("model.py", 12, 12), "fc1")
    assert graph.updates.keys() == {"rng"} and graph.state["fc1.weight"].name == "w"


def test_everything_at_once():
    bounded = "B in 1..2048, T >= 1, D in -3..5, E in .., F in ..7"
    size = "(B - 3)//2 + 1"
    inputs = f"%x : f32[B*T, {size}]:cuda @m.py:1:2, %t : ((f32[2], int), ()), %l : list<f32[T]?>, %o : (key,)?"
    state = r'%w : f32[D + E + F] @m.py:2 = "a \"b\""'
    text = f'graph @"odd name" sizes {{{bounded}}} ({inputs}) state {{{state}}} -> (f32[B*T, {size}]:cuda):\n'
    text += """\
  assume B % 2 == 0  @model.py:20:8
  assume B <= 4*T
  %n : int = prim::Size[min(B, 4) + 1]()
  prim::Bind[N](%n)  in a.b
  %c : int = prim::Constant[value=[[-2.5, [], none], "é # x", f32, true, B, -B]]()  @"my file.py":3:4-5:6 in "l[0]"
  return (%x) update {"a \\"b\\"": %w}  @m.py:9:1-9:20 in top
sources {
  @model.py:20:8 "assert x.shape[0] % 2 == 0"
  @"my file.py":3:4-5:6 in h
  @m.py:9:1-9:20 in "f.<locals>.g" "return x"
}
"""
    graph = parse(text)
    assert print_graph(graph) == text
    assert graph.name == "odd name"
    assert graph.assumptions[0] == Assumption(
        SizeRelation("==", var("B") % 2, 0), Location("model.py", 20, 8, source="assert x.shape[0] % 2 == 0")
    )
    x, t, many, maybe = graph.inputs
    assert x.location == Location("m.py", 1, 2) and x.type.device == "cuda"
    assert t.type == TupleType((TupleType((TensorType(float32, (2,)), INT)), TupleType(())))
    assert many.type == ListType(OptionalType(TensorType(float32, (var("T"),))))
    assert maybe.type == OptionalType(TupleType((KEY,)))
    wanted = {"B": (1, 2048), "T": (1, None), "D": (-3, 5), "E": (None, None), "F": (None, 7)}
    assert {name: bounds(size) for name, size in graph.sizes.items()} == wanted
    terminator = graph.block.terminator
    assert terminator.path == "top" and terminator.location.function == "f.<locals>.g"


def test_random_graphs_read_back_equal(rng: np.random.Generator):
    for size in (0, 1, 3, *(40,) * 40):
        round_trip(random_graph(rng, size, any_attributes=True))


def test_several_graphs_in_one_text():
    first, second = parse(DESIGN), constant(3)
    both = parse_all(f"# two graphs\n{print_graph(first)}\n# the other\n{print_graph(second)}# end")
    assert [same_graph(a, b) for a, b in zip((first, second), both, strict=True)] == [None, None]
    with pytest.raises(ParseError, match="2 graphs"):
        parse(DESIGN + print_graph(second))


def test_graphs_of_one_text_have_their_own_size_variables():
    one = "graph @a sizes {B >= 1} (%x : f32[B]) -> (f32[B]): return (%x)"
    two = "graph @b(%x : f32[B]) -> (f32[B]): return (%x)"
    a, b = parse_all(one + "\n" + two)
    assert bounds(a.sizes["B"]) == (1, None) and bounds(b.sizes["B"]) == (0, None)


def test_line_breaks_indentation_and_comments_mean_nothing():
    flat = " ".join(DESIGN.split())
    commented = "\n".join(f"{line}  # %x -> ({i}" for i, line in enumerate(DESIGN.splitlines()))
    for text in (flat, commented, DESIGN.replace("\n", "\r\n"), textwrap.indent(DESIGN, "\t") + "\n\n # bye"):
        assert same_graph(parse(text), parse(DESIGN)) is None


def test_an_unfinished_graph_can_be_shown():
    graph = Graph("draft")
    x = graph.add_input("x", INT)
    Builder(graph).emit("prim::If", [x], types=[INT]).add_block()
    assert str(graph) == "graph @draft(%x : int) -> ():\n  %if : int = prim::If(%x)\n    block0():\n"
    assert repr(graph) == "<graph @draft: 1 nodes>" and repr(x) == "%x : int"


def test_text_without_locations():
    text = print_graph(parse(DESIGN), locations=False)
    assert "@model" not in text and " in fc1" not in text
    assert same_graph(parse(text), parse(DESIGN), locations=False) is None


# -- names, locations, types


@pytest.mark.parametrize("name", ["forward", "a.b", "0", "", "two words", 'q"', "é", "line\nbreak"])
def test_graph_names(name):
    graph = constant(1)
    graph.name = name
    round_trip(graph)


@pytest.mark.parametrize(
    "location",
    [
        Location("m.py", 3),
        Location("m.py", 3, 4),
        Location("m.py", 3, 4, 3, 9),
        Location("m.py", 3, 0, 5, 0),
        Location("", 0),
        Location("<stdin>", 1),
        Location("C:\\my dir\\x.py", 1, 2),
        Location("a-3", 4),
        Location("é.py", 1),
        Location("m.py", 1, 1, 1, 2, "f.<locals>.<lambda>", "print(\"é\", 'x')  # \\"),
        Location("m.py", 1, source="x"),
        Location("m.py", 1, function="f"),
    ],
)
def test_locations(location):
    graph = constant(1)
    for node in graph.nodes():
        node.location, node.path = location, "a.b"
    graph.assumptions.append(Assumption(SizeRelation("<", 1, 2), location))
    graph.add_input("x", INT, location)
    graph.block.terminator.location = location
    round_trip(graph)


def test_locations_that_differ_in_function_or_source_alone():
    graph = Graph()
    builder = Builder(graph)
    for function, source in (("f", "a"), ("g", "a"), ("", ""), ("f", "b"), ("f", "a")):
        builder.constant(1).node.location = Location("m.py", 1, 2, function=function, source=source)
    graph.set_return([])
    text = round_trip(graph)
    assert text.count("@m.py:1:2~2") == 2 and text.count("@m.py:1:2 in f") == 1


def test_module_paths():
    graph = Graph()
    for path in ("", "fc1", "layers.0.norm", "layers[0]", 'a "b"', "é", " "):
        Builder(graph).constant(1).node.path = path
    graph.set_return([])
    round_trip(graph)


def test_names_in_text_are_the_values_names():
    graph = parse("graph @f(%relu_7 : int, %x : int) -> (int): return (%x)")
    assert [v.name for v in graph.inputs] == ["relu_7", "x"]
    assert Builder(graph).constant(1, name="x").name == "x_1"


# -- attributes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (10**40, "1" + "0" * 40),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e-5, "1e-05"),
        (1e22, "1e+22"),
        (5e-324, "5e-324"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (float("nan"), "nan"),
        (True, "true"),
        (None, "none"),
        ("", '""'),
        ("a\tb\\\x00\x7f", r'"a\tb\\\u0000\u007f"'),
        ("é漢", '"é漢"'),
        ("a\u2028b\ud800", r'"a\u2028b\ud800"'),
        (float32, "f32"),
        (bool_, "bool"),
        (bfloat16, "bf16"),
        (var("B"), "B"),
        ((var("B") - 3) // 2 * var("T") + 1, "((B - 3)//2)*T + 1"),
        (minimum(var("B"), var("T") + 4) % 3, "min(B, T + 4) % 3"),
        (-var("B"), "-B"),
        ((), "[]"),
        (((),), "[[]]"),
        ((1, (2.0, "x"), None), '[1, [2.0, "x"], none]'),
    ],
)
def test_attributes(value, text):
    assert attribute_text(value) == text
    assert f"value={text}]" in round_trip(constant(value))


def test_random_attributes(rng: np.random.Generator):
    for _ in range(300):
        round_trip(constant(random_attribute(rng)))


def test_attributes_of_different_kinds_are_not_the_same():
    nan = float("nan")
    distinct = [
        0,
        0.0,
        -0.0,
        False,
        None,
        "",
        (),
        (0,),
        (0.0,),
        nan,
        float32,
        var("B"),
        np.zeros(()),
        np.zeros((), int),
    ]
    for i, a in enumerate(distinct):
        assert [same_attribute(a, b) for b in distinct] == [i == j for j in range(len(distinct))]
    assert same_attribute((nan, 1), (-nan, 1))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_arrays_of_every_dtype(dtype, rng: np.random.Generator):
    for count in (0, 1, 7, 16, 17, 1000):
        array = (rng.standard_normal(count) * 100).astype(dtype)
        array.flags.writeable = False
        round_trip(constant(array))


def test_arrays_are_exact_to_the_bit():
    payload = np.array([0x7FC00001, 0xFFC00000, 0x7FC00000, 0x80000000, 1], np.uint32).view(np.float32)
    assert "base64" in attribute_text(payload)
    short = np.array([np.inf, -np.inf, -0.0, 1e-45, 3.4028235e38, 0.1, 16777216.0], np.float32)
    assert attribute_text(short) == "tensor(f32[7], [inf, -inf, -0.0, 1e-45, 3.4028235e+38, 0.1, 16777216.0])"
    brain = np.array([0.1, 1e30, -2], bfloat16.np)
    every_half = np.arange(65536, dtype=np.uint16).view(np.float16)
    key = np.array([2**64 - 1, 3], np.uint64)
    assert attribute_text(key) == "tensor(u64[2], [18446744073709551615, 3])"
    arrays = [payload, payload[1:2], short, brain, every_half, key, np.zeros((2, 0, 3), np.int8), np.array(2.5)]
    arrays += [every_half[i : i + 16] for i in range(0, 65536, 4096)]
    arrays += [np.arange(6, dtype=np.int32).reshape(2, 3).T]
    for array in arrays:
        round_trip(constant(array))


def test_constants_read_from_text():
    assert array_from_items("f32[2]", [1, 2.5]).tolist() == [1.0, 2.5]
    assert array_from_bytes("u8[3]", "AQID").tolist() == [1, 2, 3]
    graph = parse(
        "graph @f() -> (): %c : f32[2, 2] = prim::Constant[value=tensor(f32[2, 2], [1, 2, 3, 4])]() return ()"
    )
    held = next(graph.nodes()).attrs["value"]
    assert held.tolist() == [[1, 2], [3, 4]] and held.dtype == np.float32 and not held.flags.writeable


@pytest.mark.parametrize(
    ("head", "items", "message"),
    [
        ("f32[2]", [1.0], "1 items"),
        ("f99[1]", [1.0], "not a constant's dtype"),
        ("f32[B]", [1.0], "not a constant's dtype"),
        ("f32[99999999999999999999]", [], "not a constant's dtype"),
        ("f32[0, 999999999999999999, 999999999999999999]", [], "tensor"),
        ("i8[1]", [300], "does not fit"),
        ("u8[1]", [-1], "does not fit"),
        ("i8[1]", [1.5], "kind int"),
        ("f32[1]", ["x"], "kind float"),
        ("bool[1]", [1], "kind bool"),
        ("i32[1]", [True], "kind int"),
    ],
)
def test_wrong_constants_are_refused(head, items, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        array_from_items(head, items)


@pytest.mark.parametrize(
    ("head", "text", "message"),
    [
        ("f32[1]", "AAAA", "3 bytes"),
        ("f32[999999999999]", "AAAAAA==", "4 bytes"),
        ("u8[3]", "A?ID", "not base64"),
        ("bool[1]", "Ag==", "neither 0 nor 1"),
    ],
)
def test_wrong_bytes_are_refused(head, text, message):
    with pytest.raises(ArgumentError, match=message):
        array_from_bytes(head, text)


def test_what_is_no_attribute_has_no_text():
    for value in ([1], {"a": 1}, np.float64(1), object()):
        with pytest.raises(ArgumentError, match="attribute"):
            attribute_text(value)
    with pytest.raises(ArgumentError, match="constant"):
        array_text(np.array(["x"]))


# -- errors

GOOD = """\
graph @f(%x : f32[B, 2], %c : bool) state {%w : f32[2] = "w"} -> (f32[B, 2]):
  %h : f32[B, 2] = ingot::softmax[dim=1](%x)  @m.py:3:4 in fc1
  %y : f32[B, 2] = prim::If(%c)
    block0():
      -> (%h)
    block1():
      -> (%x)
  return (%y) update {"w": %w}
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "messages"),
    [
        ("ingot::softmax", "ingot::softmx", "2:20", ["unknown op 'ingot::softmx'", "ingot::softmax"]),
        ("(%h)", "(%q)", "5:11", ["%q is not defined up to here"]),
        ("-> (%h)", "-> (%hh)", "5:11", ["%hh is not defined", "close names: %h"]),
        ("%y :", "%h :", "3:3", ["%h is defined twice"]),
        ("%y : f32[B, 2]", "%y : f32[B, 2], %y : f32[B, 2]", "3:19", ["a name is defined twice"]),
        ("%c : bool", "%x : bool", "1:26", ["%x is defined twice"]),
        ("bool)", "bol)", "1:31", ["no type bol", "bool"]),
        ("%x : f32", "%x : f3", "1:15", ["no dtype f3", "f32"]),
        ("[B, 2], ", "[B, -2], ", "1:15", ["size -2 is negative"]),
        ("[B, 2], ", "[B, 2 2], ", "1:15", ["not a size"]),
        ("[dim=1]", "[dim=1, dim=2]", "2:42", ["attribute dim of ingot::softmax is given twice"]),
        ("[dim=1]", "[1]", "2:20", ["an attribute of ingot::softmax has no name"]),
        ("[dim=1]", "[dim=]", "2:39", ["syntax error", "found     ']'", "a number"]),
        ("[dim=1]", '[dim="\\q"]', "2:39", ["not a string"]),
        ("[dim=1]", '[dim="q]', "2:39", ["syntax error"]),
        ("block1", "block2", "6:5", ["numbered from 0", "block1"]),
        (" -> (f32[B, 2]):", " -> (f32[B, 3]):", "8:3", ["expected  (f32[B, 3])", "found     (f32[B, 2])"]),
        (" -> (f32[B, 2]):", " -> ():", "8:3", ["other types"]),
        (', %c : bool', ' %c : bool', "1:25", ["expected  ')' or ',' or '?' or a location such", "found     '%c'"]),
        ("  return", "  $return", "8:3", ["syntax error", "found     '$'"]),
        ("%h : f32[B, 2] =", "%h =", "2:6", ["syntax error", "found     '='", "expected  ':'"]),
        ("@m.py:3:4", "@m.py", "2:47", ["syntax error"]),
        ("@m.py:3:4", "@m.py:9999999999999999999", "2:47", ["number too long"]),
        ('"w": %w', '"w": %w, "w": %w', "8:32", ["state 'w' is updated twice"]),
        ('{%w : f32[2] = "w"}', '{%w : f32[2] = "w", %v : f32[2] = "w"}', "1:77", ["already has state 'w'"]),
        ("graph @f(", "graph @f sizes {B > 1} (", "1:10", ["not the bounds of a size: 'B > 1'"]),
        ("graph @f(", "graph @f sizes {B >= 1, B >= 2} (", "1:10", ["given twice"]),
        ("graph @f(", "graph @f sizes {B in 3..2} (", "1:10", ["empty range"]),
        ("graph @f(", "graph @f sizes {min >= 1} (", "1:10", ["cannot be called 'min'"]),
        ("  %h", "  assume B == \n  %h", "2:3", ["not a size"]),
        ("  %h", "  assume B % 2\n  %h", "2:3", ["not a relation"]),
        ("bool)", "list<bool)", "1:40", ["syntax error", "'>'"]),
        ("bool)", "tuple<bool>)", "1:31", ["no type tuple<...>"]),
        ("bool)", "(" * 99 + "bool" + ",)" * 99 + ")", "1:263", ["more than 64 deep"]),
        ("dim=1", "dim=" + "[" * 99 + "]" * 99, "2:35", ["more than 64 deep"]),
        ("dim=1", "dim=" + "1" * 5000, "2:39", ["a number too long"]),
        ("dim=1", "dim=B*", "2:39", ["not a size"]),
        ("dim=1", "dim=tensor(f32[2], [1])", "2:46", ["1 items", "2 items"]),
        ("dim=1", "dim=tensor(f32[2], base64 \"AA\")", "2:46", ["not base64"]),
        ('"w"}', '"w"} sources {}', "1:63", ["syntax error"]),
    ],
)  # fmt: skip
def test_errors_show_the_place(old, new, place, messages):
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    with pytest.raises(ParseError) as error:
        parse(text, "model.txt")
    shown = str(error.value)
    for message in messages:
        assert message in shown
    line, column = map(int, place.split(":"))
    assert f"at model.txt:{place}\n" in shown
    lines = shown.splitlines()
    above, carets = lines[lines.index(f"  at model.txt:{place}") + 1 :][:2]
    assert above.strip().startswith(text.splitlines()[line - 1].strip()[: column + 50])
    assert above[carets.index("^")] == text.splitlines()[line - 1][column - 1]


def test_the_caret_stands_under_the_culprit():
    with pytest.raises(ParseError) as error:
        parse("graph @f(%x : int) -> (int):\n\t%y : int = ingot::rleu(%x)\n\treturn (%y)")
    assert str(error.value).startswith(
        "unknown op 'ingot::rleu'\n"
        "  at <text>:2:13\n"
        "      %y : int = ingot::rleu(%x)\n"
        "                 ^^^^^^^^^^^\n"
        "  close names: ingot::relu, "
    )


@pytest.mark.parametrize("text", ["", "   \n", "# nothing", "graph @f(", GOOD[:-2], GOOD + "graph", "sources {}"])
def test_incomplete_texts(text):
    with pytest.raises(ParseError, match=r"the text ends too early|syntax error"):
        parse_all(text)


def test_a_source_given_twice():
    with pytest.raises(ParseError, match="given twice"):
        parse(GOOD + 'sources {\n  @m.py:3:4 "a"\n  @m.py:3:4 "b"\n}')


def test_an_error_leaves_no_trace():
    with pytest.raises(ParseError):
        parse(GOOD.replace("(%h)", "(%q)"))
    verify(parse(GOOD))


def test_damaged_texts_raise_nothing_but_parse_errors(rng: np.random.Generator):
    """Texts with pieces cut out, doubled and swapped."""
    chance = random.Random(int(rng.integers(0, 2**63)))
    texts = [GOOD, DESIGN, print_graph(random_graph(rng, 20, any_attributes=True))]
    read = 0
    for _ in range(600):
        text = chance.choice(texts)
        for _ in range(chance.randint(1, 3)):
            i, j = sorted(chance.choices(range(len(text) + 1), k=2))
            piece = text[i : min(j, i + 20)]
            instead = chance.choice([piece * 2, "", piece[::-1], chance.choice('%@"[](){},:=-#0.')])
            text = text[:i] + instead + text[i + len(piece) :]
        try:
            read += bool(parse_all(text))
        except ParseError:
            continue
    assert 0 < read < 500


def test_what_is_ignored_is_looked_at_once():
    """One match takes all blanks and comments, up to the very end: to look again from each of them, as a careless
    expression does when no token follows, would take quadratic time."""
    ignored = " \n\t# a %comment\n" * 1000
    expression = _token_expression(_machine()[0].lexer_conf)
    assert expression.match(ignored).span() == (0, len(ignored))
    assert expression.match(ignored + "$").span() == (0, len(ignored) + 1)
    verify(parse(ignored + GOOD + ignored))


def test_threads_parse_at_the_same_time():
    texts = [GOOD.replace("@f", f"@f{index}") for index in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert [graph.name for graph in pool.map(parse, texts * 8)] == [f"f{index}" for index in range(8)] * 8


def test_lark_is_loaded_only_to_parse():
    from repository import run_python

    code = "import sys, ingot.ir.printer, ingot.ir.parser; assert 'lark' not in sys.modules"
    assert run_python(["-c", code]).returncode == 0, sys.executable
