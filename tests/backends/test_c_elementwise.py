"""The C of every element-wise op agrees with its eager kernel: all dtypes on special values, and all layouts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from c_files import load_together, needs_c
from ingot.backends import c
from ingot.ir.dtypes import DType, bool_, by_short, float32, float64, int32
from ingot.ir.errors import DTypeError, ShapeError
from ingot.ir.families import elementwise_tree
from ingot.ir.registry import Op, lookup
from ingot.ir.scalar import Expr, walk
from ingot.ir.types import BOOL, FLOAT, INT, TensorType, Type
from loop_calls import Call, calls_of, check_call, printable_ops
from special_values import special_values, worst_difference

pytestmark = needs_c

OPS = [op for op in printable_ops() if op.kind == "elementwise"]

ATTRIBUTES: dict[str, list[dict[str, Any]]] = {
    "cast": [{"dtype": dtype} for dtype in by_short.values()],
    "clamp": [{"min": 1, "max": 3}, {"min": 1}, {"max": 2}],
    "gelu": [{}, {"approximate": "tanh"}],
    "masked_fill": [{"value": 1}],
}
"""Attributes of ops that have required ones, or whose attributes change their body."""

# These are computed exactly, or rounded once, on every machine.
EXACT = frozenset(
    [
        "leaf",
        "where",
        "cast",
        "add",
        "sub",
        "mul",
        "div",
        "floordiv",
        "mod",
        "fmod",
        "neg",
        "abs",
        "sign",
        "sqrt",
        "floor",
        "ceil",
        "trunc",
        "round",
        "maximum",
        "minimum",
        "isnan",
        "isinf",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and_",
        "or_",
        "xor",
        "not_",
    ]
)
# Which of two zeros is the larger one is not defined.
EITHER_ZERO = frozenset({"maximum", "minimum", "sign"})
ULPS = 6  # between two good libraries of mathematical functions


@dataclass(frozen=True)
class Case:
    """One op with the types of its operands."""

    op: Op
    types: tuple[Type, ...]
    attrs: dict[str, Any]

    @property
    def tree(self) -> Expr:
        return elementwise_tree(self.op, self.types, self.attrs)

    def difference(self, got: np.ndarray, want: np.ndarray) -> str | None:
        used = {node.op for node in walk(self.tree)}
        if used <= EXACT:
            return worst_difference(got, want, equal_zeros=not used.isdisjoint(EITHER_ZERO))
        # Where rounded steps follow each other, their errors add up, and may be all that is left of a difference.
        absolute = ULPS if len(used - {"leaf", "cast"}) > 1 else 0
        return worst_difference(got, want, ULPS, absolute, equal_zeros=True)


def cases_of(op: Op) -> list[Case]:
    """The op with operands of one dtype, for every dtype that it takes."""
    found = []
    for given in ATTRIBUTES.get(op.short, [{}]):
        attrs = op.schema.check_attrs(given)
        for dtype in by_short.values():
            own = [bool_ if p.name in ("condition", "mask") else dtype for p in op.schema.inputs]
            case = Case(op, tuple(TensorType(d, (2, 2)) for d in own), attrs)
            try:
                op.infer(case.types, attrs)
            except DTypeError:
                continue
            found.append(case)
    return found


@cache
def library() -> dict[str, list[tuple[Case, c.LoadedOp]]]:
    """Every case of every op, in one file."""
    cases = [case for op in OPS for case in cases_of(op)]
    names = [f"{case.op.short}_{i}" for i, case in enumerate(cases)]
    sources = [
        c.emit_op(case.op, case.types, case.attrs, name=name, rank=2) for case, name in zip(cases, names, strict=True)
    ]
    found: dict[str, list[tuple[Case, c.LoadedOp]]] = {op.short: [] for op in OPS}
    for case, function in zip(cases, load_together(sources), strict=True):
        found[case.op.short].append((case, function))
    return found


def operands_of(case: Case) -> list[np.ndarray]:
    """Special values, every one of them with every other."""
    dtypes = [t.dtype for t in case.types if isinstance(t, TensorType)]
    if len(dtypes) == 1:
        return [special_values(dtypes[0])]
    count = special_values(dtypes[-1]).size
    found = [special_values(dtype).reshape(-1, 1) for dtype in dtypes]
    found[-1] = found[-1].reshape(1, -1)
    for i, dtype in enumerate(dtypes[:-1]):
        if (dtype is bool_ and dtypes[-1] is not bool_) or (len(dtypes) == 3 and i == 0):
            found[i] = np.arange(count * count).reshape(count, count) % 3 == 0
    return found


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_special_values(op: Op) -> None:
    checked = 0
    for case, function in library()[op.short]:
        operands = operands_of(case)
        try:
            want = op.kernel(*operands, **case.attrs)
        except OverflowError:  # a limit of the op's own does not fit the dtype: there is nothing to agree with
            continue
        got = function(*operands)
        if op.short == "cast":
            got, want = _in_range(got, want, operands[0])
        found = case.difference(got, want)
        assert found is None, f"{[str(t) for t in case.types]} {case.attrs}: {found}"
        checked += 1
    assert checked, "no dtype was checked"


def _in_range(got: np.ndarray, want: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leaves out floats that the integer dtype does not hold: what they become is not defined."""
    if want.dtype.kind not in "iu" or source.dtype.kind in "iub":
        return got, want
    wide, info = source.astype(np.float64), np.iinfo(want.dtype)
    inside = np.isfinite(wide) & (wide > info.min - 1.0) & (wide < float(info.max))
    return got[inside], want[inside]


