"""Symbolic sizes: laws on random expressions, then each promise by example."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ingot.ir.errors import ArgumentError, ParseError, ShapeError
from ingot.ir.sizes import (
    COMPARISONS,
    AssumingContext,
    Size,
    SizeContext,
    SizeExpr,
    SizeRelation,
    ask,
    bounds,
    current_context,
    decide,
    equal,
    evaluate,
    exact_div,
    free_vars,
    maximum,
    minimum,
    parse_relation,
    parse_size,
    product,
    solve,
    substitute,
    use_context,
    var,
    variables,
)

# Bounds of every kind: none below zero, positive, narrow, both signs.
RANGES = {"A": (0, None), "B": (1, None), "C": (2, 5), "D": (-3, 4), "E": (None, None)}
VARIABLES = {name: var(name, lo, hi) for name, (lo, hi) in RANGES.items()}
A, B, C, D = (VARIABLES[name] for name in "ABCD")


def test_doctest_values_are_sizes() -> None:
    assert isinstance(A, SizeExpr) and isinstance(A - A, int)


# -- laws on random expressions


@st.composite
def bindings(draw: st.DrawFn) -> dict[str, int]:
    """Values of all variables within their bounds."""
    return {
        name: draw(st.integers(-12 if lo is None else lo, 12 if hi is None else hi))
        for name, (lo, hi) in RANGES.items()
    }


leaves = st.one_of(st.integers(-4, 9), st.sampled_from(sorted(VARIABLES)))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "//", "%", "min", "max"]), inner, inner),
        st.tuples(st.just("neg"), inner),
    ),
    max_leaves=9,
)

APPLY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "neg": lambda a: -a,
}
SYMBOLIC = APPLY | {"min": minimum, "max": maximum}
NUMERIC = APPLY | {"min": min, "max": max}


def build(tree: object, operations: dict, leaf: dict) -> Size:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return leaf[tree]
    op, *operands = tree
    return operations[op](*(build(operand, operations, leaf) for operand in operands))


def size_from(tree: object) -> Size:
    """The tree's size; trees that divide by a constant zero are not sizes."""
    try:
        return build(tree, SYMBOLIC, VARIABLES)
    except ZeroDivisionError:
        assume(False)
        raise


def value_from(tree: object, values: dict[str, int]) -> int:
    try:
        return build(tree, NUMERIC, values)
    except ZeroDivisionError:
        assume(False)
        raise


laws = settings(max_examples=120, deadline=None)


@laws
@given(trees, bindings())
def test_arithmetic_agrees_with_integers(tree: object, values: dict[str, int]) -> None:
    expected = value_from(tree, values)
    assert evaluate(size_from(tree), values) == expected


@laws
@given(trees)
def test_text_is_read_back(tree: object) -> None:
    size = size_from(tree)
    again = parse_size(str(size), VARIABLES)
    assert again == size and type(again) is type(size) and hash(again) == hash(size)
    assert str(again) == str(size)


@laws
@given(trees, bindings())
def test_text_is_python(tree: object, values: dict[str, int]) -> None:
    expected = value_from(tree, values)
    assert eval(str(size_from(tree)), {"min": min, "max": max}, values) == expected


@laws
@given(trees, trees, bindings())
def test_decide_is_never_wrong(left: object, right: object, values: dict[str, int]) -> None:
    a, b = value_from(left, values), value_from(right, values)
    x, y = size_from(left), size_from(right)
    for op, compare in COMPARISONS.items():
        verdict = decide(op, x, y)
        assert verdict is None or verdict == compare(a, b), (op, x, y, values)


@laws
@given(trees, bindings())
def test_bounds_hold(tree: object, values: dict[str, int]) -> None:
    value = value_from(tree, values)
    lo, hi = bounds(size_from(tree))
    assert (lo is None or lo <= value) and (hi is None or value <= hi)


@laws
@given(trees, bindings(), trees)
def test_substitute_agrees_with_evaluate(tree: object, values: dict[str, int], other: object) -> None:
    inner = value_from(other, values)
    expected = value_from(tree, values | {"E": inner})
    try:
        replaced = substitute(size_from(tree), {"E": size_from(other)})
    except ZeroDivisionError:
        assume(False)
        raise
    assert evaluate(replaced, values) == expected
    assert substitute(size_from(tree), values | {"E": inner}) == expected


polynomials = st.recursive(
    leaves, lambda inner: st.tuples(st.sampled_from(["+", "-", "*"]), inner, inner), max_leaves=8
)


