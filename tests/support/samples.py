"""Sample calls of every op: small ones that cover 0-d, empty, broadcast and strided operands and every attribute.

The one table that suites share: kernels against definitions, gradients, type rules, backends, ONNX, PyTorch.

    for sample in samples("softmax", rng, float32):
        result = lookup("softmax").kernel(*sample.inputs, **sample.attrs)
"""

from __future__ import annotations

import numpy as np
import sample_calls_elementwise
import sample_calls_indexing
import sample_calls_layers
import sample_calls_shapes
from ingot.ir import dtypes
from ingot.ir.dtypes import DType
from ingot.ir.registry import lookup
from sample_maker import TABLE, Maker, Sample

# Importing these fills the table.
SOURCES = (sample_calls_elementwise, sample_calls_shapes, sample_calls_indexing, sample_calls_layers)

__all__ = ["DTYPES", "Sample", "has_samples", "samples"]

DTYPES: tuple[DType, ...] = (
    dtypes.float32,
    dtypes.float64,
    dtypes.float16,
    dtypes.bfloat16,
    dtypes.int64,
    dtypes.int32,
    dtypes.int16,
    dtypes.int8,
    dtypes.uint8,
    dtypes.bool_,
)


def has_samples(op_name: str) -> bool:
    """Whether the table has an entry for an op."""
    return lookup(op_name).name in TABLE


def samples(op_name: str, rng: np.random.Generator, dtype: DType) -> list[Sample]:
    """Sample calls of an op whose main operands are of the given dtype; none where the op does not take it.

    Raises:
        KeyError: for an op without an entry.
    """
    op = lookup(op_name)
    return list(TABLE[op.name](Maker(rng, dtype), op))
