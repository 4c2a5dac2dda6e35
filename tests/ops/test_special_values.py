"""The scalar language's primitives against their stated meanings in Python's own numbers, on special values; and
element-wise kernels against their typed trees, whatever shortcut they take."""

import math

import ingot.ir.ops  # noqa: F401
import numpy as np
import pytest
from ingot.ir.arrays import quiet
from ingot.ir.dtypes import bfloat16, bool_, float16, float32, float64, int8, int32, int64, uint8
from ingot.ir.errors import DTypeError
from ingot.ir.families import elementwise_tree
from ingot.ir.primitives import PRIMITIVES
from ingot.ir.registry import all_ops, lookup
from ingot.ir.scalar import ARRAYS, evaluate
from ingot.ir.select import select
from ingot.ir.types import TensorType
from special_values import special_values

INF, NAN = math.inf, math.nan


def wrap(value, dtype):
    """A Python integer as one of a dtype: the remainder of wrapping around."""
    bits = 8 * dtype.itemsize
    value &= (1 << bits) - 1
    return value - (1 << bits) if dtype.is_signed and value >= 1 << (bits - 1) else value


def integer_power(x, y):
    if y >= 0:
        return pow(x, y)
    return {1: 1, -1: 1 if y % 2 == 0 else -1}.get(x, 0)


def c_remainder(x, y):
    return int(math.copysign(1, x)) * (abs(x) % abs(y)) if y else 0


INTEGER_MEANINGS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "floordiv": lambda x, y: x // y if y else 0,
    "mod": lambda x, y: x % y if y else 0,
    "fmod": c_remainder,
    "maximum": max,
    "minimum": min,
    "neg": lambda x: -x,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "and_": lambda x, y: x & y,
    "or_": lambda x, y: x | y,
    "xor": lambda x, y: x ^ y,
    "not_": lambda x: ~x,
}


@pytest.mark.parametrize("name", INTEGER_MEANINGS)
@pytest.mark.parametrize("dtype", [int64, int32, int8, uint8], ids=lambda d: d.short)
def test_integers_wrap_and_divide_as_stated(name, dtype):
    primitive = PRIMITIVES[name]
    values = special_values(dtype)
    operands = np.meshgrid(*[values] * primitive.arity, indexing="ij")
    found = quiet(primitive.array)(*operands)
    meaning = INTEGER_MEANINGS[name]
    for place in np.ndindex(operands[0].shape):
        numbers = [int(x[place]) for x in operands]
        expected = meaning(*numbers)
        if primitive.typing != "compare":
            expected = wrap(int(expected), dtype)
        assert found[place] == expected, f"{name}{tuple(numbers)}"


@pytest.mark.parametrize("dtype", [int64, int8, uint8], ids=lambda d: d.short)
def test_integer_powers(dtype):
    bases = special_values(dtype)
    exponents = np.array([0, 1, 2, 3, 5] + ([-1, -2, -3] if dtype.is_signed else []), dtype.np)
    x, y = np.meshgrid(bases, exponents, indexing="ij")
    found = quiet(PRIMITIVES["pow"].array)(x, y)
    for place in np.ndindex(x.shape):
        a, b = int(x[place]), int(y[place])
        assert found[place] == wrap(integer_power(a, b), dtype), f"{a} ** {b}"


