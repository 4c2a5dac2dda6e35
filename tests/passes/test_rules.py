"""Every rewrite rule: both sides, executed on special values, give the same bits; and it refuses what it must."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from golden import assert_close
from ingot.ir.builder import Builder
from ingot.ir.dtypes import DType, by_short
from ingot.ir.graph import Graph
from ingot.ir.graph_algebra import GraphAlgebra
from ingot.ir.interpreter import interpret
from ingot.ir.ops.prims import constant_type
from ingot.ir.verifier import verify
from ingot.passes.rewrite import Rewriter, Rule, RuleSet
from ingot.passes.rules import ALL_RULES, EXACT_RULES, INFERENCE_RULES
from special_values import special_values

FLOATS = ("f16", "bf16", "f32", "f64")
INTS = ("u8", "i8", "i16", "i32", "i64")
NUMBERS = FLOATS + INTS
ALL = (*NUMBERS, "bool")


@dataclass(frozen=True)
class Values:
    """Special values of a dtype as an operand.

    `axis` 0 makes a column of them and 1 a row, so that two operands meet in all pairs. With `shape` they are as many
    as that asks for.
    """

    dtype: str
    axis: int | None = None
    shape: tuple[int, ...] | None = None
    state: bool = False
    positive: bool = False

    def array(self) -> np.ndarray:
        values = special_values(by_short[self.dtype])
        if self.positive:
            values = values[np.isfinite(values) & (values > 0.01) & (values < 100)]
        if self.shape is not None:
            return np.resize(values, self.shape)
        return values if self.axis is None else values.reshape((-1, 1) if self.axis == 0 else (1, -1))


@dataclass(frozen=True)
class Sample:
    """What to put for a rule's wildcards: `Values`, numbers and arrays as constants, anything else as attributes."""

    wildcards: dict[str, Any]
    applies: bool = True


@dataclass
class Samples:
    """The samples of all rules."""

    by_rule: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, rule: str, *wildcards: dict[str, Any], refuses: tuple[dict[str, Any], ...] = ()) -> None:
        samples = [Sample(w) for w in wildcards] + [Sample(w, applies=False) for w in refuses]
        self.by_rule.setdefault(rule, []).extend(samples)


SAMPLES = Samples()
add = SAMPLES.add


def each(dtypes: tuple[str, ...], **others: Any) -> Iterator[dict[str, Any]]:
    return ({"x": Values(d), **others} for d in dtypes)


def pairs(dtypes: tuple[str, ...], x: str = "x", y: str = "y", **others: Any) -> Iterator[dict[str, Any]]:
    return ({x: Values(d, 0), y: Values(d, 1), **others} for d in dtypes)


add("times one", *each(NUMBERS), refuses=tuple(each(("bool",))))
add("divided by one", *each(FLOATS), refuses=tuple(each((*INTS, "bool"))))
add("minus zero", *each(NUMBERS))
add("plus negative zero", *each(FLOATS), refuses=tuple(each(INTS)))
add("plus zero", *each(INTS), refuses=tuple(each((*FLOATS, "bool"))))
add("double negation", *each(NUMBERS))
mixed = {"x": Values("i32", 0), "y": Values("u8", 1)}
add("plus a negation", *pairs(NUMBERS), {"x": Values("f64", 0), "y": Values("f32", 1)}, refuses=(mixed,))
add("minus a negation", *pairs(NUMBERS), {"x": Values("f64", 0), "y": Values("f16", 1)}, refuses=(mixed,))
add("product of negations", *pairs(NUMBERS), refuses=(mixed, {"x": Values("f32", 0), "y": Values("i32", 1)}))
add("quotient of negations", *pairs(FLOATS), refuses=tuple(pairs(INTS)))
add("absolute value twice", *each(NUMBERS))
add("absolute value of a negation", *each((*FLOATS, *INTS[1:])), refuses=tuple(each(("u8",))))
add("relu twice", *each(NUMBERS))
add(
    "divided by a power of two",
    *each(FLOATS, c=2.0), *each(FLOATS, c=-0.125), *each(FLOATS, c=1024), *each(FLOATS, c=np.array(0.5, np.float32)),
    *each(("f32", "f64"), c=2.0**100), *each(("f32", "f64"), c=2.0**-100), *each(("i64", "u8"), c=8),
    refuses=(
        *each(FLOATS, c=3.0), *each(FLOATS, c=0.0), *each(FLOATS, c=float("inf")), *each(FLOATS, c=float("nan")),
        *each(("f16",), c=2.0**20), *each(("f32",), c=2.0**-130), *each(("f32",), c=2.0**127),
        {"x": Values("f32", 0), "c": Values("f32", 1)},
    ),
)  # fmt: skip

