"""Means over a grid of bins, whatever the size of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ExportError
from ..families import composite, nest
from ..nest import as_index
from ..sizes import Size, equal
from .average_pooling import avg_pool_onnx
from .checks import require, require_float
from .halves import narrowed, widened

__all__: list[str] = []


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
    return avg_pool_onnx(E, input, kernel, kernel, (0, 0), False, True)


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
    return narrowed(F, mean, input.dtype)
