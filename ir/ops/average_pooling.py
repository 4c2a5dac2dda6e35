"""The sum and the mean of each window; windows are those of `pooling`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ExportError
from ..families import composite, nest
from ..nest import as_index
from ..sizes import equal
from .checks import require_float
from .halves import narrowed, widened
from .pooling import FRONT, WINDOW, Windows, onnx_windows, output_sizes
from .pooling_kernels import sum_pool2d_fast, sum_pool2d_grad_fast

__all__ = ["avg_pool_onnx"]


def _padded_avg_pool_onnx(E: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool) -> Any:
    """The sum of each window over the number of places in it, be they inside or not."""
    batched = input if input.ndim == 4 else E.Unsqueeze(input, FRONT)
    options = onnx_windows("sum_pool2d", input.shape, kernel_size, stride or kernel_size, padding, (1, 1), ceil_mode)
    if "ceil_mode" in options:
        raise ExportError("sum_pool2d: ONNX has no sums of windows that hang over", found="ceil_mode=True")
    found = E.AveragePool(batched, count_include_pad=1, **options)
    return found if input.ndim == 4 else E.Squeeze(found, FRONT)


@nest(
    f"sum_pool2d(input: Tensor, {WINDOW}, ceil_mode: bool = False) -> Tensor",
    fast=sum_pool2d_fast,
    grad={
        "input": lambda F, g, T, kernel_size, stride, padding, ceil_mode: F.sum_pool2d_grad(
            g, T.input.sizes, kernel_size, stride, padding, ceil_mode
        )
    },
    onnx=lambda E, input, kernel_size, stride, padding, ceil_mode: E.Mul(
        _padded_avg_pool_onnx(E, input, kernel_size, stride, padding, ceil_mode), kernel_size[0] * kernel_size[1]
    ),
)
def sum_pool2d(n: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any) -> Any:
    """The sum of each window."""
    window = Windows(n, input, kernel_size, stride or kernel_size, padding, (1, 1), ceil_mode)
    return n.out(window.out, n.sum(window.over, window.read(n, input, 0)))


@nest(
    f"sum_pool2d_grad(grad_output: Tensor, input_size: size[], {WINDOW}, ceil_mode: bool = False) -> Tensor",
    fast=sum_pool2d_grad_fast,
    grad={
        "grad_output": lambda F, g, kernel_size, stride, padding, ceil_mode: F.sum_pool2d(
            g, kernel_size, stride, padding, ceil_mode
        )
    },
    onnx="no: ONNX has no gradient of a pooling",
)
def sum_pool2d_grad(
    n: Any, grad_output: Any, input_size: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any
) -> Any:
    """The gradient of `sum_pool2d` by its input: the sum of the gradients of the windows that hold an element."""
    strides = stride or kernel_size
    counts = output_sizes(n.op, input_size, kernel_size, strides, padding, (1, 1), ceil_mode)
    same = all(equal(a, b) is True for a, b in zip(grad_output.sizes[-2:], counts, strict=True))
    n.require(same, "grad_output does not have the output's sizes", f"{counts}", str(grad_output.type))
    letters = n.letters(input_size)
    over = n.letters(kernel_size)
    at = list(letters)
    inside = []
    for i in (0, 1):
        axis = len(letters) - 2 + i
        offset = letters[axis] + padding[i] - over[i]
        at[axis] = offset // strides[i]
        inside += [n.s.eq(offset % strides[i], 0), at[axis] >= 0, at[axis] < as_index(counts[i])]
    return n.out(letters, n.sum(over, n.guard(inside, grad_output[at], 0)))


def avg_pool_onnx(
    E: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool
) -> Any:
    batched = input if input.ndim == 4 else E.Unsqueeze(input, FRONT)
    options = onnx_windows("avg_pool2d", input.shape, kernel_size, stride or kernel_size, padding, (1, 1), ceil_mode)
    (_, _, bottom, right), (ph, pw) = options["pads"], padding
    if count_include_pad and ceil_mode and (ph or pw):
        # The padding counts, what hangs over beyond it does not: the padding becomes part of the input.
        batched = E.Pad(batched, np.array([0, 0, ph, pw] * 2, np.int64), E.number(0, input), mode="constant")
        options["pads"] = (0, 0, bottom - ph, right - pw)
        count_include_pad = False
    found = E.AveragePool(batched, count_include_pad=int(count_include_pad and not ceil_mode), **options)
    return found if input.ndim == 4 else E.Squeeze(found, FRONT)


@composite(
    f"avg_pool2d(input: Tensor, {WINDOW}, ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor",
    onnx=avg_pool_onnx,
)
def avg_pool2d(
    F: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any, count_include_pad: Any
) -> Any:
    """The mean of each window. Padding counts as elements of 0 unless `count_include_pad` is false; what hangs over
    beyond the padding never counts."""
    require_float("avg_pool2d", input=input)
    output_sizes("avg_pool2d", input.shape, kernel_size, stride or kernel_size, padding, (1, 1), ceil_mode)
    x = widened(F, input)
    total = F.sum_pool2d(x, kernel_size, stride, padding, ceil_mode)
    if (count_include_pad or padding == (0, 0)) and not ceil_mode:
        mean = total / (kernel_size[0] * kernel_size[1])
    else:
        mean = total / _elements(F, x, kernel_size, stride, padding, ceil_mode, count_include_pad)
    return narrowed(F, mean, input.dtype)


def _elements(F: Any, x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool) -> Any:
    """How many elements each window holds, as a plane."""
    h, w = x.shape[-2:]
    if not count_include_pad:
        return F.sum_pool2d(F.full(size=(1, h, w), value=1, dtype=x.dtype), kernel, stride, padding, ceil_mode)
    # Ones on the padding too. Windows must begin where they would with the padding that pads them further.
    plane = F.full(size=(1, h + 2 * padding[0], w + 2 * padding[1]), value=1, dtype=x.dtype)
    counted = F.sum_pool2d(plane, kernel, stride, (0, 0), ceil_mode)
    counts = output_sizes("avg_pool2d", x.shape, kernel, stride or kernel, padding, (1, 1), ceil_mode)
    for i, count in enumerate(counts):
        counted = F.slice(counted, dim=1 + i, start=0, end=count, step=1)
    return counted
