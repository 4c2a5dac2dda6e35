"""CUDA text: goldens, acceptance by a C++ compiler, and agreement with the eager kernels on an emulated grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cuda_emulator import emulate, needs_cxx
from golden_loops import GOLDENS, GoldenLoop
from golden_text import compare_golden
from ingot.backends import cuda
from ingot.ir.dtypes import by_short
from ingot.ir.errors import DTypeError, IndexOutOfRange, UnsupportedError
from ingot.ir.registry import Op, lookup
from ingot.ir.types import TensorType
from loop_calls import Call, calls_of, check_call, printable_ops
from special_values import special_values, worst_difference


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.file)
def test_text(golden: GoldenLoop, bless: bool) -> None:
    source = cuda.emit_op(golden.op, golden.types, golden.attrs, name=golden.file)
    again = cuda.emit_op(golden.op, golden.types, golden.attrs, name=golden.file)
    assert source.text == again.text
    compare_golden(Path("cuda") / f"{golden.file}.cu", source.text, bless)


def test_a_composite_is_refused_with_the_way_out() -> None:
    op = lookup("softmax")
    with pytest.raises(UnsupportedError, match="decompose the graph first"):
        cuda.emit_op(op, (TensorType(by_short["f32"], (2, 3)),), op.schema.check_attrs({"dim": 1}))


# -- on an emulated grid


OPS = printable_ops()


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Call]]:
    """The sample calls of every op, in one file."""
    dtypes = [by_short[short] for short in ("f32", "bf16", "i64", "bool")]
    return calls_of(OPS, dtypes, cuda.emit_op, lambda sources: emulate(sources, tmp_path_factory.mktemp("calls")))


@needs_cxx
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_samples(op: Op, calls: dict[str, list[Call]]) -> None:
    for call in calls[op.short]:
        check_call(call)


@needs_cxx
@pytest.mark.parametrize(("name", "position"), [("gather", 1), ("embedding", 0), ("scatter", 1), ("scatter_add", 1)])
def test_an_index_out_of_range_is_an_error(name: str, position: int, calls: dict[str, list[Call]]) -> None:
    call = next(call for call in calls[name] if call.sample.inputs[position].size)
    inputs = list(call.sample.inputs)
    inputs[position] = inputs[position] + 100
    with pytest.raises(IndexOutOfRange):
        call.function(*inputs)


@needs_cxx
def test_elementwise_ops(tmp_path: Path) -> None:
    """Every element-wise op without attributes, on special values in chance order."""
    cases = []
    for op in OPS:
        if op.kind != "elementwise" or op.schema.attributes:
            continue
        for short in ("f32", "i64", "bool", "f16", "bf16"):
            names = [("bool" if p.name == "condition" else short) for p in op.schema.inputs]
            types = tuple(TensorType(by_short[name], (4,)) for name in names)
            try:
                op.infer(types, {})
            except DTypeError:
                continue
            cases.append((op, types))
    sources = [cuda.emit_op(op, types, {}, name=f"{op.short}_{i}") for i, (op, types) in enumerate(cases)]
    rng = np.random.default_rng(1)
    for (op, types), function in zip(cases, emulate(sources, tmp_path), strict=True):
        operands = [rng.permutation(np.resize(special_values(t.dtype), 60)) for t in types]
        found = worst_difference(function(*operands), op.kernel(*operands), 6, 6, equal_zeros=True)
        assert found is None, f"{op} {types}: {found}"


@needs_cxx
def test_atomic_updates_of_every_dtype(tmp_path: Path) -> None:
    op = lookup("scatter_add")
    attrs = op.schema.check_attrs({"dim": 0})
    index = np.array([0, 3, 3, 6, 0, 2, 3])
    shorts = [short for short in by_short if short != "bool"]
    sources = []
    for short in shorts:
        types = [TensorType(by_short[s], (7,)) for s in (short, "i64", short)]
        sources.append(cuda.emit_op(op, types, attrs))
    for short, function in zip(shorts, emulate(sources, tmp_path), strict=True):
        base, values = (np.arange(7).astype(by_short[short].np) * k for k in (1, 3))
        assert np.array_equal(function(base, index, values), op.kernel(base, index, values, **attrs)), short