vectors = {"x": Values("f32", None, (4,)), "y": Values("f32", None, (4,))}
add(
    "where true",
    vectors,
    refuses=({"x": Values("f32", 0), "y": Values("f32", 1)}, {**vectors, "y": Values("f64", None, (4,))}),
)
add("where false", vectors, refuses=({**vectors, "x": Values("f64", None, (4,))},))
add("where with equal branches", {"c": Values("bool", None, (3, 2)), "x": Values("f16", None, (3, 2))})
add("where with equal branches", refuses=({"c": Values("bool", 0), "x": Values("f16", 1)},))
three = {"c": Values("bool", None, (2, 1)), "x": Values("f32", 1), "y": Values("f32", None, (2, 1))}
add("where not", three, refuses=({**three, "c": Values("f32", None, (2, 1))},))
add("where complement", three)
add(
    "where the same condition inside",
    {**three, "z": Values("f32", 1)},
    {**three, "z": Values("f16", 1)},
    refuses=({**three, "x": Values("f16", 1), "y": Values("f16", 1), "z": Values("f32", 1)},),
)
add("not twice", *each(("bool",)), refuses=tuple(each(NUMBERS)))
add("complement twice", *each((*INTS, "bool")))
for name in ("not equal", "not unequal", "complement of equal", "complement of unequal"):
    add(name, *pairs(ALL), {"x": Values("f32", 0), "y": Values("i64", 1)}, {"x": Values("f32"), "y": 0.5})


def dtype(short: str) -> DType:
    return by_short[short]


add(
    "cast to the same dtype",
    *({"x": Values(d), "a": dtype(d)} for d in ALL),
    refuses=({"x": Values("f32"), "a": dtype("f64")},),
)
WIDER = [("f16", "f32"), ("bf16", "f32"), ("f32", "f64"), ("u8", "i16"), ("i8", "i64"), ("u8", "f16"), ("i16", "f32")]
WIDER += [("i32", "f64"), *((d, d) for d in ALL), *(("bool", d) for d in NUMBERS)]
LOSSLESS = [(x, a, b) for x, a in WIDER for b in ALL if not (dtype(x).kind == "float" and dtype(b).kind == "int")]
LOSSY = [
    ("f32", "f16", "f32"),
    ("f32", "bf16", "f64"),
    ("i64", "i32", "i64"),
    ("i64", "f32", "f64"),
    ("i64", "f64", "i64"),
]
LOSSY += [
    ("f16", "bf16", "f32"),
    ("u8", "i8", "i16"),
    ("i8", "u8", "i16"),
    ("f32", "f64", "i32"),
    ("i32", "bool", "i32"),
]
add(
    "cast of a cast",
    *({"x": Values(x), "a": dtype(a), "b": dtype(b)} for x, a, b in LOSSLESS),
    refuses=tuple({"x": Values(x), "a": dtype(a), "b": dtype(b)} for x, a, b in LOSSY),
)
add("clone", *each(ALL))
add("detach", *each(ALL))

box = Values("f32", None, (2, 1, 3))
square = Values("f32", None, (3, 3))
add("reshape to the same sizes", {"x": box, "a": (2, 1, -1)}, refuses=({"x": box, "a": (2, 3)},))
add("reshape of a reshape", {"x": box, "a": (3, 2), "b": (-1, 1)}, {"x": box, "a": (6,), "b": (2, 1, 3)})
add("reshape of an unsqueeze", {"x": box, "dim": -1, "b": (6, -1)})
add("reshape of a squeeze", {"x": box, "dims": None, "b": (6,)}, {"x": box, "dims": (1,), "b": (1, 6)})
add(
    "squeeze of an unsqueeze",
    {"x": box, "dim": 0, "dims": (0,)},
    {"x": box, "dim": -1, "dims": (3,)},
    refuses=(
        {"x": box, "dim": 0, "dims": (2,)},
        {"x": box, "dim": 0, "dims": None},
        {"x": box, "dim": 1, "dims": (2,)},
    ),
)
add("squeeze of nothing", {"x": box, "dims": (0, 2)}, {"x": square, "dims": None}, refuses=({"x": box, "dims": None},))
add(
    "permute to the same order",
    {"x": box, "dims": (0, -2, 2)},
    refuses=({"x": square, "dims": (1, 0)}, {"x": box, "dims": (2, 1, 0)}),
)
add("permute of a permute", {"x": box, "a": (1, 2, 0), "b": (-1, 0, 1)}, {"x": box, "a": (2, 0, 1), "b": (2, 0, -2)})
add("expand to the same sizes", {"x": box, "size": (-1, 1, 3)}, refuses=({"x": box, "size": (2, 4, 3)},))
add(
    "expand of an expand",
    {"x": box, "a": (2, 4, 3), "b": (5, -1, -1, 3)},
    {"x": box, "a": (1, 2, 1, 3), "b": (2, 2, 2, -1)},
)
whole = {"x": box, "dim": 2, "start": 0, "end": None, "step": 1}
add(
    "slice of the whole",
    whole, {**whole, "end": 9}, {**whole, "start": -3}, {**whole, "dim": 1, "step": 2},
    refuses=({**whole, "start": 1}, {**whole, "step": 2}, {**whole, "end": -1}),
)  # fmt: skip
add("flip back", {"x": box, "dims": (0, 2)}, {"x": square, "dims": (0,)})
padded = {"x": box, "amounts": (0, 0, 0, 0), "mode": "constant", "value": 1.0}
add("pad by nothing", padded, refuses=({**padded, "amounts": (1, -1)}, {**padded, "amounts": (0, 1)}))
add("cat of one", {"x": box, "dim": 1})

