"""Pooling in two dimensions: the largest element or the mean of each window.

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
from ..sizes import Size, ask, equal, minimum, product
from .checks import require, require_float
from .reduction import widened

__all__: list[str] = []

_WINDOW = "kernel_size: int[2], stride: int[2]? = None, padding: int[2] = 0"
_MAX_WINDOW = f"{_WINDOW}, dilation: int[2] = 1, ceil_mode: bool = False"
_STEPS = NotDifferentiable("its result is an index")


def _count(size: Size, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> Size:
    """How many windows there are along one dimension."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    return minimum((span + stride - 1) // stride + 1, (size + padding - 1) // stride + 1)


def _windows(
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


class _Window:
    """The letters of a pooling nest, and where in the input an element of a window lies."""

    def __init__(
        self, n: Any, input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
    ) -> None:
        counts = _windows(n.op, input.sizes, kernel, stride, padding, dilation, ceil_mode)
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


def _least(np: Any, dtype: Any) -> Any:
    if dtype.kind == "b":
        return False
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


# ----------------------------------------------------------------------------------------------------- max pooling


def max_pool2d_fast(
    np: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = _counts(x, kernel_size, stride, padding, dilation, ceil_mode)
    wide = _framed(np, x, counts, kernel_size, stride, padding, dilation, _least(np, x.dtype))
    parts = _parts(wide, counts, kernel_size, stride, dilation)
    if len(parts) == 1:
        if out is None:
            return parts[0].copy()
        out[...] = parts[0]
        return out
    found = np.maximum(parts[0], parts[1], out=out)
    for part in parts[2:]:
        np.maximum(found, part, out=found)
    return found


def _lowest(dtype: Any) -> Any:
    if dtype.kind == "bool":
        return False
    return int(np.iinfo(dtype.np).min) if dtype.kind == "int" else -np.inf


_FRONT = np.array([0], np.int64)


def _onnx_windows(
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
    batched = input if input.ndim == 4 else E.Unsqueeze(input, _FRONT)
    options = _onnx_windows("max_pool2d", input.shape, kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    found = E.MaxPool(batched, dilations=tuple(dilation), outputs=outputs, **options)
    if input.ndim == 4:
        return found
    return E.Squeeze(found, _FRONT) if outputs == 1 else tuple(E.Squeeze(x, _FRONT) for x in found)


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
    window = _Window(n, input, kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    return n.out(window.out, n.reduce("max", window.over, window.read(n, input, _lowest(input.dtype))))


def max_pool2d_place_fast(
    np: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = _counts(x, kernel_size, stride, padding, dilation, ceil_mode)
    wide = _framed(np, x, counts, kernel_size, stride, padding, dilation, _least(np, x.dtype))
    parts = _parts(wide, counts, kernel_size, stride, dilation)
    best = parts[0].copy()
    found = np.zeros(best.shape, np.int64) if out is None else out
    found[...] = 0
    for k, part in enumerate(parts):
        # NaN wins over all and keeps its place: it compares false with everything.
        better = ~(part <= best) & (best == best)
        found[better] = k
        best = np.where(better, part, best)
    return found


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
    window = _Window(n, input, kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
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


def max_pool2d_grad_fast(
    np: Any,
    g: Any,
    x: Any,
    y: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = _counts(x, kernel_size, stride, padding, dilation, ceil_mode)
    wide = _framed(np, x, counts, kernel_size, stride, padding, dilation, _least(np, x.dtype))
    found = np.empty(wide.shape, g.dtype) if out is None or wide is not x else out
    parts = _parts(wide, counts, kernel_size, stride, dilation)
    targets = _parts(found, counts, kernel_size, stride, dilation)
    apart = dilation == (1, 1) and stride[0] >= kernel_size[0] and stride[1] >= kernel_size[1]
    if len(parts) * y.size != found.size or not apart:  # some elements are in no window, or in several
        found[...] = 0
    missing = y != y
    some_missing = missing.any()
    # Only the first element that equals the largest gets the gradient. NaN, which equals nothing, is taken as it is.
    free = np.ones(y.shape, bool)
    for k, part in enumerate(parts):
        if k == len(parts) - 1:
            hit = free  # found nowhere before
        else:
            hit = part == y
            if some_missing:
                hit |= missing & (part != part)
            hit &= free
            free ^= hit
        if apart:
            np.multiply(g, hit, out=targets[k])
        else:
            targets[k] += g * hit
    if wide is not x:
        found = found[..., padding[0] : padding[0] + x.shape[-2], padding[1] : padding[1] + x.shape[-1]]
    if found is out or out is None:
        return np.ascontiguousarray(found)
    out[...] = found
    return out


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
    batched = input if input.ndim == 4 else E.Unsqueeze(input, _FRONT)
    options = _onnx_windows("sum_pool2d", input.shape, kernel_size, stride or kernel_size, padding, (1, 1), ceil_mode)
    if "ceil_mode" in options:
        raise ExportError("sum_pool2d: ONNX has no sums of windows that hang over", found="ceil_mode=True")
    found = E.AveragePool(batched, count_include_pad=1, **options)
    return found if input.ndim == 4 else E.Squeeze(found, _FRONT)


@nest(
    f"sum_pool2d(input: Tensor, {_WINDOW}, ceil_mode: bool = False) -> Tensor",
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
    window = _Window(n, input, kernel_size, stride or kernel_size, padding, (1, 1), ceil_mode)
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
    f"sum_pool2d_grad(grad_output: Tensor, input_size: size[], {_WINDOW}, ceil_mode: bool = False) -> Tensor",
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
    counts = _windows(n.op, input_size, kernel_size, strides, padding, (1, 1), ceil_mode)
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


def _avg_pool_onnx(
    E: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool
) -> Any:
    batched = input if input.ndim == 4 else E.Unsqueeze(input, _FRONT)
    options = _onnx_windows("avg_pool2d", input.shape, kernel_size, stride or kernel_size, padding, (1, 1), ceil_mode)
    (_, _, bottom, right), (ph, pw) = options["pads"], padding
    if count_include_pad and ceil_mode and (ph or pw):
        # The padding counts, what hangs over beyond it does not: the padding becomes part of the input.
        batched = E.Pad(batched, np.array([0, 0, ph, pw] * 2, np.int64), E.number(0, input), mode="constant")
        options["pads"] = (0, 0, bottom - ph, right - pw)
        count_include_pad = False
    found = E.AveragePool(batched, count_include_pad=int(count_include_pad and not ceil_mode), **options)
    return found if input.ndim == 4 else E.Squeeze(found, _FRONT)


@composite(
    f"avg_pool2d(input: Tensor, {_WINDOW}, ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor",
    onnx=_avg_pool_onnx,
)
def avg_pool2d(
    F: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any, count_include_pad: Any
) -> Any:
    """The mean of each window. Padding counts as elements of 0 unless `count_include_pad` is false; what hangs over
    beyond the padding never counts."""
    require_float("avg_pool2d", input=input)
    _windows("avg_pool2d", input.shape, kernel_size, stride or kernel_size, padding, (1, 1), ceil_mode)
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
    counts = _windows("avg_pool2d", x.shape, kernel, stride or kernel, padding, (1, 1), ceil_mode)
    for i, count in enumerate(counts):
        counted = F.slice(counted, dim=1 + i, start=0, end=count, step=1)
    return counted


# ----------------------------------------------------------------------------------------------- adaptive pooling


def _bin(i: Any, size: Size, count: Size) -> tuple[Any, Any]:
    """Where the i-th of `count` bins over `size` elements begins and ends; neighbours may share an element."""
    start = i * as_index(size) // as_index(count)
    return start, ((i + 1) * as_index(size) + (as_index(count) - 1)) // as_index(count)


def _between_bins_onnx(E: Any, x: Any, sizes: Sequence[Size], counts: Sequence[Size], backwards: bool) -> Any:
    """Sums over bins, or each bin's number at all its elements: a product with matrices of 0 and 1 on both sides."""
    if not all(isinstance(n, int) for n in (*sizes, *counts)):
        raise ExportError("adaptive pooling: ONNX needs its height and width to be known", found=f"{tuple(sizes)}")
    rows, columns = (_bin_matrix(size, count) for size, count in zip(sizes, counts, strict=True))
    if backwards:
        rows, columns = rows.T, columns.T
    return E.MatMul(E.MatMul(rows.astype(x.dtype.np), x), columns.T.astype(x.dtype.np))


def _bin_matrix(size: Any, count: Any) -> Any:
    """1 where the bin of a row holds the element of a column."""
    i, at = np.arange(count)[:, None], np.arange(size)
    return (at >= i * size // count) & (at < ((i + 1) * size + count - 1) // count)


@nest(
    "adaptive_sum_pool2d(input: Tensor, output_size: size[2]) -> Tensor",
    grad={"input": lambda F, g, T: F.adaptive_sum_pool2d_grad(g, T.input.sizes)},
    onnx=lambda E, input, output_size: _between_bins_onnx(E, input, input.shape[-2:], output_size, False),
)
def adaptive_sum_pool2d(n: Any, input: Any, output_size: Any) -> Any:
    """The sums over a grid of `output_size` bins, which are as equal as can be."""
    n.require(input.ndim in (3, 4), "input is not an image", "sizes (N, C, H, W) or (C, H, W)", str(input.type))
    letters = n.letters([*input.sizes[:-2], *output_size])
    at = list(letters)
    over, inside = [], []
    for i in (0, 1):
        axis = len(letters) - 2 + i
        size, count = input.sizes[axis], output_size[i]
        start, end = _bin(letters[axis], size, count)
        # A bin is at most one element longer than the quotient rounded up.
        step = n.letter((size + count - 1) // count + (0 if equal(size % count, 0) else 1))
        at[axis] = start + step
        over.append(step)
        inside.append(at[axis] < end)
    return n.out(letters, n.sum(over, n.guard(inside, input[at], 0)))


@nest(
    "adaptive_sum_pool2d_grad(grad_output: Tensor, input_size: size[]) -> Tensor",
    grad={"grad_output": lambda F, g, T: F.adaptive_sum_pool2d(g, T.grad_output.sizes[-2:])},
    onnx=lambda E, grad_output, input_size: _between_bins_onnx(
        E, grad_output, input_size[-2:], grad_output.shape[-2:], True
    ),
)
def adaptive_sum_pool2d_grad(n: Any, grad_output: Any, input_size: Any) -> Any:
    """The gradient of `adaptive_sum_pool2d` by its input."""
    letters = n.letters(input_size)
    over = n.letters(grad_output.sizes[-2:])
    inside = []
    for i in (0, 1):
        letter = letters[len(letters) - 2 + i]
        start, end = _bin(over[i], input_size[len(input_size) - 2 + i], grad_output.sizes[grad_output.ndim - 2 + i])
        inside += [letter >= start, letter < end]
    return n.out(letters, n.sum(over, n.guard(inside, grad_output[[*letters[:-2], *over]], 0)))


def _adaptive_onnx(E: Any, input: Any, output_size: Any) -> Any:
    if all(equal(size, 1) for size in output_size) and input.ndim == 4:
        return E.GlobalAveragePool(input)
    sizes = input.shape[-2:]
    if not all(isinstance(x, int) for x in (*sizes, *output_size)) or any(
        size % count for size, count in zip(sizes, output_size, strict=True)
    ):
        raise ExportError("adaptive_avg_pool2d: ONNX has it for sizes that divide evenly only", found=f"{output_size}")
    kernel = tuple(size // count for size, count in zip(sizes, output_size, strict=True))
    return _avg_pool_onnx(E, input, kernel, kernel, (0, 0), False, True)


@composite("adaptive_avg_pool2d(input: Tensor, output_size: size[2]) -> Tensor", onnx=_adaptive_onnx)
def adaptive_avg_pool2d(F: Any, input: Any, output_size: Any) -> Any:
    """The means over a grid of `output_size` bins, which are as equal as can be."""
    require_float("adaptive_avg_pool2d", input=input)
    require(
        "adaptive_avg_pool2d",
        input.ndim in (3, 4),
        "input is not an image",
        "sizes (N, C, H, W) or (C, H, W)",
        input=input,
    )
    h, w = input.shape[-2:]
    if all(equal(size, 1) for size in output_size):
        return F.mean(input, dim=(-2, -1), keepdim=True)
    if all(isinstance(x, int) and x > 0 for x in (h, w, *output_size)) and not (
        h % output_size[0] or w % output_size[1]
    ):
        kernel = (h // output_size[0], w // output_size[1])
        return F.avg_pool2d(input, kernel, kernel)
    x = widened(F, input)
    ones = F.full(size=(1, h, w), value=1, dtype=x.dtype)
    mean = F.adaptive_sum_pool2d(x, output_size) / F.adaptive_sum_pool2d(ones, output_size)
    return mean if mean.dtype is input.dtype else F.cast(mean, dtype=input.dtype)