@cache
def sample_library() -> dict[str, list[Call]]:
    return calls_of(OPS, (float32, int32, bool_), c.emit_op, load_together)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_samples(op: Op) -> None:
    """The shared sample calls, which cover attributes, Python numbers and tensors without dimensions."""
    for call in sample_library()[op.short]:
        check_call(call)


# -- layouts


def layouts() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(5)
    plain = rng.standard_normal((6, 8)).astype(np.float32)
    other = rng.standard_normal((6, 8)).astype(np.float32)
    record = np.zeros(7, np.dtype([("flag", np.int8), ("x", np.float32)]))
    record["x"] = plain[0, :7]
    return {
        "contiguous": (plain, other),
        "strided": (plain[::2, ::3], other[::2, ::3]),
        "reversed": (plain[::-1, ::-1], other),
        "transposed": (plain.T, other.reshape(8, 6)),
        "columns": (plain[:, 2:5], other[:, :3]),
        "broadcast row": (plain, other[0]),
        "broadcast column": (plain[:, :1], other),
        "outer": (plain[:, :1], other[:1]),
        "0-d operand": (plain, np.array(other[0, 0])),
        "both 0-d": (np.array(plain[0, 0]), np.array(other[0, 0])),
        "empty": (plain[:0], other[:0]),
        "empty by broadcasting": (plain[:, :0], other[:, :1]),
        "one element": (plain[:1, :1], other[2:3, 2:3]),
        "four dimensions": (plain.reshape(2, 3, 2, 4), other.reshape(2, 3, 2, 4)),
        "unaligned": (record["x"], other[0, :7]),
        "stride 0": (np.broadcast_to(plain[0, 0], (6, 8)), other),
    }


@pytest.mark.parametrize("name", layouts())
def test_one_function_serves_every_layout(name: str) -> None:
    for op in ("sub", "atan2"):
        case, function = next(entry for entry in library()[op] if entry[0].types[0].dtype is float32)  # type: ignore[attr-defined]
        a, b = layouts()[name]
        found = case.difference(function(a, b), case.op.kernel(a, b))
        assert found is None, found


def test_more_dimensions_than_loops_are_refused() -> None:
    case, function = library()["neg"][-1]
    array = np.zeros((4, 4, 4, 4), case.types[0].dtype.np)[::2, ::2, ::2, ::2]  # type: ignore[attr-defined]
    with pytest.raises(ShapeError, match="too many dimensions"):
        function(array)


def test_another_dtype_is_refused() -> None:
    _case, function = next(entry for entry in library()["neg"] if entry[0].types[0].dtype is float32)  # type: ignore[attr-defined]
    with pytest.raises(DTypeError, match="operand 0"):
        function(np.zeros(3))


# -- promotion


def test_operands_of_different_dtypes() -> None:
    add = lookup("add")
    pairs = [(a, b) for a in by_short.values() for b in by_short.values() if a is not b]
    cases = [Case(add, (TensorType(a, (2,)), TensorType(b, (2,))), {}) for a, b in pairs]
    sources = [c.emit_op(add, case.types, {}, rank=2) for case in cases]
    for case, function in zip(cases, load_together(sources), strict=True):
        operands = operands_of(case)[:2]
        found = worst_difference(function(*operands), add.kernel(*operands))
        assert found is None, f"{case.types}: {found}"


def test_numbers_and_tensors_without_dimensions_are_weak() -> None:
    op = lookup("mul")
    small = TensorType(float32, (3,))
    cases: list[tuple[tuple[Type, ...], tuple[Any, ...]]] = []
    for dtype, number in ((float32, 0.1), (int32, 2.5), (int32, -7), (by_short["f16"], 0.1), (float64, True)):
        array = np.arange(-3, 3).astype(dtype.np)
        type_ = {bool: BOOL, int: INT, float: FLOAT}[type(number)]
        cases.append(((TensorType(dtype, (6,)), type_), (array, number)))
        cases.append(((type_, TensorType(dtype, (6,))), (number, array)))
    zero_dim = np.array(0.1)
    cases.append(((small, TensorType(float64, ())), (np.float32([1, 2, 3]), zero_dim)))
    cases.append(((TensorType(int32, (3,)), TensorType(float64, ())), (np.int32([1, 2, 3]), zero_dim)))
    sources = [c.emit_op(op, types, {}, name=f"mul_{i}") for i, (types, _) in enumerate(cases)]
    for (types, operands), function in zip(cases, load_together(sources), strict=True):
        found = worst_difference(function(*operands), op.kernel(*operands))
        assert found is None, f"{types}: {found}"


def test_a_double_is_rounded_once_on_its_way_to_float16() -> None:
    """Rounded to float32 first, what lies beside the middle of two halves would become the middle."""
    middles = np.array([1 + 2**-11, 1 + 3 * 2**-11, 65520.0, 2**-25, 3 * 2**-25, 2**-14 - 2**-25, 1e-60])
    beside = np.concatenate([middles, np.nextafter(middles, 0), np.nextafter(middles, np.inf)])
    values = np.concatenate([beside, -beside])
    cast = lookup("cast")
    attrs = cast.schema.check_attrs({"dtype": "f16"})
    function = c.load_op(cast, (TensorType(float64, (4,)),), attrs)
    assert worst_difference(function(values), cast.kernel(values, **attrs)) is None


def test_every_dtype_is_among_the_cases() -> None:
    """The table of cases is made by trying: make sure that it did not shrink to nothing."""
    taken: set[DType] = {t.dtype for case in cases_of(lookup("add")) for t in case.types if isinstance(t, TensorType)}
    assert taken == set(by_short.values())