# (primitive, operands, result): what the meanings say where numbers stop being ordinary.
FLOAT_MEANINGS = [
    ("div", (1.0, 0.0), INF), ("div", (-1.0, 0.0), -INF), ("div", (1.0, -0.0), -INF),
    ("div", (0.0, 0.0), NAN),
    ("floordiv", (-7.0, 2.0), -4.0), ("floordiv", (7.0, -2.0), -4.0), ("floordiv", (1.0, INF), 0.0),
    ("mod", (-7.0, 3.0), 2.0), ("mod", (7.0, -3.0), -2.0), ("mod", (5.5, 0.0), NAN), ("mod", (INF, 3.0), NAN),
    ("fmod", (-7.0, 3.0), -1.0), ("fmod", (7.0, -3.0), 1.0), ("fmod", (5.5, INF), 5.5),
    ("fmod", (5.5, 0.0), NAN),
    ("pow", (0.0, 0.0), 1.0), ("pow", (NAN, 0.0), 1.0), ("pow", (1.0, NAN), 1.0), ("pow", (-8.0, 1 / 3), NAN),
    ("pow", (0.0, -1.0), INF), ("pow", (-0.0, -3.0), -INF), ("pow", (-2.0, 3.0), -8.0),
    ("pow", (INF, -1.0), 0.0),
    ("neg", (0.0,), -0.0), ("abs", (-0.0,), 0.0), ("abs", (-INF,), INF),
    ("sign", (-0.0,), 0.0), ("sign", (NAN,), NAN), ("sign", (-INF,), -1.0),
    ("maximum", (1.0, NAN), NAN), ("maximum", (NAN, 1.0), NAN), ("minimum", (1.0, NAN), NAN),
    ("minimum", (NAN, 1.0), NAN),
    ("maximum", (-INF, -1.0), -1.0), ("minimum", (INF, 1.0), 1.0),
    ("exp", (-INF,), 0.0), ("exp", (INF,), INF), ("exp", (1e4,), INF), ("exp2", (3.0,), 8.0),
    ("expm1", (-INF,), -1.0),
    ("expm1", (1e-20,), 1e-20), ("log", (0.0,), -INF), ("log", (-1.0,), NAN), ("log", (INF,), INF),
    ("log2", (8.0,), 3.0),
    ("log10", (1000.0,), 3.0), ("log1p", (-1.0,), -INF), ("log1p", (1e-20,), 1e-20),
    ("sqrt", (-1.0,), NAN), ("sqrt", (-0.0,), -0.0),
    ("sin", (INF,), NAN), ("cos", (-INF,), NAN), ("tan", (INF,), NAN), ("asin", (1.5,), NAN),
    ("acos", (1.0,), 0.0),
    ("atan", (INF,), math.pi / 2), ("atan2", (0.0, -1.0), math.pi), ("atan2", (-0.0, -1.0), -math.pi),
    ("atan2", (0.0, 0.0), 0.0),
    ("atan2", (INF, INF), math.pi / 4), ("tanh", (INF,), 1.0), ("tanh", (-1e4,), -1.0),
    ("cosh", (-INF,), INF),
    ("sinh", (-INF,), -INF), ("erf", (INF,), 1.0), ("erf", (-INF,), -1.0), ("erf", (NAN,), NAN),
    ("erf", (0.0,), 0.0),
    ("floor", (-0.5,), -1.0), ("ceil", (-0.5,), -0.0), ("trunc", (-1.5,), -1.0), ("trunc", (INF,), INF),
    ("round", (0.5,), 0.0), ("round", (1.5,), 2.0), ("round", (2.5,), 2.0), ("round", (-0.5,), -0.0),
    ("round", (NAN,), NAN),
    ("isnan", (NAN,), True), ("isnan", (INF,), False), ("isinf", (-INF,), True), ("isinf", (NAN,), False),
    ("eq", (NAN, NAN), False), ("ne", (NAN, NAN), True), ("lt", (NAN, 1.0), False),
    ("ge", (NAN, 1.0), False), ("eq", (0.0, -0.0), True),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [float64, float32, float16], ids=lambda d: d.short)
@pytest.mark.parametrize(
    ("name", "operands", "expected"), FLOAT_MEANINGS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_floats_at_their_limits(name, operands, expected, dtype):
    arrays = [np.array([x], dtype.np) for x in operands]
    (found,) = quiet(PRIMITIVES[name].array)(*arrays)
    wanted = bool_.np.type(expected) if isinstance(expected, bool) else dtype.np.type(expected)
    np.testing.assert_allclose(
        found, wanted, rtol=4 * (0 if isinstance(expected, bool) else np.finfo(dtype.np).eps), atol=0
    )
    if not isinstance(expected, bool) and expected == 0:
        assert np.signbit(found) == np.signbit(wanted), f"{name}{operands}: the sign of zero"


def test_erf_is_accurate():
    x = np.concatenate([np.linspace(-6.5, 6.5, 5001), np.logspace(-300, 0, 301), [5e-324]])
    expected = np.array([math.erf(v) for v in x])
    found = PRIMITIVES["erf"].array(x)
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=0)
    assert PRIMITIVES["erf"].array(x.astype(np.float32)).dtype == np.float32


def test_every_primitive_has_its_meaning_tested():
    tested = set(INTEGER_MEANINGS) | {name for name, _, _ in FLOAT_MEANINGS}
    assert set(PRIMITIVES) <= tested


