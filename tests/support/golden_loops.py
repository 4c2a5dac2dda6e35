"""The ops whose C and CUDA text is kept as goldens: one of every kind of loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ingot.ir.dtypes import by_short
from ingot.ir.registry import Op, lookup
from ingot.ir.sizes import var
from ingot.ir.types import FLOAT, TensorType, Type

__all__ = ["GOLDENS", "GoldenLoop"]


@dataclass(frozen=True)
class GoldenLoop:
    """One op for one signature."""

    file: str
    op_name: str
    types: tuple[Type, ...]
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def op(self) -> Op:
        return lookup(self.op_name)

    @property
    def attrs(self) -> dict[str, Any]:
        return self.op.schema.check_attrs(self.given)


def _t(short: str, *sizes: Any) -> TensorType:
    return TensorType(by_short[short], sizes)


_B, _H = var("B"), var("H", lo=3)

GOLDENS = (
    GoldenLoop("add_number", "add", (_t("f32", 2, 3), FLOAT)),
    GoldenLoop("gelu_half", "gelu", (_t("f16", 2, 3, 4),)),
    GoldenLoop("remainder_int", "remainder", (_t("i32", 4), _t("i32", 4))),
    GoldenLoop("softplus", "softplus", (_t("f64", 4),)),
    GoldenLoop("matmul", "matmul", (_t("f32", _B, 784), _t("f32", 784, 10))),
    GoldenLoop(
        "convolution2d",
        "convolution2d",
        (_t("f32", _B, 4, _H, 8), _t("f32", 6, 2, 3, 3)),
        {"padding": (1, 1), "stride": (2, 1), "groups": 2},
    ),
    GoldenLoop("max_pool2d_half", "max_pool2d", (_t("bf16", 2, 3, 7, 7),), {"kernel_size": (3, 3), "padding": (1, 1)}),
    GoldenLoop("mean_like_sum", "sum", (_t("f16", _B, 5),), {"dim": (0,)}),
    GoldenLoop("max_dim", "max_dim", (_t("f32", 4, _H),), {"dim": 1}),
    GoldenLoop("reshape", "reshape", (_t("i8", _B, 4, 6),), {"shape": (_B * 6, 4)}),
    GoldenLoop("cat", "cat", (_t("f32", 2, 3), _t("f32", _B, 3), _t("f32", 4, 3)), {"dim": 0}),
    GoldenLoop("embedding", "embedding", (_t("i64", _B, 3), _t("f32", 7, 4))),
    GoldenLoop("scatter_set", "scatter", (_t("f32", 3, 4), _t("i64", 3, 2), _t("f32", 3, 2)), {"dim": 1}),
    GoldenLoop("scatter_add_half", "scatter_add", (_t("f16", 6), _t("i64", _B), _t("f16", _B)), {"dim": 0}),
    GoldenLoop("scatter_add", "scatter_add", (_t("f32", 3, 4), _t("i64", 3, 6), _t("f32", 3, 6)), {"dim": 1}),
    GoldenLoop("cumsum", "cumsum", (_t("i32", _B, 4),), {"dim": 0}),
    GoldenLoop("sort_descending", "sort", (_t("bf16", 3, _H),), {"dim": 1, "descending": True}),
)