vector = {n: Values("f32", None, (3,), state=True, positive=True) for n in ("mean", "var", "gamma", "beta", "b")}
conv = {
    "x": Values("f32", None, (2, 2, 5, 5), positive=True),
    "w": Values("f32", None, (3, 2, 3, 3), state=True, positive=True),
    "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, "eps": 1e-5, **vector,
}  # fmt: skip
linear = {
    "x": Values("f32", None, (2, 4), positive=True),
    "w": Values("f32", None, (3, 4), state=True, positive=True),
    "eps": 1e-5,
    **vector,
}
half = {n: Values("f16", v.shape and None, v.shape, v.state, v.positive) for n, v in linear.items() if n != "eps"}
grouped = {
    **conv, "groups": 2, "stride": (2, 1),
    "x": Values("f32", None, (1, 4, 5, 5), positive=True),
    "w": Values("f32", None, (4, 2, 3, 3), state=True, positive=True),
    **{n: Values("f32", None, (4,), state=True, positive=True) for n in vector},
}  # fmt: skip
add(
    "batch norm behind conv2d",
    conv, {**conv, "b": None}, {**conv, "gamma": None}, {**conv, "beta": None, "b": None}, grouped,
    refuses=({**conv, "w": Values("f32", None, (3, 2, 3, 3), positive=True)},),
)  # fmt: skip
add(
    "batch norm behind linear",
    linear, {**linear, "gamma": None, "beta": None}, {**half, "eps": 1e-3},
    refuses=(
        {**linear, "var": Values("f32", None, (3,), positive=True)},
        {**linear, "x": Values("f32", None, (2, 3, 4), positive=True)},
    ),
)  # fmt: skip


def build(side: Callable[..., Any], names: list[str], sample: Sample) -> tuple[Graph, list[np.ndarray], dict[str, Any]]:
    """A graph of one side of a rule, with inputs and state for the sample's operands."""
    graph = Graph("rule")
    F = GraphAlgebra(Builder(graph))
    inputs: list[np.ndarray] = []
    state: dict[str, Any] = {}
    operands = {}
    for name in names:
        value = operands[name] = sample.wildcards[name]
        if isinstance(value, Values):
            array = value.array()
            if value.state:
                state[name] = array
                operands[name] = F.proxy(graph.add_state(name, constant_type(array)))
            else:
                inputs.append(array)
                operands[name] = F.proxy(graph.add_input(name, constant_type(array)))
    result = side(F, *(operands[name] for name in names))
    graph.set_return([F.value(result)])
    return graph, inputs, state


def wildcards(rule: Rule) -> list[str]:
    return list(rule.before.__code__.co_varnames[1 : rule.before.__code__.co_argcount])


CASES = [
    pytest.param(rule, sample, id=f"{rule.name.replace(' ', '_')}-{number}")
    for rule in ALL_RULES
    for number, sample in enumerate(SAMPLES.by_rule.get(rule.name, ()))
]


@pytest.mark.parametrize(("rule", "sample"), CASES)
def test_both_sides_give_the_same(rule: Rule, sample: Sample) -> None:
    graph, inputs, state = build(rule.before, wildcards(rule), sample)
    verify(graph)
    changed = graph.copy()
    applied = Rewriter(changed, RuleSet([rule])).run()
    verify(changed)
    assert applied == sample.applies
    outputs, _ = interpret(graph, inputs, state)
    found, _ = interpret(changed, inputs, state)
    exact = rule in EXACT_RULES or rule in INFERENCE_RULES
    tolerance = 0.0 if exact else 5e-3 if outputs[0].dtype == np.float16 else 1e-5
    assert_close(outputs[0], found[0], tolerance)


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name.replace(" ", "_"))
def test_every_rule_has_a_sample_where_it_applies(rule: Rule) -> None:
    assert any(sample.applies for sample in SAMPLES.by_rule.get(rule.name, ()))


def test_names_are_unique_and_samples_have_rules() -> None:
    names = [rule.name for rule in ALL_RULES]
    assert len(set(names)) == len(names)
    assert set(SAMPLES.by_rule) == set(names)
