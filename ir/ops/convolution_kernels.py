"""Kernels of convolution for arrays: windows are gathered, and a product of matrices does the arithmetic.

Images are taken in blocks whose windows fit into cache: the memory for them stays small however large the batch is.
Windows lie as rows with the channels innermost where rows of windows are longer than rows of the output, else as a
stack of columns, one for every image. Each kernel travels into emitted source as it stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..sizes import Size, maximum, minimum, product
from ..types import TensorType

__all__ = [
    "conv2d_fast",
    "conv2d_input_grad_fast",
    "conv2d_weight_grad_fast",
    "convolution2d_fast",
    "forward_scratch",
    "input_grad_scratch",
    "weight_grad_scratch",
    "window_count",
]

BLOCK: Final = 1 << 19  # elements of windows that are gathered at a time


def window_count(size: Size, kernel: Size, stride: int, padding: int, dilation: int) -> Size:
    """How many windows fit into a dimension.

    >>> window_count(28, 3, 1, 1, 1)
    28
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


# ---------------------------------------------------------------------------------------------------------- windows


def _wide(np: Any, x: Any) -> Any:
    """The dtype that sums are made in: float32 for halves."""
    return np.float32 if x.dtype.itemsize == 2 else x.dtype


def _buffer(np: Any, scratch: Any, place: Any, shape: Any, dtype: Any) -> Any:
    """An array of the given sizes: in scratch memory, in a function's that hands some out, or new."""
    if not scratch:
        return np.empty(shape, dtype)
    count = 1
    for size in shape:
        count *= size
    flat = scratch(place, count, dtype) if callable(scratch) else scratch[place][:count]
    return flat.reshape(shape)