@laws
@given(polynomials, polynomials)
def test_equal_polynomials_are_equal_objects(left: object, right: object) -> None:
    """Polynomials are equal when they agree on a grid finer than their degree (Schwartz and Zippel)."""
    x, y = size_from(left), size_from(right)
    points = [{name: (17 * i) ** (k + 1) % 1009 for k, name in enumerate(RANGES)} for i in range(1, 12)]
    same = all(evaluate(x, point) == evaluate(y, point) for point in points)
    assert (x == y) == same
    if same:
        assert hash(x) == hash(y) and str(x) == str(y)


@laws
@given(polynomials, polynomials)
def test_quotients_of_products_are_exact(left: object, right: object) -> None:
    x, y = size_from(left), size_from(right)
    assume(y != 0)
    assert exact_div(x * y, y) == x


@laws
@given(
    st.lists(st.tuples(trees, trees, st.sampled_from(sorted(COMPARISONS))), max_size=4),
    trees,
    trees,
    bindings(),
)
def test_facts_never_mislead(facts: list, left: object, right: object, values: dict[str, int]) -> None:
    """Facts that hold at a point, asked about anything, never contradict that point."""
    context = SizeContext()
    for a, b, op in facts:
        relation = SizeRelation(op, size_from(a), size_from(b))
        holds = COMPARISONS[op](value_from(a, values), value_from(b, values))
        context.add(relation if holds else relation.negated())
    x, y = value_from(left, values), value_from(right, values)
    for op, compare in COMPARISONS.items():
        answer = context.ask(op, size_from(left), size_from(right))
        assert answer is None or answer == compare(x, y)


# -- canonical form and simplification

