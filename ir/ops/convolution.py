"""Convolution in two dimensions and its two gradients, each an op that can be differentiated again.

The kernels gather the windows into columns and leave the arithmetic to one product of matrices per group.
Layouts: input (N, C, H, W), weight (O, C/groups, kernel height, kernel width), output (N, O, H', W').
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, ExportError
from ..families import composite, nest
from ..nest import as_index
from ..sizes import Size, ask, equal, product
from ..types import TensorType
from .checks import require, require_equal, require_same_dtype

__all__ = ["window_count"]

_OPTIONS = "stride: int[2] = 1, padding: int[2] = 0, dilation: int[2] = 1, groups: int = 1"


def window_count(size: Size, kernel: Size, stride: int, padding: int, dilation: int) -> Size:
    """How many windows fit into a dimension.

    >>> window_count(28, 3, 1, 1, 1)
    28
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _check_windows(n: Any, sizes: Sequence[Size], kernel: Sequence[Size], attrs: Any) -> tuple[Size, Size]:
    """The output's height and width."""
    stride, padding, dilation, groups = attrs
    if min(stride) < 1 or min(dilation) < 1 or min(padding) < 0 or groups < 1:
        raise ArgumentError(
            f"{n.op}: an option is out of range",
            expected="stride >= 1, dilation >= 1, padding >= 0, groups >= 1",
            found=f"stride={stride} padding={padding} dilation={dilation} groups={groups}",
        )
    found = tuple(map(window_count, sizes, kernel, stride, padding, dilation))
    for i, count in enumerate(found):
        name = ("height", "width")[i]
        n.require(
            ask("<", count, 1) is not True,
            f"the kernel is larger than the padded input in {name}",
            f"dilation*(kernel - 1) + 1 <= input.size({i + 2}) + 2*padding",
            f"{dilation[i] * (kernel[i] - 1) + 1} > {sizes[i] + 2 * padding[i]}",
        )
    return found  # type: ignore[return-value]


def _check_layout(n: Any, **operands: Any) -> None:
    for name, x in operands.items():
        n.require(x.ndim == 4, f"{name} does not have four dimensions", "4 dimensions", f"{name}: {x.type}")
    require_same_dtype(n.op, **operands)


# ------------------------------------------------------------------------------------------------- kernels


def _wide(np: Any, x: Any) -> Any:
    """The dtype that sums are made in: float32 for halves."""
    return np.float32 if x.dtype.itemsize == 2 else x.dtype


def _buffer(np: Any, scratch: Any, place: Any, shape: Any, dtype: Any) -> Any:
    """An array of the given sizes, in scratch memory where there is some."""
    if not scratch:
        return np.empty(shape, dtype)
    return scratch[place].reshape(shape)


