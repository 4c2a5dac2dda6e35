"""Patterns and the rewrite engine."""

import pytest
from ingot.ir.errors import ArgumentError, IngotError
from ingot.ir.graph import Graph
from ingot.ir.parser import parse
from ingot.ir.registry import all_ops
from ingot.ir.verifier import verify
from ingot.passes import Rewriter, Rule, RuleSet, Why, rule
from ingot.passes.changes import Watch, watched
from ingot.passes.facts import is_commutative
from ingot.passes.patterns import pattern


def rewrite(text: str, *rules: Rule) -> Graph:
    graph = parse(text)
    Rewriter(graph, RuleSet(rules)).run()
    verify(graph)
    return graph


def ops(graph: Graph) -> list[str]:
    return [node.op.short for node in graph.nodes()]


HEAD = "graph @f(%x : f32[4], %y : f32[4], %z : f32[4]) -> (f32[4]):\n"


def test_commutative_calls_match_in_either_order() -> None:
    distribute = rule("distribute", lambda F, x, y, z: x * y + x * z, lambda F, x, y, z: x * (y + z))
    assert len(distribute.patterns) > 4
    for first in ("%x, %y", "%y, %x"):
        for second in ("%x, %z", "%z, %x"):
            graph = rewrite(
                HEAD
                + f"""
                %a : f32[4] = ingot::mul({first})
                %b : f32[4] = ingot::mul({second})
                %c : f32[4] = ingot::add(%b, %a)
                return (%c)""",
                distribute,
            )
            assert ops(graph) == ["add", "mul"]


def test_a_wildcard_that_stands_twice_is_one_value() -> None:
    double = rule("double", lambda F, x: x + x, lambda F, x: x * 2.0)
    text = HEAD + "%a : f32[4] = ingot::add(%x, {}) return (%a)"
    assert ops(rewrite(text.format("%x"), double)) == ["Constant", "mul"]
    assert ops(rewrite(text.format("%y"), double)) == ["add"]


def test_an_attribute_that_is_left_out_has_its_default() -> None:
    plain = rule("plain", lambda F, x: F.leaky_relu(x), lambda F, x: F.relu(x))
    text = HEAD + "%a : f32[4] = ingot::leaky_relu[negative_slope={}](%x) return (%a)"
    assert ops(rewrite(text.format("0.01"), plain)) == ["relu"]
    assert ops(rewrite(text.format("0.02"), plain)) == ["leaky_relu"]


def test_an_attribute_wildcard_holds_any_value_and_the_same_twice() -> None:
    twice = rule(
        "twice",
        lambda F, x, a: F.leaky_relu(F.leaky_relu(x, negative_slope=a), negative_slope=a),
        lambda F, x, a: F.leaky_relu(x, negative_slope=a * a),
    )
    text = (
        HEAD
        + """
    %a : f32[4] = ingot::leaky_relu[negative_slope=0.5](%x)
    %b : f32[4] = ingot::leaky_relu[negative_slope={}](%a)
    return (%b)"""
    )
    graph = rewrite(text.format("0.5"), twice)
    assert [node.attrs["negative_slope"] for node in graph.nodes()] == [0.25]
    assert graph.node_count == 1
    assert rewrite(text.format("0.25"), twice).node_count == 2


def test_a_pattern_can_take_one_of_several_outputs() -> None:
    values = rule("values", lambda F, x, d: F.neg(F.sort(x, dim=d, descending=False)[0]), lambda F, x: F.neg(F.exp(x)))
    text = (
        HEAD
        + """
    %v : f32[4], %i : i64[4] = ingot::sort[dim=0, descending=false](%x)
    %a : f32[4] = ingot::neg(%v)
    return (%a)"""
    )
    assert ops(rewrite(text, values)) == ["exp", "neg"]
    index = text.replace("ingot::neg(%v)", "ingot::cast[dtype=f32](%i)")
    assert ops(rewrite(index, values)) == ["sort", "cast"]


def test_new_nodes_stand_at_the_replaced_nodes_source_and_bear_its_name() -> None:
    square = rule("square", lambda F, x: F.square(x), lambda F, x: x * x)
    graph = rewrite(HEAD + "%a : f32[4] = ingot::square(%x)  @model.py:7:5-7:9 in fc\n return (%a)", square)
    (node,) = graph.nodes()
    assert str(node.location) == "model.py:7:5"
    assert node.path == "fc"
    assert node.output.name == "a"


def test_an_inner_node_that_others_use_stays() -> None:
    double = rule("double negation", lambda F, x: F.neg(F.neg(x)), lambda F, x: x)
    graph = rewrite(
        "graph @f(%x : f32[4]) -> (f32[4], f32[4]):"
        "%a : f32[4] = ingot::neg(%x) %b : f32[4] = ingot::neg(%a) return (%a, %b)",
        double,
    )
    assert ops(graph) == ["neg"]
    assert [value.name for value in graph.outputs] == ["a", "x"]