H, W, T = var("H"), var("W"), var("T", lo=1)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (T * B, "B*T"),
        (2 * B + 1, "2*B + 1"),
        (1 - B, "1 - B"),
        (-B, "-B"),
        (T - B * T, "T - B*T"),
        ((H - 3) // 2 + 1, "(H - 3)//2 + 1"),
        (minimum(4, B), "min(B, 4)"),
        (maximum(B, T, 7), "max(B, T, 7)"),
        (2 * (H // 2), "2*(H//2)"),
        (-(H // 2), "-(H//2)"),
        (1 - H // 2, "1 - H//2"),
        (B * T // 2, "B*T//2"),
        (-H // 2, "-H//2"),
        (H // 2 % 3, "H//2 % 3"),
        (H // (B + 1), "H//(B + 1)"),
        (H % (2 * B), "H % (2*B)"),
        (5 // H, "5//H"),
        (-B % 8, "-B % 8"),
        ((B + 1) * (B - 1), "B*B - 1"),
    ],
)
def test_text(size: Size, text: str) -> None:
    assert str(size) == text
    assert parse_size(text, {"B": B, "T": T, "H": H}) == size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (B - B, 0),
        ((B + T) * (B - T) - B * B + T * T, 0),
        ((6 * H) // 3, 2 * H),
        ((4 * H + 6) // 2, 2 * H + 3),
        ((4 * H + 3) // 2, 2 * H + 1),
        ((2 * H + 3) // 4, (H + 1) // 2),
        (H // 2 // 2, H // 4),
        ((H // 2 - 1) // 2, (H - 2) // 4),
        (H // -2, -H // 2),
        (H // 1, H),
        (H % 1, 0),
        (H % -2, -(-H % 2)),
        ((6 * H) % 3, 0),
        ((4 * H + 5) % 2, 1),
        ((H + 8) % 4, H % 4),
        (H % 4 % 2, H % 2),
        ((H % 4 + H) % 2, 0),
        ((2 * H) % 4, 2 * (H % 2)),
        (C // 6, 0),
        (C % 6, C),
        (T // T, 1),
        (B * T % T, 0),
        ((B * T + B) // B, T + 1),
        ((B * T + 3) // T, B + 3 // T),
        ((B * T + B) // (T + 1), B),
        (0 // T, 0),
        (T % (T + 1), T),
        (T // (T + 1), 0),
        (2 * H // (2 * T), H // T),
        (2 * H % (2 * T), 2 * (H % T)),
        (minimum(B, B + 1), B),
        (maximum(B, 0), B),
        (maximum(B, 1), B),
        (minimum(minimum(B, 8), 4), minimum(B, 4)),
        (minimum(B, T), minimum(T, B)),
        (minimum(B, B), B),
        (minimum(C, 9), C),
        (product([B, 3, T, 2]), 6 * B * T),
        (product([]), 1),
    ],
)
def test_simplifications(size: Size, expected: Size) -> None:
    assert size == expected and type(size) is type(expected)


def test_division_by_what_may_be_zero_is_kept() -> None:
    """`A` may be zero, where the quotient is undefined."""
    assert str(A // A) == "A//A" and str(A * B % A) == "A*B % A"


def test_variables_are_equal_by_name() -> None:
    assert var("B", 1, 8) == var("B") and hash(var("B", 1, 8) * 2) == hash(var("B") * 2)
    assert B != T and B != 1 and {B: "b"}[var("B")] == "b"


def test_numbers_of_other_types() -> None:
    numpy = pytest.importorskip("numpy")
    assert B + numpy.int64(2) == B + 2 and numpy.int64(3) * B == 3 * B
    assert str(B * True + False) == "B"
    with pytest.raises(TypeError):
        B + 1.5  # type: ignore[operator]
    with pytest.raises(TypeError):
        "a" // B  # type: ignore[operator]


@pytest.mark.parametrize("compare", [lambda: B < 1, lambda: B <= H, lambda: B > T, lambda: T >= 2])
def test_order_is_refused_with_the_way_out(compare: object) -> None:
    with pytest.raises(TypeError, match="decide"):
        compare()  # type: ignore[operator]


def test_truth_is_refused() -> None:
    with pytest.raises(TypeError, match="truth"):
        bool(B)


def test_copies() -> None:
    size = (H - 3) // 2 + B * minimum(T, 4)
    assert copy.deepcopy(size) is size and copy.copy(size) is size
    again = pickle.loads(pickle.dumps(size))
    assert again == size and bounds(again) == bounds(size) and again // 3 == size // 3


def test_constants_divide_by_zero_as_integers_do() -> None:
    for operation in (lambda: H // 0, lambda: H % 0, lambda: substitute(5 // H, {"H": 0})):
        with pytest.raises(ZeroDivisionError):
            operation()


@pytest.mark.parametrize("name", ["", "2B", "a b", "min", "B*T", "é"])
def test_names_are_identifiers(name: str) -> None:
    with pytest.raises(ArgumentError, match="cannot be called"):
        var(name)


def test_empty_range() -> None:
    with pytest.raises(ArgumentError, match="empty range"):
        var("B", 3, 2)


def test_growth_is_bounded() -> None:
    with pytest.raises(ShapeError, match="too large"):
        product(var(f"a{i}") + var(f"b{i}") for i in range(40))
    with pytest.raises(ShapeError, match="too large"):
        size: Size = B
        for _ in range(40):
            size = size * size
    with pytest.raises(ShapeError, match="too large"):
        size = H
        for _ in range(80):
            size = size * 3 // 2
    with pytest.raises(ShapeError, match="too large"):
        minimum(*[var(f"a{i}") for i in range(30)])


def test_terms_for_emitters() -> None:
    assert ((H - 3) // 2 * B + 4).terms == ((1, ("(H - 3)//2", "B")), (4, ()))  # type: ignore[union-attr]
    quotient = (H // 2).terms[0][1][0]  # type: ignore[union-attr]
    assert quotient.op == "//" and quotient.args == (H, 2)


# -- bounds and comparison


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (7, (7, 7)),
        (H, (0, None)),
        (-H, (None, 0)),
        (C * C, (4, 25)),
        (C * D, (-15, 20)),
        (C // 2, (1, 2)),
        (H // T, (0, None)),
        (C // T, (0, 5)),
        (H % 8, (0, 7)),
        (C % 8, (2, 5)),
        (H % C, (0, 4)),
        (minimum(H, 4), (0, 4)),
        (maximum(H, 4), (4, None)),
        (H - H // 2, (0, None)),
        (H - 2 * (H // 2), (0, 1)),
        (B * T - B, (0, None)),
        (5 * B - B * C, (0, None)),
        (H - minimum(H, 4), (0, None)),
        (H * 10**400 - H, (0, None)),
    ],
)
def test_bounds(size: Size, expected: tuple[int | None, int | None]) -> None:
    assert bounds(size) == expected


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        (("==", B, B), True),
        (("==", B, T), None),
        (("==", B, 0), False),
        (("!=", B, 0), True),
        (("==", 2 * H, 3), False),
        (("==", 2 * H + 4 * T, 3), False),
        (("<", 0, B), True),
        (("<=", 1, B), True),
        (("<", 1, B), None),
        ((">", B, B + 1), False),
        ((">=", C, 6), False),
        (("==", 2 * (H // 2) + H % 2, H), True),
        (("==", (H - 3) // 2 + 1, (H - 1) // 2), True),
        (("==", ((H - 3) // 2 + 1) * B, (H - 1) // 2 * B), True),
        (("<=", (H + 1) // 2, H), True),
        (("<=", H % 5, H), True),
        (("<=", minimum(B, T), T), True),
        (("<=", minimum(B, T) + minimum(H, W), T + W), True),
        ((">=", maximum(B, T) * H, T * H), True),
        (("<=", B, B * T), True),
        (("<", 3, 4), True),
    ],
)
def test_decide(relation: tuple[str, Size, Size], expected: bool | None) -> None:
    assert decide(*relation) is expected


def test_unknown_comparison() -> None:
    with pytest.raises(ArgumentError, match="no comparison"):
        decide("=", B, T)
    with pytest.raises(ArgumentError, match="no comparison"):
        ask("=", 1, 1)


# -- algebra


def test_variables_and_names() -> None:
    size = B * (C // 2) + minimum(H, D % 3)
    assert free_vars(size) == {"B", "C", "D", "H"} and free_vars(3) == frozenset()
    assert [str(v) for v in variables(size)] == ["B", "C", "D", "H"]
    assert bounds(variables(size)[1]) == (2, 5)


def test_substitute_keeps_what_is_not_named() -> None:
    assert substitute(B * T + 1, {"X": 4}) == B * T + 1
    assert substitute(B * T + 1, {"T": 4}) == 4 * B + 1
    assert substitute(minimum(H, 8), {"H": B + 8}) == 8


def test_evaluate_says_what_is_missing() -> None:
    with pytest.raises(ArgumentError, match="T has no value"):
        evaluate(B * T, {"B": 2})
    with pytest.raises(ShapeError, match="divides by zero"):
        evaluate(B // H, {"B": 2, "H": 0})


def test_exact_div() -> None:
    assert exact_div(B * T * 4, 2 * T) == 2 * B
    assert exact_div(A * B, A) == B  # as polynomials, though A may be zero
    assert exact_div(H, 2) is None and exact_div(B, T) is None and exact_div(B, 0) is None
    assert exact_div(12, 4) == 3 and exact_div(12, 5) is None and exact_div(0, B) == 0
    assert decide("==", exact_div(H - H % 4, 4), H // 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "value", "expected"),
    [
        (B, 7, ("B", 7)),
        (2 * B + 1, 9, ("B", 4)),
        (3 - B, 1, ("B", 2)),
        (2 * B, 7, None),
        (B * T, 6, None),
        (B * B, 9, None),
        (B + T, 6, None),
        (H // 2, 6, None),
        (5, 5, None),
    ],
)
def test_solve(size: Size, value: int, expected: tuple[str, int] | None) -> None:
    assert solve(size, value) == expected


# -- the parser


def test_parser_takes_python_forms() -> None:
    names = {"H": H, "B": B}
    assert parse_size(" ( H-3 )//2+1 ", names) == (H - 3) // 2 + 1
    assert parse_size("--H", names) == H and parse_size("2*-H", names) == -2 * H
    assert parse_size("min(H,max(B,4),9)", names) == minimum(H, maximum(B, 4), 9)
    assert parse_size("7 - 2 - 1", names) == 4 and parse_size("7//2*2", names) == 6
    assert parse_size("-7//2", names) == -4 and parse_size("17 % 5 * 2", names) == 4


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "B +", "+ B", "B B", "B T", "(B", "B)", "()", "min", "min B", "min()", "min(B,)", "min(B",
        "(B, B)", "B, B", "B ** 2", "B / 2", "B.x", "B[0]", "B()", "1.5", "2B", "B == B", "X", "B // 0",
        "B % 0", "é", "٣", "9" * 30, "B; import os",
        "__import__('os')", "B" + "+B" * 1000, "(" * 500 + "B", "B\n\x00",
    ],
)  # fmt: skip
def test_parser_refuses(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_size(text, {"B": B})
    assert len(str(caught.value)) < 400


def test_parser_is_bounded() -> None:
    names = {f"v{i}": var(f"v{i}") for i in range(64)}
    tower = "v0"
    for _ in range(160):
        tower = f"({tower}*3+1)//7"
    factors = "*".join(f"(v{i % 64}+{i})" for i in range(150))
    numbers = "*".join(["9999999999999999999"] * 400) + "*v0"
    wide = "min(" + ",".join(f"v{i % 64}*{i}+v{(i + 1) % 64}" for i in range(100)) + ")"
    for text in (tower, factors, numbers, wide):
        with pytest.raises(ParseError, match=r"too (large|long)"):
            parse_size(text, names)
    nested = "(" * 400 + "v0" + ")" * 400
    assert parse_size(nested, names) == names["v0"]


# -- relations


def test_relation() -> None:
    even = SizeRelation("==", H % 2, 0)
    assert str(even) == "H % 2 == 0" and even.holds({"H": 4}) and not even.holds({"H": 5})
    assert str(even.negated()) == "H % 2 != 0" and even.negated().negated() == even
    assert str(SizeRelation("<", 0, B).flipped()) == "B > 0"
    assert even.free_vars == {"H"}
    for op in COMPARISONS:
        relation = SizeRelation(op, B * T, 4 * H)
        assert parse_relation(str(relation), {"B": B, "T": T, "H": H}) == relation
        for values in ({"B": 4, "T": 3, "H": 3}, {"B": 4, "T": 3, "H": 2}, {"B": 4, "T": 3, "H": 4}):
            assert relation.holds(values) != relation.negated().holds(values)
            assert relation.holds(values) == relation.flipped().holds(values)


@pytest.mark.parametrize("text", ["H", "H == ", "== 0", "H == 0 == 0", "H = 0", "X == 0", "(H == 0)", "H <> 0"])
def test_relation_parser_refuses(text: str) -> None:
    with pytest.raises(ParseError):
        parse_relation(text, {"H": H})


def test_relation_op_is_checked() -> None:
    with pytest.raises(ArgumentError, match="no comparison"):
        SizeRelation("=", H, 0)


# -- contexts


def facts(*texts: str) -> SizeContext:
    names = {"A": A, "B": B, "C": C, "H": H, "T": T, "W": W}
    return SizeContext(parse_relation(text, names) for text in texts)


@pytest.mark.parametrize(
    ("known", "question", "expected"),
    [
        ("", ("==", B, T), None),
        ("T == 2*B", ("==", B * T, 2 * B * B), True),
        ("T == 2*B", ("==", T // 2, B), True),
        ("T == 2*B", ("<=", B, T), True),
        ("B == 8", ("<", B, 9), True),
        ("B == 8", ("==", B * T, 8 * T), True),
        ("B == 8", ("==", B, 9), False),
        ("C == T", ("<=", T, 5), True),
        ("H % 2 == 0", ("==", H % 2, 0), True),
        ("H % 2 == 0", ("==", 2 * (H // 2), H), True),
        ("H % 2 == 0", ("==", H * T % 2, 0), True),
        ("H % 2 == 0", ("!=", H, 5), True),
        ("H % 4 == 3", ("==", (H + 1) // 4 * 4, H + 1), True),
        ("(H + 1) % 2 == 0", ("==", H % 2, 1), True),
        ("B*T % 8 == 0", ("==", 8 * (B * T // 8), B * T), True),
        ("B*H == H", ("==", B * B * H, H), True),
        ("A == A*A//5", ("==", B * (A * A // 5), A * B), True),
        ("B*T == 64", ("==", B * T * H, 64 * H), True),
        ("2*B == 3*T", ("==", 4 * B, 6 * T), True),
        ("2*B == 3*T", ("<=", T, B), True),
        ("B <= T", ("<=", B, T), True),
        ("B <= T", (">", B, T), False),
        ("B <= T", ("<", B, T), None),
        ("B <= T", ("<", B, T + 1), True),
        ("B <= T", ("<=", 2 * B, 2 * T), True),
        ("B < T", ("!=", B, T), True),
        ("B <= T, T <= H", ("<=", B, H), True),
        ("B <= T, B != T", ("<", B, T), True),
        ("B <= T, T <= B", ("==", B, T), True),
        ("B != 1", (">=", B, 2), None),
        ("B != 1", ("==", B, 1), False),
        ("B != 1", ("==", 2 * B, 2), False),
        ("B >= 4", (">", B * T, 3), True),
        ("B >= 4, B % 2 == 0", (">=", B // 2, 2), True),
        ("B % 2 == 0, B >= 4", (">=", B // 2, 2), True),
        ("B > 3, B < 5", ("==", B, 4), True),
        ("B != 4, B >= 4", (">=", B, 5), True),
        ("H//2 == W//2", ("==", B * (H // 2), B * (W // 2)), True),
    ],
)
def test_facts(known: str, question: tuple[str, Size, Size], expected: bool | None) -> None:
    context = facts(*filter(None, known.split(", ")))
    assert context.ask(*question) is expected
    assert context.ask(*question) is expected  # the remembered answer


@pytest.mark.parametrize("known", ["B == 0", "B < T, T < B", "B == 4, B == 5", "H % 2 == 0, H % 2 == 1"])
def test_contradictions_are_refused(known: str) -> None:
    with pytest.raises(ShapeError, match="contradicts"):
        facts(*known.split(", "))


def test_facts_that_make_a_divisor_zero() -> None:
    with pytest.raises(ShapeError):
        facts("A == 0", "H % A == 0")


def test_no_context() -> None:
    assert current_context() is None
    assert equal(3, 3) and equal(3, 4) is False and equal(B, B) and equal(B, T) is None
    assert ask("<=", 1, B) is True and ask("<", 1, B) is None


def test_contexts_nest_and_end() -> None:
    outer, inner = facts("B == T"), SizeContext()
    with use_context(outer):
        assert equal(B, T) is True and current_context() is outer
        with use_context(inner):
            assert equal(B, T) is None
        with use_context(None):
            assert equal(B, T) is None
        assert equal(B, T) is True
    assert equal(B, T) is None


def test_contexts_belong_to_a_thread() -> None:
    seen = []
    with use_context(facts("B == T")):
        thread = threading.Thread(target=lambda: seen.append(equal(B, T)))
        thread.start()
        thread.join()
    assert seen == [None]


def test_exact_div_uses_facts() -> None:
    with use_context(facts("H % 2 == 0")):
        assert exact_div(H * T, 2) == H * T // 2
        assert exact_div(H, 2) == H // 2 and exact_div(H, 4) is None
        assert equal(2 * exact_div(H, 2), H)  # type: ignore[operator]


def test_assuming() -> None:
    assumed: list[SizeRelation] = []
    context = AssumingContext({"B": 8, "H": 28, "W": 28, "T": 2}, assumed.append)
    with use_context(context):
        assert equal(B, 1) is False
        assert equal(1, B) is False  # follows from the first answer
        assert equal(H, W) is True
        assert equal(H * B, W * B) is True
        assert ask("<=", 4, H) is True
        assert equal(H % 2, 0) is True
        assert ask("<=", 0, T) is True  # by bounds: nothing to assume
    assert [str(relation) for relation in assumed] == ["B != 1", "H == W", "H >= 4", "H % 2 == 0"]
    assert context.facts == tuple(assumed)
    assert all(relation.holds(context.hints) for relation in assumed)


def test_assuming_without_a_hint() -> None:
    with use_context(AssumingContext({"B": 8}, lambda relation: pytest.fail(str(relation)))):
        assert equal(B, T) is None and equal(T, 4) is None


def test_assumptions_prove_themselves_later() -> None:
    """What a trace assumed is enough for the verifier to answer the same questions without hints."""
    questions = [
        ("==", B * T % 8, 0),
        ("<=", H, W),
        ("==", (H + 2 * W) % 3, 0),
        ("!=", B, 1),
        ("<", T, 4 * B),
    ]
    assumed: list[SizeRelation] = []
    hints = {"B": 4, "T": 6, "H": 10, "W": 13}
    answers = [
        AssumingContext.ask(context, *q) for context in [AssumingContext(hints, assumed.append)] for q in questions
    ]
    later = SizeContext(assumed)
    assert [later.ask(*question) for question in questions] == answers == [True] * 5


@laws
@given(st.lists(st.tuples(st.sampled_from(sorted(COMPARISONS)), trees, trees), max_size=5), bindings())
def test_assumptions_are_enough(questions: list, hints: dict[str, int]) -> None:
    assumed: list[SizeRelation] = []
    tracing = AssumingContext(hints, assumed.append)
    asked = []
    for op, left, right in questions:
        expected = COMPARISONS[op](value_from(left, hints), value_from(right, hints))
        asked.append((op, size_from(left), size_from(right), expected))
        assert tracing.ask(*asked[-1][:3]) is expected
    assert all(relation.holds(hints) for relation in assumed)