def _counts(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    return [(x.shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]


def _gathers_rows(channels: Any, kernel: Any, counts: Any, stride: Any, groups: Any) -> Any:
    """Whether windows are gathered as rows with the channels innermost. What is copied at a time is then a row of a
    window, else a row of the output: the longer one is faster."""
    return groups == 1 and channels * kernel[1] >= (counts[1] if stride[1] == 1 else 2)


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


def _is_pointwise(kernel: Any, stride: Any, padding: Any) -> Any:
    """Whether every window is one element, and every element a window: nothing is gathered."""
    return tuple(kernel) == (1, 1) and tuple(stride) == (1, 1) and tuple(padding) == (0, 0)


def _finished(np: Any, found: Any, b: Any, dtype: Any, out: Any) -> Any:
    """The product plus the bias, in the layout and dtype of the output."""
    if out is None:
        out = np.empty(found.shape, dtype)
    if b is None:
        if out is not found:
            out[...] = found
    elif dtype == found.dtype:
        np.add(found, b[:, None, None], out=out)
    else:
        out[...] = found + b.astype(found.dtype)[:, None, None]
    return out


def _forward(
    np: Any, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: Any, out: Any, scratch: Any
) -> Any:
    if x.ndim != 4 or w.ndim != 4 or x.dtype != w.dtype or x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ValueError("conv2d: operands do not fit")
    if b is not None and (b.shape != w.shape[:1] or b.dtype != x.dtype):
        raise ValueError("conv2d: bias does not fit")
    kernel = w.shape[2:]
    counts = _counts(x, kernel, stride, padding, dilation)
    if min(counts) < 1:
        raise ValueError("conv2d: the kernel is larger than the padded input")
    n, c, o = x.shape[0], x.shape[1], w.shape[0]
    weights = w.astype(_wide(np, x), copy=False)
    if not _is_pointwise(kernel, stride, padding) and _gathers_rows(c, kernel, counts, stride, groups):
        rows = _rows(np, x, kernel, counts, stride, padding, dilation, scratch)
        matrix = weights.transpose(2, 3, 1, 0).reshape(rows.shape[1], o)
        total = _buffer(np, scratch, 2, (rows.shape[0], o), rows.dtype)
        found = np.matmul(rows, matrix, out=total).reshape(n, *counts, o).transpose(0, 3, 1, 2)
        return _finished(np, found, b, x.dtype, out)
    stacks = _stacks(np, x, kernel, counts, stride, padding, dilation, groups, scratch)
    rows = weights.reshape(groups, o // groups, stacks.shape[2])
    if out is None or out.dtype != rows.dtype:
        found = np.matmul(rows, stacks).reshape(n, o, *counts)
        return _finished(np, found, b, x.dtype, found if out is None and x.dtype == found.dtype else out)
    # A product for each image reads its columns while they are in cache, and writes the result where it belongs.
    np.matmul(rows, stacks, out=out.reshape(n, groups, o // groups, counts[0] * counts[1]))
    return _finished(np, out, b, x.dtype, out)


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
    around = dh * (kh - 1) - ph, dw * (kw - 1) - pw
    if stride == (1, 1) and groups == 1 and min(around) >= 0 and 4 * c >= o:
        # The convolution of the gradient with the filters turned round.
        turned = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        return _forward(np, g, turned, None, stride, around, dilation, 1, out, None)
    dtype = _wide(np, g)
    rows = g.astype(dtype, copy=False).transpose(1, 0, 2, 3).reshape(groups, o // groups, n * oh * ow)
    matrix = w.astype(dtype, copy=False).reshape(groups, o // groups, c // groups * kh * kw)
    columns = np.matmul(matrix.transpose(0, 2, 1), rows).reshape(c, kh, kw, n, oh, ow)
    wide = np.zeros((c, n, h + 2 * ph, width + 2 * pw), dtype)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dh, j * dw
            wide[:, :, top : top + sh * (oh - 1) + 1 : sh, left : left + sw * (ow - 1) + 1 : sw] += columns[:, i, j]
    found = wide[:, :, ph : ph + h, pw : pw + width].transpose(1, 0, 2, 3)
    return _finished(np, found, None, g.dtype, out)


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
    dtype = _wide(np, x)
    if _gathers_rows(c, kernel_size, (oh, ow), stride, groups):
        slopes = g.astype(dtype, copy=False).transpose(1, 0, 2, 3).reshape(o, n * oh * ow)
        rows = _rows(np, x, kernel_size, (oh, ow), stride, padding, dilation, scratch)
        found = np.matmul(slopes, rows).reshape(o, *kernel_size, c).transpose(0, 3, 1, 2)
    else:
        stacks = _stacks(np, x, kernel_size, (oh, ow), stride, padding, dilation, groups, scratch)
        slopes = g.astype(dtype, copy=False).reshape(n, groups, o // groups, oh * ow)
        found = np.add.reduce(np.matmul(slopes, stacks.transpose(0, 1, 3, 2)), axis=0)
        found = found.reshape(o, c // groups, *kernel_size)
    return _finished(np, found, None, g.dtype, out)


# The sizes of scratch memory do not depend on how windows are gathered.


def _window_scratch(
    input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[TensorType, TensorType, Size]:
    n, c, h, w = input.sizes
    counts = tuple(map(window_count, input.sizes[2:], kernel, stride, padding, dilation))
    framed = product([n, c, h + 2 * padding[0], w + 2 * padding[1]])
    places = product([n, *counts])
    dtype = input.dtype
    return TensorType(dtype, (framed,)), TensorType(dtype, (product([places, c, *kernel]),)), places


def _forward_scratch(types: Sequence[Any], attrs: Mapping[str, Any]) -> tuple[TensorType, ...]:
    """The framed input, the windows, the product; none for halves, which are computed in a wider dtype."""
    input, weight = types[:2]
    if input.dtype.itemsize == 2 or _is_pointwise(weight.sizes[2:], attrs["stride"], attrs["padding"]):
        return ()
    stride, padding, dilation = attrs["stride"], attrs["padding"], attrs["dilation"]
    framed, windows, places = _window_scratch(input, weight.sizes[2:], stride, padding, dilation)
    return framed, windows, TensorType(input.dtype, (product([places, weight.sizes[0]]),))


def _weight_grad_scratch(types: Sequence[Any], attrs: Mapping[str, Any]) -> tuple[TensorType, ...]:
    """The framed input, the windows; none for halves, which are computed in a wider dtype."""
    if types[1].dtype.itemsize == 2:
        return ()
    stride, padding, dilation = attrs["stride"], attrs["padding"], attrs["dilation"]
    return _window_scratch(types[1], attrs["kernel_size"], stride, padding, dilation)[:2]


# ------------------------------------------------------------------------------------------------- definitions


def _window(n: Any, y: Any, k: Any, size: Size, stride: int, padding: int, dilation: int) -> tuple[Any, list[Any]]:
    """Where the element `k` of window `y` lies, and the conditions of its being inside."""
    at = y if stride == 1 else y * stride
    at = at + (k if dilation == 1 else k * dilation)
    if not padding:
        return at, []
    at = at - padding
    return at, [at >= 0, at < as_index(size)]


@nest(
    f"convolution2d(input: Tensor, weight: Tensor, {_OPTIONS}) -> Tensor",
    fast=convolution2d_fast,
    scratch=_forward_scratch,
    grad={
        "input": lambda F, g, T, weight, stride, padding, dilation, groups: F.conv2d_input_grad(
            g, weight, T.input.sizes, stride, padding, dilation, groups
        ),
        "weight": lambda F, g, T, input, stride, padding, dilation, groups: F.conv2d_weight_grad(
            g, input, T.weight.sizes[2:], stride, padding, dilation, groups
        ),
    },
    onnx=lambda E, input, weight, stride, padding, dilation, groups: _conv_onnx(
        E, input, weight, None, stride, padding, dilation, groups
    ),
)
def convolution2d(n: Any, input: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    """Cross-correlation of every image with every filter, without a bias; see `conv2d`."""
    n.op = "conv2d"  # the op that people call: errors name it
    _check_layout(n, input=input, weight=weight)
    counts = _check_windows(n, input.sizes[2:], weight.sizes[2:], (stride, padding, dilation, groups))
    out_channels, channels = weight.sizes[:2]
    n.require_equal("channels differ", "input.size(1)", input.sizes[1], "weight.size(1)*groups", channels * groups)
    n.require(
        equal(out_channels % groups, 0) is True,
        "groups does not divide the output channels",
        "weight.size(0) % groups == 0",
        f"{out_channels} and groups={groups}",
    )
    b, o, y, x = n.letters([input.sizes[0], out_channels, *counts])
    c, i, j = n.letters(weight.sizes[1:])
    row, inside = _window(n, y, i, input.sizes[2], stride[0], padding[0], dilation[0])
    column, inside_too = _window(n, x, j, input.sizes[3], stride[1], padding[1], dilation[1])
    channel = c if groups == 1 else o // as_index(out_channels // groups) * as_index(channels) + c
    read = n.guard(inside + inside_too, input[b, channel, row, column], 0)
    return n.out([b, o, y, x], n.sum([c, i, j], read * weight[o, c, i, j]))


@nest(
    f"conv2d_input_grad(grad_output: Tensor, weight: Tensor, input_size: size[4], {_OPTIONS}) -> Tensor",
    fast=conv2d_input_grad_fast,
    grad={
        "grad_output": lambda F, g, weight, stride, padding, dilation, groups: F.convolution2d(
            g, weight, stride, padding, dilation, groups
        ),
        "weight": lambda F, g, T, grad_output, stride, padding, dilation, groups: F.conv2d_weight_grad(
            grad_output, g, T.weight.sizes[2:], stride, padding, dilation, groups
        ),
    },
    onnx=lambda E, grad_output, weight, input_size, stride, padding, dilation, groups: E.ConvTranspose(
        grad_output,
        weight,
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
        group=groups,
        output_padding=[
            _static(input_size[2 + i])
            - (
                (_static(grad_output.shape[2 + i]) - 1) * stride[i]
                - 2 * padding[i]
                + dilation[i] * (weight.shape[2 + i] - 1)
                + 1
            )
            for i in (0, 1)
        ],
    ),
)
def conv2d_input_grad(
    n: Any, grad_output: Any, weight: Any, input_size: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """The gradient of `convolution2d` by its input, which has sizes `input_size`; also called a transposed
    convolution."""
    _check_layout(n, grad_output=grad_output, weight=weight)
    out_channels, channels = weight.sizes[:2]
    counts = _check_windows(n, input_size[2:], weight.sizes[2:], (stride, padding, dilation, groups))
    _check_output(n, grad_output, (input_size[0], out_channels, *counts))
    n.require_equal("channels differ", "input_size[1]", input_size[1], "weight.size(1)*groups", channels * groups)
    b, c, h, w = n.letters(input_size)
    group_size = out_channels // groups
    o, i, j = n.letters([group_size, *weight.sizes[2:]])
    row, inside = _source(n, h, i, counts[0], stride[0], padding[0], dilation[0])
    column, inside_too = _source(n, w, j, counts[1], stride[1], padding[1], dilation[1])
    filter_ = o if groups == 1 else c // as_index(channels) * as_index(group_size) + o
    channel = c if groups == 1 else c % as_index(channels)
    read = n.guard(inside + inside_too, grad_output[b, filter_, row, column], 0)
    return n.out([b, c, h, w], n.sum([o, i, j], read * weight[filter_, channel, i, j]))


def _source(n: Any, h: Any, k: Any, count: Size, stride: int, padding: int, dilation: int) -> tuple[Any, list[Any]]:
    """The window whose element `k` is at `h`, and the conditions of there being one."""
    offset = (
        h + padding - (k if dilation == 1 else k * dilation) if padding else h - (k if dilation == 1 else k * dilation)
    )
    if stride == 1:
        return offset, [offset >= 0, offset < as_index(count)]
    at = offset // stride
    return at, [n.s.eq(offset % stride, 0), at >= 0, at < as_index(count)]


def _check_output(n: Any, grad_output: Any, sizes: Sequence[Size]) -> None:
    same = all(equal(a, b) is True for a, b in zip(grad_output.sizes, sizes, strict=True))
    found = str(grad_output.type)
    n.require(same, "grad_output does not have the output's sizes", f"sizes ({', '.join(map(str, sizes))})", found)


def _static(size: Size) -> int:
    if not isinstance(size, int):
        raise ExportError("conv2d_input_grad: ONNX needs its height and width to be known", found=str(size))
    return size


@nest(
    f"conv2d_weight_grad(grad_output: Tensor, input: Tensor, kernel_size: size[2], {_OPTIONS}) -> Tensor",
    fast=conv2d_weight_grad_fast,
    scratch=_weight_grad_scratch,
    grad={
        "grad_output": lambda F, g, input, stride, padding, dilation, groups: F.convolution2d(
            input, g, stride, padding, dilation, groups
        ),
        "input": lambda F, g, T, grad_output, stride, padding, dilation, groups: F.conv2d_input_grad(
            grad_output, g, T.input.sizes, stride, padding, dilation, groups
        ),
    },
    onnx="no: ONNX has no gradient of a convolution by its weight",
)
def conv2d_weight_grad(
    n: Any, grad_output: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """The gradient of `convolution2d` by its weight, whose height and width are `kernel_size`."""
    _check_layout(n, grad_output=grad_output, input=input)
    counts = _check_windows(n, input.sizes[2:], kernel_size, (stride, padding, dilation, groups))
    out_channels = grad_output.sizes[1]
    _check_output(n, grad_output, (input.sizes[0], out_channels, *counts))
    channels = input.sizes[1] // groups
    o, c, i, j = n.letters([out_channels, channels, *kernel_size])
    b, y, x = n.letters([input.sizes[0], *counts])
    row, inside = _window(n, y, i, input.sizes[2], stride[0], padding[0], dilation[0])
    column, inside_too = _window(n, x, j, input.sizes[3], stride[1], padding[1], dilation[1])
    channel = c if groups == 1 else o // as_index(out_channels // groups) * as_index(channels) + c
    read = n.guard(inside + inside_too, input[b, channel, row, column], 0)
    return n.out([o, c, i, j], n.sum([b, y, x], read * grad_output[b, o, y, x]))


def _conv_onnx(
    E: Any, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    operands = (input, weight) if bias is None else (input, weight, bias)
    return E.Conv(
        *operands,
        kernel_shape=list(weight.shape[2:]),
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
        group=groups,
    )


@composite(
    f"conv2d(input: Tensor, weight: Tensor, bias: Tensor? = None, {_OPTIONS}) -> Tensor",
    fast=conv2d_fast,
    scratch=_forward_scratch,
    grad={
        "input": lambda F, g, T, weight, stride, padding, dilation, groups: F.conv2d_input_grad(
            g, weight, T.input.sizes, stride, padding, dilation, groups
        ),
        "weight": lambda F, g, T, input, stride, padding, dilation, groups: F.conv2d_weight_grad(
            g, input, T.weight.sizes[2:], stride, padding, dilation, groups
        ),
        "bias": lambda F, g: F.sum(g, dim=(0, 2, 3)),
    },
    onnx=_conv_onnx,
)
def conv2d(F: Any, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    """Cross-correlation of images (N, C, H, W) with filters (O, C/groups, kernel height, kernel width), plus a bias
    of (O,): `padding` zeros on every side, windows `stride` apart, their elements `dilation` apart, and channels in
    `groups` that do not mix."""
    found = F.convolution2d(input, weight, stride, padding, dilation, groups)
    if bias is None:
        return found
    require("conv2d", bias.ndim == 1, "bias is not a vector", "sizes (out channels,)", bias=bias)
    require_same_dtype("conv2d", input=input, bias=bias)
    require_equal("conv2d", "sizes differ", "bias.size(0)", bias.shape[0], "weight.size(0)", weight.shape[0], bias=bias)
    return found + F.reshape(bias, shape=(bias.shape[0], 1, 1))