def test_a_change_makes_rules_match_further_on() -> None:
    lines = "".join(f"%a{i + 1} : f32[4] = ingot::neg(%a{i})\n" for i in range(101))
    graph = rewrite(
        f"graph @f(%a0 : f32[4]) -> (f32[4]):\n{lines} return (%a101)",
        rule("double negation", lambda F, x: F.neg(F.neg(x)), lambda F, x: x),
    )
    assert ops(graph) == ["neg"]


def test_a_rule_three_nodes_deep_is_found_after_a_change_at_its_far_end() -> None:
    deep = rule("deep", lambda F, x: F.exp(F.sin(F.tanh(x))), lambda F, x: F.cos(x))
    flat = rule("flat", lambda F, x: F.relu(x), lambda F, x: F.tanh(x))
    text = (
        HEAD
        + """
    %a : f32[4] = ingot::relu(%x)
    %b : f32[4] = ingot::sin(%a)
    %c : f32[4] = ingot::exp(%b)
    return (%c)"""
    )
    assert ops(rewrite(text, deep, flat)) == ["cos"]


def test_a_rule_that_would_change_the_type_is_refused_and_leaves_no_trace() -> None:
    wide = rule("wide", lambda F, x: F.exp(x), lambda F, x: F.cast(F.sin(F.cos(x)), dtype="f64"))
    text = HEAD + "%a : f32[4] = ingot::exp(%x) return (%a)"
    graph = parse(text)
    why = Why()
    with watched(Watch(refused=why.refused)):
        assert not Rewriter(graph, RuleSet([wide])).run()
    assert graph == parse(text)
    assert list(why.reasons) == [("wide", "f32[4] would become f64[4]")]


def test_a_right_hand_side_that_does_not_fit_is_refused() -> None:
    bad = rule("bad", lambda F, x: F.exp(x), lambda F, x: F.reshape(F.sin(x), shape=(3,)))
    text = HEAD + "%a : f32[4] = ingot::exp(%x) return (%a)"
    assert rewrite(text, bad) == parse(text)


def test_rules_that_do_not_end_are_an_error() -> None:
    there = rule("there", lambda F, x: F.sin(x), lambda F, x: F.cos(x))
    back = rule("back", lambda F, x: F.cos(x), lambda F, x: F.sin(x))
    with pytest.raises(IngotError, match="does not come to an end"):
        rewrite(HEAD + "%a : f32[4] = ingot::sin(%x) return (%a)", there, back)


def test_a_node_that_nobody_uses_is_left_alone() -> None:
    square = rule("square", lambda F, x: F.square(x), lambda F, x: x * x)
    assert ops(rewrite(HEAD + "%a : f32[4] = ingot::square(%x) return (%x)", square)) == ["square"]


def test_rules_see_uniform_arrays_as_numbers() -> None:
    times_two = rule("times two", lambda F, x: x * 2, lambda F, x: x + x)
    text = (
        HEAD + "%t : f32[4] = prim::Constant[value=tensor(f32[4], [{}])]() %a : f32[4] = ingot::mul(%x, %t) return (%a)"
    )
    assert ops(rewrite(text.format("2.0, 2.0, 2.0, 2.0"), times_two)) == ["add"]
    assert ops(rewrite(text.format("2.0, 2.0, 2.0, 1.0"), times_two)) == ["Constant", "mul"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (lambda F, x: x, lambda F, x: x, "does not return the call"),
        (lambda F, x, y: -x, lambda F, x: x, "wildcard y does not occur"),
        (lambda F, x: F.reshape(x, shape=x), lambda F, x: x, "an operand and an attribute"),
        (lambda F, x: F.exp("no"), lambda F, x: x, "cannot be an operand"),
        (lambda F, x: -x, lambda F, x, y: x, "takes 'y'"),
        (lambda F, x: F.expp(x), lambda F, x: x, "unknown op 'expp'"),
        (lambda F, x: F.permute(x), lambda F, x: x, "lacks 'dims'"),
        (lambda F, x: F.exp(x, y=1), lambda F, x: x, "no parameter 'y'"),
    ],
)
def test_what_is_no_rule_is_refused(before: object, after: object, message: str) -> None:
    with pytest.raises(IngotError, match=message):
        rule("wrong", before, after)  # type: ignore[arg-type]


def test_a_pattern_with_too_many_orders_is_refused() -> None:
    with pytest.raises(ArgumentError, match="orders of operands"):
        pattern(lambda F, a: ((a * 1 + a) * (a * 2 + a)) + ((a * 3 + a) * (a * 4 + a)))


def test_commutative_follows_from_the_scalar_body() -> None:
    found = {op.short for op in all_ops() if is_commutative(op) and op.name.startswith("ingot::")}
    assert found == {
        "add", "mul", "eq", "ne",
        "bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_or", "logical_xor",
    }  # fmt: skip
