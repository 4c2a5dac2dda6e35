"""Max pooling in two dimensions, and what all pooling shares.

Layouts: (N, C, H, W) or (C, H, W). Windows are those of a convolution; with `ceil_mode` a last window may hang over
the end, so long as it begins inside the input or its left padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import int64
from ..errors import ArgumentError, ExportError
from ..families import composite, nest
from ..nest import as_index
from ..registry import NotDifferentiable
from ..sizes import Size, ask, minimum, product
from .checks import require
from .pooling_kernels import max_pool2d_fast, max_pool2d_grad_fast, max_pool2d_place_fast

__all__ = ["FRONT", "WINDOW", "Windows", "onnx_windows", "output_sizes"]


WINDOW = "kernel_size: int[2], stride: int[2]? = None, padding: int[2] = 0"
_MAX_WINDOW = f"{WINDOW}, dilation: int[2] = 1, ceil_mode: bool = False"
_STEPS = NotDifferentiable("its result is an index")


def _count(size: Size, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> Size:
    """How many windows there are along one dimension."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    return minimum((span + stride - 1) // stride + 1, (size + padding - 1) // stride + 1)


def output_sizes(
    op: str, sizes: Sequence[Size], kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Size, ...]:
    """The output's height and width; refuses options that are out of range."""
    if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1 or min(padding) < 0:
        raise ArgumentError(
            f"{op}: an option is out of range",
            expected="kernel_size >= 1, stride >= 1, dilation >= 1, padding >= 0",
            found=f"kernel_size={kernel} stride={stride} dilation={dilation} padding={padding}",
        )
    if any(2 * p > dilation[i] * (kernel[i] - 1) + 1 for i, p in enumerate(padding)):
        raise ArgumentError(
            f"{op}: padding is more than half the kernel",
            expected="2*padding <= kernel_size",
            found=f"kernel_size={kernel} padding={padding}",
        )
    require(
        op, len(sizes) in (3, 4), "input is not an image", "sizes (N, C, H, W) or (C, H, W)", f"{len(sizes)} dimensions"
    )
    found = tuple(
        _count(sizes[len(sizes) - 2 + i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode) for i in (0, 1)
    )
    for i, count in enumerate(found):
        size = sizes[len(sizes) - 2 + i]
        require(
            op,
            ask("<", count, 1) is not True,
            "kernel_size is larger than the padded input",
            f"a size of {dilation[i] * (kernel[i] - 1) + 1} or more",
            f"input.size({i - 2}) + 2*padding = {size + 2 * padding[i]}",
        )
    return found


class Windows:
    """The letters of a pooling nest, and where in the input an element of a window lies."""

    def __init__(
        self, n: Any, input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
    ) -> None:
        counts = output_sizes(n.op, input.sizes, kernel, stride, padding, dilation, ceil_mode)
        self.out = n.letters([*input.sizes[:-2], *counts])
        self.over = n.letters(kernel)
        self.at = list(self.out)
        self.inside: list[Any] = []
        for i in (0, 1):
            axis = len(self.out) - 2 + i
            at = self.out[axis] * stride[i] + self.over[i] * dilation[i]
            size = input.sizes[axis]
            if padding[i]:
                at = at - padding[i]
                self.inside.append(at >= 0)
            if padding[i] or ceil_mode:
                self.inside.append(at < as_index(size))
            self.at[axis] = at

    def read(self, n: Any, input: Any, other: Any) -> Any:
        return n.guard(self.inside, input[self.at], other)


def _lowest(dtype: Any) -> Any:
    if dtype.kind == "bool":
        return False
    return int(np.iinfo(dtype.np).min) if dtype.kind == "int" else -np.inf


FRONT = np.array([0], np.int64)


def onnx_windows(
    op: str, sizes: Sequence[Size], kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> dict[str, Any]:
    """The windows in ONNX's attributes. What hangs over with `ceil_mode` is padding at the end, since ONNX's own
    ceil_mode has a window more where the last one would begin in the padding."""
    found = {"kernel_shape": tuple(kernel), "strides": tuple(stride)}
    if not ceil_mode:
        return found | {"pads": (*padding, *padding)}
    ends = []
    for i, size in enumerate(sizes[-2:]):
        span = dilation[i] * (kernel[i] - 1) + 1
        if not isinstance(size, int):
            if stride[i] > span - padding[i]:
                raise ExportError(f"{op}: ceil_mode of ONNX counts windows otherwise", found=f"a size of {size}")
            return found | {"pads": (*padding, *padding), "ceil_mode": 1}
        count = _count(size, kernel[i], stride[i], padding[i], dilation[i], True)
        assert isinstance(count, int)
        ends.append(max(padding[i], stride[i] * (count - 1) + span - size - padding[i]))
    return found | {"pads": (*padding, *ends)}


def _max_pool_onnx(
    E: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, outputs: int = 1
) -> Any:
    batched = input if input.ndim == 4 else E.Unsqueeze(input, FRONT)
    options = onnx_windows("max_pool2d", input.shape, kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    found = E.MaxPool(batched, dilations=tuple(dilation), outputs=outputs, **options)
    if input.ndim == 4:
        return found
    return E.Squeeze(found, FRONT) if outputs == 1 else tuple(E.Squeeze(x, FRONT) for x in found)


def _max_pool_indices_onnx(
    E: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    """ONNX counts places over the whole input, Ingot over a plane."""
    values, places = _max_pool_onnx(E, input, kernel_size, stride, padding, dilation, ceil_mode, 2)
    return values, E.Mod(places, E.number(product(input.shape[-2:]), int64), fmod=0)


@nest(
    f"max_pool2d(input: Tensor, {_MAX_WINDOW}) -> Tensor",
    fast=max_pool2d_fast,
    grad={
        "input": lambda F, g, y, input, kernel_size, stride, padding, dilation, ceil_mode: F.max_pool2d_grad(
            g, input, y, kernel_size, stride, padding, dilation, ceil_mode
        )
    },
    onnx=_max_pool_onnx,
)
def max_pool2d(n: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any) -> Any:
    """The largest element of each window; padding never is the largest. `stride` is the kernel's size by default."""
    window = Windows(n, input, kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    return n.out(window.out, n.reduce("max", window.over, window.read(n, input, _lowest(input.dtype))))


@nest(
    f"max_pool2d_place(input: Tensor, {_MAX_WINDOW}) -> Tensor",
    fast=max_pool2d_place_fast,
    grad=_STEPS,
    onnx="no: ONNX counts places over the whole input",
)
def max_pool2d_place(
    n: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> Any:
    """Where in its window the largest element lies, in row-major order: the first of equals."""
    window = Windows(n, input, kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    return n.out(window.out, n.reduce("argmax", window.over, window.read(n, input, _lowest(input.dtype))))


def _plane_indices(F: Any, place: Any, width: Size, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Places in windows as places in the input's plane, y*width + x."""
    rows, columns = place.shape[-2:]
    y = F.arange(0, rows, 1, dtype=int64) * stride[0] - padding[0]
    x = F.arange(0, columns, 1, dtype=int64) * stride[1] - padding[1]
    at_y = F.unsqueeze(y, dim=1) + F.floor_divide(place, kernel[1]) * dilation[0]
    at_x = x + F.remainder(place, kernel[1]) * dilation[1]
    return at_y * width + at_x


@composite(f"max_pool2d_with_indices(input: Tensor, {_MAX_WINDOW}) -> (Tensor, Tensor)", onnx=_max_pool_indices_onnx)
def max_pool2d_with_indices(
    F: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> Any:
    """`max_pool2d`, and where in the input's plane (as y*W + x) each result was found."""
    options = (kernel_size, stride, padding, dilation, ceil_mode)
    place = F.max_pool2d_place(input, *options)
    return (
        F.max_pool2d(input, *options),
        _plane_indices(F, place, input.shape[-1], kernel_size, stride or kernel_size, padding, dilation),
    )


def _max_pool_grad_by_g(
    F: Any, g: Any, T: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> Any:
    places = F.max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)[1]
    sizes = T.grad_output.sizes
    lead = tuple(sizes[:-2])
    flat = F.reshape(g, shape=(*lead, product(T.input.sizes[-2:])))
    picked = F.gather(flat, len(lead), F.reshape(places, shape=(*lead, product(sizes[-2:]))))
    return F.reshape(picked, shape=tuple(sizes))


@composite(
    f"max_pool2d_grad(grad_output: Tensor, input: Tensor, output: Tensor, {_MAX_WINDOW}) -> Tensor",
    fast=max_pool2d_grad_fast,
    grad={"grad_output": _max_pool_grad_by_g},
    onnx="no: ONNX has no gradient of a pooling",
)
def max_pool2d_grad(
    F: Any,
    grad_output: Any,
    input: Any,
    output: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
) -> Any:
    """The gradient of `max_pool2d` by its input: each window's gradient goes to where its result was found."""
    places = F.max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)[1]
    sizes = tuple(grad_output.shape)
    lead, plane = sizes[:-2], product(sizes[-2:])
    zeros = F.full(size=(*lead, product(input.shape[-2:])), value=0, dtype=grad_output.dtype)
    index = F.reshape(places, shape=(*lead, plane))
    found = F.scatter_add(zeros, len(lead), index, F.reshape(grad_output, shape=(*lead, plane)))
    return F.reshape(found, shape=tuple(input.shape))
