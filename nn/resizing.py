"""Resizing of images: `interpolate` and the layer `Upsample`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..frontend.creation import arange
from ..frontend.dispatch import EAGER
from ..frontend.module import Module
from ..frontend.tensor import Tensor
from ..ir.dtypes import float32, int64
from ..ir.errors import ArgumentError
from ..ir.locations import here

__all__ = ["Upsample", "interpolate"]

_MODES = ("nearest", "linear", "bilinear", "trilinear")


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resize the dimensions behind the first two.

    Args:
        input: `[batch, channels, length]`, `[..., height, width]` or `[..., depth, height, width]`.
        size: the new sizes; a number stands for all.
        scale_factor: or the factors that sizes are multiplied with, rounded down.
        mode: `"nearest"`, or `"linear"`, `"bilinear"`, `"trilinear"` for one, two and three dimensions.
        align_corners: for the linear modes: whether the corners' centres coincide rather than their edges.

    Raises:
        ArgumentError: for both or neither of size and scale_factor, or a mode that does not fit the dimensions.

    >>> import ingot
    >>> ingot.nn.functional.interpolate(ingot.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    >>> ingot.nn.functional.interpolate(ingot.tensor([[[0.0, 3.0]]]), size=4, mode="linear", align_corners=True)
    tensor([[[0., 1., 2., 3.]]])
    """
    spatial = input.ndim - 2
    _check(input, mode, align_corners, spatial)
    sizes, factors = _sizes(input, size, scale_factor, spatial)
    found = input
    for i, (new, factor) in enumerate(zip(sizes, factors, strict=True)):
        dim = i + 2
        if mode == "nearest":
            found = EAGER.index_select(found, dim, _nearest(input.shape[dim], new, factor))
        else:
            found = _linear(found, dim, new, factor, bool(align_corners))
    return found


def _check(input: Tensor, mode: str, align_corners: bool | None, spatial: int) -> None:
    if not 1 <= spatial <= 3:
        raise ArgumentError(f"interpolate: {input.ndim} dimensions", expected="3, 4 or 5", location=here())
    if mode not in _MODES or (mode != "nearest" and mode != _MODES[spatial]):
        expected = f'"nearest" or "{_MODES[spatial]}" for {input.ndim} dimensions'
        raise ArgumentError(f"interpolate: mode is {mode!r}", expected=expected, location=here())
    if mode == "nearest" and align_corners is not None:
        raise ArgumentError("interpolate: align_corners with mode 'nearest'", location=here())


def _sizes(input: Tensor, size: Any, scale_factor: Any, spatial: int) -> tuple[list[Any], list[Any]]:
    """The new sizes, and for each the factor that was asked for, or None."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give either size or scale_factor", location=here())
    given = scale_factor if size is None else size
    values = list(given) if isinstance(given, (tuple, list)) else [given] * spatial
    if len(values) != spatial:
        raise ArgumentError(f"interpolate: {len(values)} numbers for {spatial} dimensions", location=here())
    if size is not None:
        return values, [None] * spatial
    return [_scaled(input.shape[i + 2], factor) for i, factor in enumerate(values)], values


def _scaled(size: Any, factor: float) -> Any:
    if float(factor).is_integer():
        return size * int(factor)
    return int(size * factor)


def _places(old: Any, new: Any, factor: float | None) -> Any:
    """The step from one new element to the next, in old ones."""
    return 1.0 / factor if factor is not None else old / new


def _nearest(old: Any, new: Any, factor: float | None) -> Tensor:
    at = arange(new, dtype=float32) * _places(old, new, factor)
    return EAGER.minimum(EAGER.cast(EAGER.floor(at), dtype=int64), old - 1)


def _linear(x: Tensor, dim: int, new: Any, factor: float | None, align_corners: bool) -> Tensor:
    old = x.shape[dim]
    if align_corners:
        at = arange(new, dtype=float32) * ((old - 1) / (new - 1) if new > 1 else 0.0)
    else:
        at = ((arange(new, dtype=float32) + 0.5) * _places(old, new, factor) - 0.5).clamp(min=0.0)
    first = EAGER.minimum(EAGER.cast(EAGER.floor(at), dtype=int64), old - 1)
    second = EAGER.minimum(first + 1, old - 1)
    weight = EAGER.cast(at - EAGER.cast(first, dtype=float32), dtype=x.dtype)
    weight = weight.reshape(*[1] * dim, -1, *[1] * (x.ndim - dim - 1))
    low, high = EAGER.index_select(x, dim, first), EAGER.index_select(x, dim, second)
    return low + (high - low) * weight


class Upsample(Module):
    """`interpolate` as a layer.

    >>> import ingot
    >>> ingot.nn.Upsample(scale_factor=2)(ingot.ones(1, 1, 3, 4)).shape
    ingot.Size([1, 1, 6, 8])
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, input: Tensor) -> Tensor:
        return interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        given = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{given}, mode={self.mode!r}"
