"""The C of every nest, scatter, scan and sort agrees with its eager kernel and with its definition."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from c_files import load_together, needs_c
from ingot.backends import c
from ingot.ir import families
from ingot.ir.algebra import type_of
from ingot.ir.arrays import quiet
from ingot.ir.dtypes import DType, by_short, float32, int64
from ingot.ir.errors import DTypeError, IndexOutOfRange, ShapeError
from ingot.ir.registry import Op, lookup, unregister
from ingot.ir.sizes import var
from ingot.ir.types import TensorType, Type
from loop_calls import Call, calls_of, check_call, printable_ops
from special_values import special_values, worst_difference

pytestmark = needs_c

OPS = [op for op in printable_ops() if op.kind != "elementwise"]
REDUCTIONS = ("sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin", "max_dim", "min_dim")
LINES = ("cumsum", "cumprod", "sort")


def results(found: Any) -> tuple[np.ndarray, ...]:
    return found if isinstance(found, tuple) else (found,)


# -- the shared sample calls: some dtypes always, the others in the complete sweep

FEW = tuple(by_short[short] for short in ("f32", "bf16", "i32", "bool"))
OTHERS = tuple(dtype for dtype in by_short.values() if dtype not in FEW)


@cache
def library(dtypes: tuple[DType, ...]) -> dict[str, list[Call]]:
    return calls_of(OPS, dtypes, c.emit_op, load_together)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_samples(op: Op) -> None:
    for call in library(FEW)[op.short]:
        check_call(call)


@pytest.mark.conformance
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_samples_of_the_other_dtypes(op: Op) -> None:
    for call in library(OTHERS)[op.short]:
        check_call(call)


# -- special values


def cases() -> Iterator[tuple[Op, DType, dict[str, Any]]]:
    for name in REDUCTIONS + LINES:
        op = lookup(name)
        dim: Any = (1,) if "dim: int[]" in op.schema.text else 1
        for dtype in by_short.values():
            for given in [{"dim": dim}] + ([{"dim": 1, "descending": True}] if name == "sort" else []):
                attrs = op.schema.check_attrs(given)
                try:
                    op.infer([TensorType(dtype, (2, 2))], attrs)
                except DTypeError:
                    continue
                yield op, dtype, attrs


def rows_of(dtype: DType) -> np.ndarray:
    """Special values in many orders, the first rows without NaN and infinities."""
    rng = np.random.default_rng(3)
    values = special_values(dtype)
    rows = np.stack([rng.permutation(values)[:8] if len(values) > 8 else rng.choice(values, 8) for _ in range(40)])
    if dtype.kind == "float":
        rows[:20] = np.where(np.isfinite(rows[:20].astype(np.float64)), rows[:20], np.ones((), dtype.np))
    return rows


@cache
def special_library() -> dict[str, list[tuple[DType, dict[str, Any], c.LoadedOp]]]:
    entries = list(cases())
    sources = []
    for i, (op, dtype, attrs) in enumerate(entries):
        type_ = TensorType(dtype, rows_of(dtype).shape)
        sources.append(c.emit_op(op, [type_], attrs, name=f"{op.short}_{i}"))
    found: dict[str, list[tuple[DType, dict[str, Any], c.LoadedOp]]] = {}
    for (op, dtype, attrs), function in zip(entries, load_together(sources), strict=True):
        found.setdefault(op.short, []).append((dtype, attrs, function))
    return found


@pytest.mark.parametrize("name", REDUCTIONS + LINES)
def test_special_values(name: str) -> None:
    op = lookup(name)
    for dtype, attrs, function in special_library()[name]:
        rows = rows_of(dtype)
        if name in ("sum", "prod", "cumprod") and dtype.kind == "float":
            # Whether a sum overflows on its way depends on its order; that of ordinary numbers does not.
            rows = np.where(np.abs(rows.astype(np.float64)) < 1e4, rows, np.ones((), dtype.np))
        kernel = quiet(op.kernel)
        for got, want in zip(results(function(rows)), results(kernel(rows, **attrs)), strict=True):
            exact = name not in ("sum", "prod")
            found = worst_difference(got, want, 0 if exact else 4, 0 if exact else 2000, equal_zeros=True)
            assert found is None, f"{dtype.name} {attrs}: {found}"


# -- sizes that are known at run time only


def T(short: str, *sizes: Any) -> TensorType:
    return TensorType(by_short[short], sizes)


B, H, N = var("B"), var("H", lo=3), var("N")
SYMBOLIC: list[tuple[str, tuple[Type, ...], dict[str, Any], list[tuple[tuple[int, ...], ...]]]] = [
    ("matmul", (T("f32", B, N), T("f32", N, 3)), {}, [((2, 4), (4, 3)), ((0, 4), (4, 3)), ((2, 0), (0, 3))]),
    ("sum", (T("f32", B, N),), {"dim": (0,)}, [((4, 3),), ((0, 3),), ((3, 0),)]),
    ("reshape", (T("f32", B, 2, N),), {"shape": (B * N, 2)}, [((3, 2, 4),), ((0, 2, 4),), ((1, 2, 1),)]),
    ("permute", (T("f32", B, H, N),), {"dims": (2, 0, 1)}, [((2, 3, 4),)]),
    ("cat", (T("f32", B, 2), T("f32", N, 2)), {"dim": 0}, [((3, 2), (4, 2)), ((0, 2), (4, 2)), ((3, 2), (0, 2))]),
    (
        "convolution2d",
        (T("f32", B, 2, H, H), T("f32", 3, 2, 3, 3)),
        {"padding": (1, 1), "stride": (2, 2)},
        [((2, 2, 7, 7), (3, 2, 3, 3)), ((1, 2, 3, 3), (3, 2, 3, 3)), ((0, 2, 4, 4), (3, 2, 3, 3))],
    ),
    ("flip", (T("f32", B, N),), {"dims": (1,)}, [((2, 5),), ((2, 0),)]),
    ("cumsum", (T("f32", B, N),), {"dim": 0}, [((4, 3),), ((0, 3),)]),
    ("sort", (T("f32", B, N),), {"dim": 1}, [((4, 9),), ((2, 0),), ((2, 1),)]),
    ("amax", (T("f32", B, N),), {"dim": (1,)}, [((4, 3),), ((0, 3),)]),
]


@pytest.mark.parametrize(("name", "types", "given", "shapes"), SYMBOLIC, ids=[entry[0] for entry in SYMBOLIC])
def test_symbolic_sizes(name: str, types: Any, given: Any, shapes: Any, rng: np.random.Generator) -> None:
    op = lookup(name)
    attrs = op.schema.check_attrs(given)
    function = c.load_op(op, types, attrs)
    for sizes in shapes:
        arrays = [rng.standard_normal(shape).astype(np.float32) for shape in sizes]
        concrete = dict(attrs, shape=(-1, 2)) if name == "reshape" and arrays[0].size else attrs
        if name == "reshape" and not arrays[0].size:
            concrete = dict(attrs, shape=(0, 2))
        for got, want in zip(results(function(*arrays)), results(op.kernel(*arrays, **concrete)), strict=True):
            assert worst_difference(got, want, 4, 16) is None, sizes


def test_sizes_that_do_not_fit_are_refused() -> None:
    function = c.load_op(lookup("matmul"), (T("f32", B, N), T("f32", N, 3)), {})
    with pytest.raises(ShapeError, match=r"size of operand 1(.|\n)*N == 4(.|\n)*found\s+5"):
        function(np.zeros((2, 4), np.float32), np.zeros((5, 3), np.float32))
    with pytest.raises(ShapeError, match="operand 0 has 3 dimensions"):
        function(np.zeros((2, 4, 1), np.float32), np.zeros((5, 3), np.float32))


def test_a_maximum_over_nothing_has_no_value() -> None:
    op = lookup("amax")
    function = c.load_op(op, (T("f32", B, N),), op.schema.check_attrs({"dim": (1,)}))
    with pytest.raises(ShapeError, match="no elements"):
        function(np.zeros((2, 0), np.float32))


# -- indices out of range

OUT_OF_RANGE: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("gather", [np.ones((3, 4), np.float32), np.array([[0, 4]])], {"dim": 1}),
    ("gather", [np.ones((3, 4), np.float32), np.array([[0, -1]])], {"dim": 1}),
    ("index_select", [np.ones((3, 4), np.float32), np.array([3])], {"dim": 0}),
    ("embedding", [np.array([-1]), np.ones((3, 4), np.float32)], {}),
    ("scatter", [np.ones(3, np.float32), np.array([3]), np.ones(1, np.float32)], {"dim": 0}),
    ("scatter_add", [np.ones(3, np.float32), np.array([-(2**63)]), np.ones(1, np.float32)], {"dim": 0}),
    ("one_hot", [np.array([0, 5])], {"num_classes": 5}),
]


@pytest.mark.parametrize(("name", "operands", "given"), OUT_OF_RANGE, ids=[entry[0] for entry in OUT_OF_RANGE])
def test_an_index_out_of_range_is_an_error(name: str, operands: Any, given: Any) -> None:
    op = lookup(name)
    function = c.load_op(op, [type_of(x) for x in operands], op.schema.check_attrs(given))
    with pytest.raises(IndexOutOfRange):
        function(*operands)


# -- what a nest of the user's own may do


@pytest.fixture
def declared() -> Iterator[Any]:
    """Declares nests under the names `test::...`, and takes them back."""
    names = []

    def declare(signature: str, function: Any, **facts: Any) -> Op:
        names.append(f"test::{signature.split('(')[0]}")
        return families.nest(f"test::{signature}", **facts)(function)

    yield declare
    for name in names:
        unregister(name)


def agree(op: Op, *operands: np.ndarray, **attrs: Any) -> c.LoadedOp:
    function = c.load_op(op, [type_of(x) for x in operands], attrs)
    for got, want in zip(results(function(*operands)), results(op.kernel(*operands, **attrs)), strict=True):
        assert worst_difference(got, want, 4, 16) is None
    return function


def test_the_branch_not_taken_is_not_read(declared: Any) -> None:
    def shifted(n: Any, x: Any, by: Any) -> Any:
        (i,) = n.letters(x.sizes)
        (j,) = n.letters(by.sizes)
        at = i + by[j]
        return n.out([i, j], n.s.where(n.s.and_(at >= 0, at < x.sizes[0]), x[at] * x[at], n.s.const(-1.0, x.dtype)))

    op = declared("shifted(x: Tensor, by: Tensor) -> Tensor", shifted)
    agree(op, np.arange(5, dtype=np.float32), np.array([-3, 0, 2, 2**40, -(2**62)]))


def test_a_read_shared_by_guarded_branches(declared: Any) -> None:
    """The same read under different conditions: never outside of them, and right in each."""

    def both(n: Any, x: Any, at: Any) -> Any:
        (i,) = n.letters(at.sizes)
        read = x[at[i]]
        left = n.s.where(at[i] >= 0, n.s.where(at[i] < x.sizes[0], read + 1.0, 0.0), 5.0)
        right = n.s.where(n.s.and_(at[i] < x.sizes[0], at[i] >= 0), read * 2.0, 0.0)
        return n.out([i], left + right), n.out([i], left - right)

    op = declared("both(x: Tensor, at: Tensor) -> (Tensor, Tensor)", both)
    agree(op, np.arange(4, dtype=np.float32), np.array([-1, 0, 3, 4]))


def test_indirect_indices_of_indirect_indices(declared: Any) -> None:
    def twice(n: Any, x: Any, first: Any, second: Any) -> Any:
        (i,) = n.letters(second.sizes)
        return n.out([i], x[first[second[i]]])

    op = declared("twice(x: Tensor, first: Tensor, second: Tensor) -> Tensor", twice)
    x, first = np.arange(5, dtype=np.float32), np.array([4, 0, 7])
    function = agree(op, x, first, np.array([1, 0, 0, 1]))
    with pytest.raises(IndexOutOfRange):
        function(x, first, np.array([2, 0, 0, 1]))
    with pytest.raises(IndexOutOfRange):
        function(x, first, np.array([3, 0, 0, 1]))


def test_sizes_in_bodies_and_divisions_of_letters(declared: Any) -> None:
    def mixed(n: Any, x: Any, k: Any) -> Any:
        i, j = n.letters(x.sizes)
        at = (i * 7 - 5) % x.sizes[0]
        other = (j - 3) // 2 % x.sizes[1]
        return n.out([i, j], x[at, other] * n.s.cast(i * 1 - k, float32))

    op = declared("mixed(x: Tensor, k: int) -> Tensor", mixed)
    agree(op, np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32), k=2)


@pytest.mark.parametrize("side", ["below", "above"])
def test_a_guard_on_one_side_leaves_the_other_checked(declared: Any, side: str) -> None:
    def guarded(n: Any, x: Any, at: Any) -> Any:
        (i,) = n.letters(at.sizes)
        inside = at[i] >= 0 if side == "below" else at[i] < x.sizes[0]
        return n.out([i], n.s.where(inside, x[at[i]], 0.0))

    op = declared(f"guarded_{side}(x: Tensor, at: Tensor) -> Tensor", guarded)
    guarded_off, unguarded = (-3, 9) if side == "below" else (9, -3)
    x = np.arange(4, dtype=np.float32)
    function = c.load_op(op, [type_of(x), TensorType(int64, (2,))], {})
    assert function(x, np.array([3, guarded_off])).tolist() == [3.0, 0.0]
    with pytest.raises(IndexOutOfRange):
        function(x, np.array([3, unguarded]))


@pytest.mark.parametrize("shift", [-1, 1])
def test_letters_that_run_over_an_end_are_checked(declared: Any, shift: int) -> None:
    def beside(n: Any, x: Any, shift: int) -> Any:
        (i,) = n.letters(x.sizes)
        return n.out([i], x[i + shift])

    op = declared("beside(x: Tensor, shift: int) -> Tensor", beside)
    with pytest.raises(IndexOutOfRange):
        c.load_op(op, [T("f32", 4)], {"shift": shift})(np.zeros(4, np.float32))


@pytest.mark.parametrize("short", ["i8", "i16", "i32", "i64"])
def test_compilers_may_not_assume_that_nothing_overflows(declared: Any, short: str) -> None:
    def grows(n: Any, x: Any) -> Any:
        (i,) = n.letters(x.sizes)
        return n.out([i], x[i] + 1 > x[i]), n.out([i], x[i] - 1 < x[i])

    op = declared("grows(x: Tensor) -> (Tensor, Tensor)", grows)
    agree(op, special_values(by_short[short]))


def test_integer_arithmetic_on_data_wraps(declared: Any) -> None:
    def wrapped(n: Any, x: Any) -> Any:
        (i,) = n.letters(x.sizes)
        return n.out([i], x[i] * x[i] + i), n.out([i], -x[i] - 1), n.out([i], n.s.floordiv(x[i], i - 1))

    op = declared("wrapped(x: Tensor) -> (Tensor, Tensor, Tensor)", wrapped)
    agree(op, special_values(int64))


def test_shared_parts_are_computed_once(declared: Any) -> None:
    """A chain of doublings has 2**60 paths and 60 nodes."""

    def doubled(n: Any, x: Any) -> Any:
        (i,) = n.letters(x.sizes)
        value = x[i]
        for _ in range(60):
            value = value + value
        return n.out([i], value)

    op = declared("doubled(x: Tensor) -> Tensor", doubled)
    x = np.array([1.0, -3.5], np.float32)
    assert np.array_equal(c.load_op(op, [type_of(x)], {})(x), x * 2.0**60)


def test_a_body_may_be_deep(declared: Any) -> None:
    def deep(n: Any, x: Any) -> Any:
        (i,) = n.letters(x.sizes)
        value = x[i]
        for k in range(3000):
            value = value * 0.5 + float(k % 3)
        return n.out([i], value)

    op = declared("deep(x: Tensor) -> Tensor", deep)
    function = c.load_op(op, [T("f32", 2)], {})
    want = np.array([1.0, -3.5], np.float32)
    for k in range(3000):
        want = want * np.float32(0.5) + np.float32(k % 3)
    assert np.array_equal(function(np.array([1.0, -3.5], np.float32)), want)