def _blocks(n: Any, counts: Any, depth: Any) -> Any:
    """Where blocks of images begin and end."""
    step = max(1, BLOCK // max(1, counts[0] * counts[1] * depth))
    return [(start, min(n, start + step)) for start in range(0, n, step)]


def _counts(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    found = [(x.shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    if min(found) < 1:
        raise ValueError("conv2d: the kernel is larger than the padded input")
    return found


def _gathers_rows(channels: Any, kernel: Any, counts: Any, stride: Any, groups: Any) -> Any:
    """Whether windows are gathered as rows with the channels innermost. What is copied at a time is then a row of a
    window, else a row of the output: the longer one is faster."""
    return groups == 1 and channels * kernel[1] >= (counts[1] if stride[1] == 1 else 2)


def _is_pointwise(kernel: Any, stride: Any, padding: Any) -> Any:
    """Whether every window is one element, and every element a window: nothing is gathered."""
    return tuple(kernel) == (1, 1) and tuple(stride) == (1, 1) and tuple(padding) == (0, 0)


def _rows(np: Any, x: Any, kernel: Any, counts: Any, stride: Any, padding: Any, dilation: Any, scratch: Any) -> Any:
    """All windows as rows: (N*H'*W', kh*kw*C)."""
    n, c, h, w = x.shape
    (kh, kw), (oh, ow), (sh, sw), (ph, pw), (dh, dw) = kernel, counts, stride, padding, dilation
    wide = _buffer(np, scratch, 0, (n, h + 2 * ph, w + 2 * pw, c), _wide(np, x))
    if ph or pw:
        wide.fill(0)
    wide[:, ph : ph + h, pw : pw + w] = x.transpose(0, 2, 3, 1)
    by_image, by_row, by_column, by_channel = wide.strides
    windows = np.lib.stride_tricks.as_strided(
        wide,
        (n, oh, ow, kh, kw, c),
        (by_image, sh * by_row, sw * by_column, dh * by_row, dw * by_column, by_channel),
    )
    found = _buffer(np, scratch, 1, windows.shape, wide.dtype)
    found[...] = windows
    return found.reshape(n * oh * ow, kh * kw * c)


def _stacks(
    np: Any, x: Any, kernel: Any, counts: Any, stride: Any, padding: Any, dilation: Any, groups: Any, scratch: Any
) -> Any:
    """All windows as a stack of columns, one for every image and group: (N, groups, C/groups*kh*kw, H'*W')."""
    n, c, h, w = x.shape
    (kh, kw), (oh, ow), (sh, sw), (ph, pw), (dh, dw) = kernel, counts, stride, padding, dilation
    depth = c // groups * kh * kw
    wide = x.astype(_wide(np, x), copy=False)
    if _is_pointwise(kernel, stride, padding):
        return wide.reshape(n, groups, depth, oh * ow)
    if ph or pw:
        wide = _buffer(np, scratch, 0, (n, c, h + 2 * ph, w + 2 * pw), _wide(np, x))
        wide.fill(0)
        wide[:, :, ph : ph + h, pw : pw + w] = x
    found = _buffer(np, scratch, 1, (n, c, kh, kw, oh, ow), _wide(np, x))
    for i in range(kh):
        for j in range(kw):
            top, left = i * dh, j * dw
            found[:, :, i, j] = wide[:, :, top : top + sh * (oh - 1) + 1 : sh, left : left + sw * (ow - 1) + 1 : sw]
    return found.reshape(n, groups, depth, oh * ow)


# ---------------------------------------------------------------------------------------------------------- forward


def _finish(np: Any, found: Any, b: Any, out: Any) -> None:
    """The product plus the bias, in the layout and dtype of the output."""
    if b is None:
        if found is not out:
            out[...] = found
    elif out.dtype == found.dtype:
        np.add(found, b[:, None, None], out=out)
    else:
        out[...] = found + b.astype(found.dtype)[:, None, None]


def _forward(
    np: Any, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: Any, out: Any, scratch: Any
) -> Any:
    if x.ndim != 4 or w.ndim != 4 or x.dtype != w.dtype or x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ValueError("conv2d: operands do not fit")
    if b is not None and (b.shape != w.shape[:1] or b.dtype != x.dtype):
        raise ValueError("conv2d: bias does not fit")
    kernel = w.shape[2:]
    counts = _counts(x, kernel, stride, padding, dilation)
    n, c, o = x.shape[0], x.shape[1], w.shape[0]
    if out is None:
        out = np.empty((n, o, *counts), x.dtype)
    weights = w.astype(_wide(np, x), copy=False)
    depth = c * kernel[0] * kernel[1]
    as_rows = not _is_pointwise(kernel, stride, padding) and _gathers_rows(c, kernel, counts, stride, groups)
    if as_rows:
        matrix = weights.transpose(2, 3, 1, 0).reshape(depth, o)
    else:
        matrix = weights.reshape(groups, o // groups, depth // groups)
    for start, stop in _blocks(n, counts, depth):
        part, place = x[start:stop], out[start:stop]
        if as_rows:
            rows = _rows(np, part, kernel, counts, stride, padding, dilation, scratch)
            total = _buffer(np, scratch, 2, (rows.shape[0], o), rows.dtype)
            found = np.matmul(rows, matrix, out=total).reshape(stop - start, *counts, o).transpose(0, 3, 1, 2)
        else:
            stacks = _stacks(np, part, kernel, counts, stride, padding, dilation, groups, scratch)
            if out.dtype == stacks.dtype:
                # A product for each image reads its columns while they are in cache, and writes where it belongs.
                np.matmul(matrix, stacks, out=place.reshape(stop - start, groups, o // groups, counts[0] * counts[1]))
                found = place
            else:
                found = np.matmul(matrix, stacks).reshape(place.shape)
        _finish(np, found, b, place)
    return out


def convolution2d_fast(
    np: Any,
    x: Any,
    w: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    return _forward(np, x, w, None, stride, padding, dilation, groups, out, scratch)


def conv2d_fast(
    np: Any,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    return _forward(np, x, w, b, stride, padding, dilation, groups, out, scratch)


# -------------------------------------------------------------------------------------------------------- gradients


def _is_convolution(c: Any, o: Any, kh: Any, kw: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    """Whether the input's gradient is the convolution of the output's with the filters turned round; with many
    more outputs than inputs that gathers too much."""
    fits = dilation[0] * (kh - 1) >= padding[0] and dilation[1] * (kw - 1) >= padding[1]
    return stride == (1, 1) and groups == 1 and fits and 4 * c >= o


def conv2d_input_grad_fast(
    np: Any,
    g: Any,
    w: Any,
    *,
    input_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    n, o, oh, ow = g.shape
    if w.shape[0] != o or g.dtype != w.dtype:
        raise ValueError("conv2d_input_grad: operands do not fit")
    c, h, width = input_size[1:]
    kh, kw = w.shape[2:]
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    if _is_convolution(c, o, kh, kw, stride, padding, dilation, groups):
        turned = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        around = dh * (kh - 1) - ph, dw * (kw - 1) - pw
        return _forward(np, g, turned, None, stride, around, dilation, 1, out, scratch)
    if out is None:
        out = np.empty((n, c, h, width), g.dtype)
    dtype = _wide(np, g)
    matrix = w.astype(dtype, copy=False).reshape(groups, o // groups, c // groups * kh * kw).transpose(0, 2, 1)
    for start, stop in _blocks(n, (oh, ow), c * kh * kw):
        part = g[start:stop].astype(dtype, copy=False).transpose(1, 0, 2, 3)
        part = part.reshape(groups, o // groups, (stop - start) * oh * ow)
        columns = np.matmul(matrix, part).reshape(c, kh, kw, stop - start, oh, ow)
        wide = np.zeros((c, stop - start, h + 2 * ph, width + 2 * pw), dtype)
        for i in range(kh):
            for j in range(kw):
                top, left = i * dh, j * dw
                wide[:, :, top : top + sh * (oh - 1) + 1 : sh, left : left + sw * (ow - 1) + 1 : sw] += columns[:, i, j]
        out[start:stop] = wide[:, :, ph : ph + h, pw : pw + width].transpose(1, 0, 2, 3)
    return out


def conv2d_weight_grad_fast(
    np: Any,
    g: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    n, o, oh, ow = g.shape
    if x.ndim != 4 or x.shape[0] != n or g.dtype != x.dtype:
        raise ValueError("conv2d_weight_grad: operands do not fit")
    c = x.shape[1]
    kh, kw = kernel_size
    dtype = _wide(np, x)
    as_rows = _gathers_rows(c, kernel_size, (oh, ow), stride, groups)
    total = None
    for start, stop in _blocks(n, (oh, ow), c * kh * kw):
        part, slopes = x[start:stop], g[start:stop].astype(dtype, copy=False)
        if as_rows:
            slopes = slopes.transpose(1, 0, 2, 3).reshape(o, (stop - start) * oh * ow)
            rows = _rows(np, part, kernel_size, (oh, ow), stride, padding, dilation, scratch)
            found = np.matmul(slopes, rows)
        else:
            stacks = _stacks(np, part, kernel_size, (oh, ow), stride, padding, dilation, groups, scratch)
            slopes = slopes.reshape(stop - start, groups, o // groups, oh * ow)
            found = np.add.reduce(np.matmul(slopes, stacks.transpose(0, 1, 3, 2)), axis=0)
        total = found if total is None else np.add(total, found, out=total)
    if total is None:
        total = np.zeros((o, c // groups * kh * kw), dtype)
    if as_rows:
        total = total.reshape(o, kh, kw, c).transpose(0, 3, 1, 2)
    else:
        total = total.reshape(o, c // groups, kh, kw)
    if out is None:
        return np.ascontiguousarray(total).astype(g.dtype, copy=False)
    out[...] = total
    return out


# ---------------------------------------------------------------------------------------------------------- scratch


def _window_scratch(
    input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[TensorType, TensorType, Size]:
    """Memory for the framed images of a block and for their windows, however they lie; and the number of windows."""
    n, c, h, w = input.sizes
    counts = list(map(window_count, input.sizes[2:], kernel, stride, padding, dilation))
    depth = product([c, *kernel])
    images = minimum(n, maximum(1, BLOCK // maximum(1, product(counts) * depth)))
    framed = product([images, c, h + 2 * padding[0], w + 2 * padding[1]])
    windows = product([images, *counts])
    return TensorType(input.dtype, (framed,)), TensorType(input.dtype, (windows * depth,)), windows


def forward_scratch(types: Sequence[Any], attrs: Mapping[str, Any]) -> tuple[TensorType, ...]:
    """The framed images, their windows, the product; none for halves, which are computed in a wider dtype."""
    input, weight = types[:2]
    if input.dtype.itemsize == 2 or _is_pointwise(weight.sizes[2:], attrs["stride"], attrs["padding"]):
        return ()
    stride, padding, dilation = attrs["stride"], attrs["padding"], attrs["dilation"]
    framed, gathered, windows = _window_scratch(input, weight.sizes[2:], stride, padding, dilation)
    return framed, gathered, TensorType(input.dtype, (windows * weight.sizes[0],))


def weight_grad_scratch(types: Sequence[Any], attrs: Mapping[str, Any]) -> tuple[TensorType, ...]:
    """The framed images and their windows; none for halves, which are computed in a wider dtype."""
    if types[1].dtype.itemsize == 2:
        return ()
    stride, padding, dilation = attrs["stride"], attrs["padding"], attrs["dilation"]
    return _window_scratch(types[1], attrs["kernel_size"], stride, padding, dilation)[:2]


def input_grad_scratch(types: Sequence[Any], attrs: Mapping[str, Any]) -> tuple[TensorType, ...]:
    """What the convolution that gives the gradient takes, where it is one."""
    grad, weight = types
    (o, c, kh, kw), dilation, padding = weight.sizes, attrs["dilation"], attrs["padding"]
    if not all(isinstance(size, int) for size in weight.sizes) or grad.dtype.itemsize == 2:
        return ()
    if not _is_convolution(c, o, kh, kw, attrs["stride"], padding, dilation, attrs["groups"]):
        return ()
    around = dilation[0] * (kh - 1) - padding[0], dilation[1] * (kw - 1) - padding[1]
    return forward_scratch((grad, weight.with_(sizes=(c, o, kh, kw))), {**attrs, "padding": around})