ELEMENTWISE = [op for op in all_ops() if op.kind == "elementwise" and op.name.startswith("ingot::")]
ATTRS = {"cast": {"dtype": "int64"}, "masked_fill": {"value": 1}, "clamp": {"min": -1, "max": 2}}


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.short)
def test_kernels_give_what_their_trees_say(op):
    """Every shortcut of the eager kernel, on every dtype, against the strictly typed tree that backends print."""
    attrs = op.schema.check_attrs(ATTRS.get(op.short, {}))
    count = len(op.schema.inputs)
    for dtype in (float64, float32, float16, bfloat16, int64, int8, uint8, bool_):
        values = special_values(dtype)
        operands = list(np.meshgrid(*[values] * min(count, 2), indexing="ij"))
        if op.schema.inputs[0].name == "condition":
            operands = [np.arange(operands[0].size).reshape(operands[0].shape) % 3 == 0, *operands]
        elif op.schema.inputs[-1].name == "mask":
            operands[1] = np.arange(operands[0].size).reshape(operands[0].shape) % 3 == 0
        types = [TensorType(op_dtype(x), x.shape) for x in operands]
        try:
            tree = elementwise_tree(op, types, attrs)
        except DTypeError:
            with pytest.raises(DTypeError):
                op.kernel(*operands, **attrs)
            continue
        found = op.kernel(*operands, **attrs)
        cast = [x.astype(leaf_dtype(tree, k, x)) for k, x in enumerate(operands)]
        expected = quiet(evaluate)(tree, lambda leaf, cast=cast: cast[leaf.index], ARRAYS)
        assert found.dtype == expected.dtype == tree.dtype.np, f"{op.short} of {dtype.name}"
        bits = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[found.dtype.itemsize]
        same = (found.view(bits) == np.asarray(expected).view(bits)) | (_nan(found) & _nan(expected))
        assert same.all(), f"{op.short} of {dtype.name} at {[x[~same][:3] for x in operands]}: {found[~same][:3]}"


def op_dtype(array):
    from ingot.ir.dtypes import DType

    return DType.of(array.dtype)


def leaf_dtype(tree, index, operand):
    """The dtype in which an operand enters the tree."""
    from ingot.ir.scalar import Arg, walk

    return next((x.dtype.np for x in walk(tree) if isinstance(x, Arg) and x.index == index), operand.dtype)


def _nan(x):
    return np.isnan(x) if x.dtype.kind == "f" else x != x


@pytest.mark.parametrize("size", [3, 5000])
@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.int64, np.int32, np.float16, np.int8], ids=lambda t: t.__name__
)
def test_select_is_where(size, dtype, rng):
    values = np.resize(special_values(op_dtype(np.zeros(0, dtype))), size)
    others = rng.permutation(values)
    mask = rng.random(size) < 0.5
    number = 2 if np.dtype(dtype).kind == "i" else 2.5
    pairs = [(values, others), (values, 0), (0, values), (values, number), (number, values)]
    pairs += [
        (values, np.asarray(1, dtype)),
        (values[::-1], others),
        (values, others[:1]),
        (values, others.astype(np.float64)),
    ]
    for a, b in pairs:
        found, expected = select(mask, a, b), np.where(mask, a, b)
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()
    with pytest.raises(DTypeError, match="condition is int64, not bool"):
        select(mask.astype(np.int64), values, others)


def test_python_numbers_do_not_widen():
    """A number beside a tensor takes the tensor's dtype, in every kind of kernel."""
    for dtype in (float16, bfloat16, float32):
        x = np.ones(3, dtype.np)
        for op, operands in (
            ("add", (x, 1.5)),
            ("mul", (2, x)),
            ("pow", (x, 0.5)),
            ("where", (x == 1, x, 0.0)),
            ("maximum", (x, 1)),
        ):
            assert lookup(op).kernel(*operands).dtype == dtype.np, f"{op} of {dtype.name}"
    assert lookup("add").kernel(np.ones(3, np.int8), 1).dtype == np.int8
    assert lookup("add").kernel(np.ones(3, np.int8), 1.5).dtype == np.float32
    assert (
        lookup("add").kernel(np.array([3], np.uint8), -1) == 2
        and lookup("mul").kernel(np.array([2], np.uint8), 129) == 2
    )
    with pytest.raises(DTypeError, match="the number -1 does not fit uint8"):
        lookup("clamp").kernel(np.array([3], np.uint8), min=-1, max=None)
    assert lookup("add").kernel(np.ones(3, np.float32), np.asarray(1.0)).dtype == np.float32
