"""The node list: every line of its promise about iteration, links, order labels."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from ingot.ir import node_list
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.errors import ArgumentError
from ingot.ir.graph import Graph, InsertionPoint, Node
from ingot.ir.types import TensorType

TYPE = TensorType(float32, (2,))


class Line:
    """A block of independent nodes called a, b, c, ..."""

    def __init__(self, names: str) -> None:
        self.graph = Graph()
        self.x = self.graph.add_input("x", TYPE)
        self.nodes = self.graph.block.nodes
        self.of: dict[str, Node] = {name: self.add(name) for name in names}

    def add(self, name: str, at: InsertionPoint | None = None) -> Node:
        return Builder(self.graph, at).emit("relu", [self.x], names=[name])

    def before(self, other: str, name: str) -> None:
        self.of[name] = self.add(name, InsertionPoint.before(self.of[other]))

    def after(self, other: str, name: str) -> None:
        self.of[name] = self.add(name, InsertionPoint.after(self.of[other]))

    def erase(self, name: str) -> None:
        self.of[name].erase()

    def move(self, name: str, before: str) -> None:
        self.of[name].move_before(self.of[before])

    def walk(self, at: str, change: Callable[[], object], backwards: bool = False) -> str:
        """What an iteration returns when `change` is made on reaching node `at` for the first time."""
        seen = ""
        for node in reversed(self.nodes) if backwards else self.nodes:
            name = node.output.name
            if name == at and at not in seen:
                change()
            seen += name
            assert len(seen) < 50
        return seen

    def __str__(self) -> str:
        forward = [node.output.name for node in self.nodes]
        assert forward == [node.output.name for node in reversed(self.nodes)][::-1]
        labels = [node.order for node in self.nodes]
        assert all(p < q for p, q in pairwise(labels))
        assert len(self.nodes) == len(forward)
        return "".join(forward)


def test_1_nodes_that_stay_are_returned_once_in_order():
    line = Line("abcd")
    assert line.walk("b", lambda: None) == "abcd"
    assert line.walk("b", lambda: line.erase("a")) == "abcd"
    assert str(line) == "bcd"


def test_2_a_node_added_behind_is_returned_and_one_in_front_is_not():
    line = Line("abc")
    assert line.walk("b", lambda: line.after("b", "p")) == "abpc"
    assert line.walk("b", lambda: line.after("c", "q")) == "abpcq"
    assert line.walk("b", lambda: line.before("b", "r")) == "abpcq"
    assert str(line) == "arbpcq"


def test_3_nodes_appended_during_the_last_one_are_returned():
    line = Line("ab")
    assert line.walk("b", lambda: line.add("c")) == "abc"


def test_4_a_node_erased_before_its_turn_is_not_returned():
    line = Line("abcd")
    assert line.walk("b", lambda: (line.erase("c"), line.erase("d"))) == "ab"


def test_5_an_iteration_goes_on_behind_the_node_that_was_erased():
    line = Line("abc")
    assert line.walk("b", lambda: line.erase("b")) == "abc"
    assert str(line) == "ac"


def test_5_replacements_in_front_are_not_returned_and_those_behind_are():
    line = Line("abc")

    def replace() -> None:
        line.before("b", "p")
        line.after("b", "q")
        line.erase("b")

    assert line.walk("b", replace) == "abqc"
    assert str(line) == "apqc"


@pytest.mark.parametrize("doomed", ["ab", "ba", "abc", "cba", "abcd", "bacd"])
def test_5_any_number_of_nodes_around_may_be_erased_with_it(doomed):
    line = Line("abcde")
    seen = line.walk("b", lambda: [line.erase(name) for name in doomed])
    assert seen == "ab" + "".join(name for name in "cde" if name not in doomed)


def test_5_every_node_may_be_erased_as_it_comes():
    line = Line("abcdef")
    for node in line.nodes:
        node.erase()
    assert str(line) == ""
    line = Line("abcdef")
    for node in reversed(line.nodes):
        node.erase()
    assert str(line) == ""


def test_6_a_node_moved_ahead_is_returned_again_and_one_moved_back_is_not():
    line = Line("abcd")
    assert line.walk("b", lambda: line.move("a", before="d")) == "abcad"
    line = Line("abcd")
    assert line.walk("b", lambda: line.move("d", before="a")) == "abc"


def test_6_the_iteration_does_not_move_with_the_node():
    line = Line("abcd")
    assert line.walk("b", lambda: line.move("b", before="d")) == "abcbd"
    line = Line("abcd")
    assert line.walk("c", lambda: line.move("c", before="a")) == "abcd"
    assert str(line) == "cabd"


def test_7_backwards_the_same_holds_mirrored():
    line = Line("abcd")
    assert line.walk("c", lambda: None, backwards=True) == "dcba"
    assert line.walk("c", lambda: line.before("c", "p"), backwards=True) == "dcpba"
    assert line.walk("c", lambda: line.after("c", "q"), backwards=True) == "dcpba"
    assert line.walk("a", lambda: line.before("a", "r"), backwards=True) == "dqcpbar"
    assert line.walk("c", lambda: line.erase("c"), backwards=True) == "dqcpbar"
    assert line.walk("b", lambda: (line.erase("a"), line.erase("b")), backwards=True) == "dqpbr"
    assert line.walk("q", lambda: line.move("d", before="p"), backwards=True) == "dqpdr"
    assert line.walk("q", lambda: line.move("q", before="r"), backwards=True) == "qpdrq"
    assert str(line) == "qrdp"


def test_8_iterations_do_not_disturb_each_other():
    line = Line("abcd")
    outer = iter(line.nodes)
    assert next(outer).output.name == "a"
    assert next(outer).output.name == "b"
    for node in line.nodes:
        if node.output.name == "b":
            break
    inner = [(p.output.name, q.output.name) for p in line.nodes for q in reversed(line.nodes)]
    assert len(inner) == 16
    line.erase("b")
    assert [node.output.name for node in outer] == ["c", "d"]


def test_8_an_iteration_given_up_leaves_nothing_behind():
    line = Line("abcd")
    for node in line.nodes:
        if node is line.of["b"]:
            break
    abandoned = iter(line.nodes)
    next(abandoned)
    assert len(line.nodes._cursors) == 1
    del abandoned
    assert line.nodes._cursors == []


def test_membership_and_ends():
    line = Line("abc")
    assert line.of["b"] in line.nodes and line.nodes.first is line.of["a"] and line.nodes.last is line.of["c"]
    line.erase("b")
    assert line.of["b"] not in line.nodes and "b" not in line.nodes
    assert line.of["a"].next is line.of["c"] and line.of["c"].previous is line.of["a"]
    assert line.graph.set_return([line.x]) not in line.nodes


def test_is_before():
    line = Line("abc")
    a, b, c = (line.of[name] for name in "abc")
    assert a.is_before(b) and b.is_before(c) and not c.is_before(a) and not a.is_before(a)
    terminator = line.graph.set_return([])
    assert c.is_before(terminator) and not terminator.is_before(c)
    other = Line("z").of["z"]
    with pytest.raises(ArgumentError, match="one block"):
        a.is_before(other)
    line.erase("a")
    with pytest.raises(ArgumentError, match="one block"):
        a.is_before(b)


@pytest.mark.parametrize("spot", ["before the last", "behind the first", "at the start", "alternating"])
def test_labels_hold_out_when_nodes_crowd_at_one_spot(spot):
    line = Line("az")
    count = 3000
    for index in range(count):
        if spot == "at the start":
            point = InsertionPoint.start(line.graph.block)
        elif spot == "behind the first" or (spot == "alternating" and index % 2):
            point = InsertionPoint.after(line.of["a"])
        else:
            point = InsertionPoint.before(line.of["z"])
        line.add("n", point)
    labels = [node.order for node in line.nodes]
    assert len(labels) == count + 2
    assert all(p < q for p, q in pairwise(labels))


def test_relabelling_is_cheap_even_when_all_nodes_crowd_at_one_spot(monkeypatch):
    """Counts labels instead of seconds: the logarithm of 4,000 is 12."""
    writes = 0

    def spread(node: Node, original: Callable[[Node], None] = node_list._spread) -> None:
        nonlocal writes
        before = {id(n): n.order for n in node.block.nodes}
        original(node)
        writes += sum(before[id(n)] != n.order for n in node.block.nodes)

    monkeypatch.setattr(node_list, "_spread", spread)
    line = Line("az")
    count = 4000
    for _ in range(count):
        line.add("n", InsertionPoint.before(line.of["z"]))
    assert 0 < writes < 12 * count


def test_random_changes_against_a_python_list(rng: np.random.Generator):
    line = Line("")
    model: list[Node] = []
    for step in range(3000):
        choice = rng.random()
        if choice < 0.5 or len(model) < 3:
            index = int(rng.integers(0, len(model) + 1))
            point = InsertionPoint.before(model[index]) if index < len(model) else InsertionPoint.end(line.graph.block)
            model.insert(index, line.add(f"n{step}", point))
        elif choice < 0.7:
            model.pop(int(rng.integers(0, len(model)))).erase()
        else:
            node = model.pop(int(rng.integers(0, len(model))))
            index = int(rng.integers(0, len(model)))
            node.move_before(model[index])
            model.insert(index, node)
    str(line)
    assert list(line.nodes) == model
    for _ in range(200):
        i, j = (int(k) for k in rng.integers(0, len(model), 2))
        assert model[i].is_before(model[j]) == (i < j)
