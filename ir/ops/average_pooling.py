"""The sum and the mean of each window; windows are those of `pooling`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ExportError
from ..families import composite, nest
from ..nest import as_index
from ..sizes import equal
from .checks import require_float
from .halves import widened
from .pooling import FRONT, WINDOW, Windows, onnx_windows, output_sizes
from .reduction import widened

__all__ = ["avg_pool_onnx"]


# --------------------------------------------------------------------------------------------------- kernels' parts


def _counts(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any) -> Any:
    found = []
    for i in (0, 1):
        size = x.shape[x.ndim - 2 + i]
        span = size + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1
        count = span // stride[i] + 1
        if ceil_mode:
            count = min(-(-span // stride[i]) + 1, (size + padding[i] - 1) // stride[i] + 1)
        if count < 1 or x.ndim not in (3, 4) or 2 * padding[i] > dilation[i] * (kernel[i] - 1) + 1:
            raise ValueError("pooling: the windows do not fit the input")
        found.append(count)
    return found


def _framed(np: Any, x: Any, counts: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, value: Any) -> Any:
    """The input with `value` around it, as far as the windows reach."""
    h, w = x.shape[-2:]
    ph, pw = padding
    high = stride[0] * (counts[0] - 1) + dilation[0] * (kernel[0] - 1) + 1
    wide = stride[1] * (counts[1] - 1) + dilation[1] * (kernel[1] - 1) + 1
    if not ph and not pw and high <= h and wide <= w:
        return x
    found = np.full((*x.shape[:-2], max(high, h + ph), max(wide, w + pw)), value, x.dtype)
    found[..., ph : ph + h, pw : pw + w] = x
    return found


def _parts(x: Any, counts: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """For every place in a window, the elements at that place of all windows."""
    found = []
    for i in range(kernel[0]):
        top = i * dilation[0]
        rows = slice(top, top + stride[0] * (counts[0] - 1) + 1, stride[0])
        for j in range(kernel[1]):
            left = j * dilation[1]
            found.append(x[..., rows, left : left + stride[1] * (counts[1] - 1) + 1 : stride[1]])
    return found


# ------------------------------------------------------------------------------------------- sums and means of windows


def sum_pool2d_fast(
    np: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = _counts(x, kernel_size, stride, padding, (1, 1), ceil_mode)
    wide = _framed(np, x, counts, kernel_size, stride, padding, (1, 1), 0)
    parts = _parts(wide, counts, kernel_size, stride, (1, 1))
    if len(parts) == 1:
        if out is None:
            return parts[0].copy()
        out[...] = parts[0]
        return out
    found = np.add(parts[0], parts[1], out=out)
    for part in parts[2:]:
        np.add(found, part, out=found)
    return found


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


def sum_pool2d_grad_fast(
    np: Any,
    g: Any,
    *,
    input_size: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = g.shape[-2:]
    h, w = input_size[-2:]
    ph, pw = padding
    high = max(h + 2 * ph, stride[0] * (counts[0] - 1) + kernel_size[0])
    wide = max(w + 2 * pw, stride[1] * (counts[1] - 1) + kernel_size[1])
    found = np.zeros((*g.shape[:-2], high, wide), g.dtype)
    for target in _parts(found, counts, kernel_size, stride, (1, 1)):
        target += g
    found = found[..., ph : ph + h, pw : pw + w]
    if out is None:
        return np.ascontiguousarray(found)
    out[...] = found
    return out


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
    return mean if mean.dtype is input.dtype else F.cast(mean, dtype=input.dtype)


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
