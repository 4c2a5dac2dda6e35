"""Convolution in two dimensions and its two gradients, each an op that can be differentiated again.

Quick kernels for arrays are in `convolution_kernels`.
Layouts: input (N, C, H, W), weight (O, C/groups, kernel height, kernel width), output (N, O, H', W').
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..errors import ArgumentError, ExportError
from ..families import composite, nest
from ..nest import as_index
from ..sizes import Size, ask, equal
from .checks import require, require_equal, require_same_dtype
from .convolution_kernels import (
    conv2d_fast,
    conv2d_input_grad_fast,
    conv2d_weight_grad_fast,
    convolution2d_fast,
    forward_scratch,
    input_grad_scratch,
    weight_grad_scratch,
    window_count,
)

__all__: list[str] = []

_OPTIONS = "stride: int[2] = 1, padding: int[2] = 0, dilation: int[2] = 1, groups: int = 1"


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


def _window(n: Any, y: Any, k: Any, size: Size, stride: int, padding: int, dilation: int) -> tuple[Any, list[Any]]:
    """Where the element `k` of window `y` lies, and the conditions of its being inside."""
    at = y if stride == 1 else y * stride
    at = at + (k if dilation == 1 else k * dilation)
    if not padding:
        return at, []
    at = at - padding
    return at, [at >= 0, at < as_index(size)]


_GRADIENTS: Final[dict[str, Any]] = {
    "input": lambda F, g, T, weight, stride, padding, dilation, groups: F.conv2d_input_grad(
        g, weight, T.input.sizes, stride, padding, dilation, groups
    ),
    "weight": lambda F, g, T, input, stride, padding, dilation, groups: F.conv2d_weight_grad(
        g, input, T.weight.sizes[2:], stride, padding, dilation, groups
    ),
}


@nest(
    f"convolution2d(input: Tensor, weight: Tensor, {_OPTIONS}) -> Tensor",
    fast=convolution2d_fast,
    scratch=forward_scratch,
    grad=_GRADIENTS,
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
    scratch=input_grad_scratch,
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
    scratch=weight_grad_scratch,
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
    scratch=forward_scratch,
    grad={**_GRADIENTS, "bias": lambda F, g: F.sum(g, dim=(0, 2, 3))},
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
