"""`nn.functional`: what layers compute, as functions with PyTorch's names and argument orders.

Where a function is an op, it is called with the op's own arguments; what is more than one op (padding by
name, updates of running statistics, draws of keys) is written here. Activations live in
`activation_functions`, losses in `loss_functions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..frontend.autograd import no_grad
from ..frontend.dispatch import EAGER
from ..frontend.random import next_key
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError, ShapeError, UnsupportedError
from .activation_functions import (
    elu,
    gelu,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    relu,
    relu6,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .attention_function import scaled_dot_product_attention
from .loss_functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from .resizing import interpolate

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "elu",
    "embedding",
    "gelu",
    "group_norm",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "relu",
    "relu6",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]

Pair = int | Sequence[int]


# ---------------------------------------------------------------------------------------- linear, convolution


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias; input (..., in), weight (out, in), bias (out), result (..., out)."""
    return EAGER.linear(input, weight, bias)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation in two dimensions.

    Args:
        input: (N, C, H, W), or (C, H, W).
        weight: (O, C / groups, kernel height, kernel width).
        bias: (O).
        padding: numbers, or `"valid"` for none, or `"same"` for a result of the input's height and width.

    Raises:
        ArgumentError: for another word, or `"same"` with a stride.

    >>> import ingot
    >>> conv2d(ingot.ones(1, 1, 3, 3), ingot.ones(1, 1, 3, 3), padding="same").shape
    ingot.Size([1, 1, 3, 3])
    """
    if isinstance(padding, str):
        input, padding = _named_padding(input, weight, stride, padding, dilation)
    if input.ndim == 3:
        return EAGER.conv2d(EAGER.unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)[0]
    return EAGER.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _named_padding(
    input: Tensor, weight: Tensor, stride: Pair, padding: str, dilation: Pair
) -> tuple[Tensor, tuple[int, int]]:
    """The input, padded where the two sides differ, and the padding that both sides have."""
    if padding == "valid":
        return input, (0, 0)
    if padding != "same":
        raise ArgumentError(f"conv2d: padding is {padding!r}", expected="numbers, 'valid' or 'same'")
    if _pair(stride) != (1, 1):
        raise ArgumentError("conv2d: padding='same' with a stride", expected="stride=1", found=f"stride={stride}")
    totals = [d * (k - 1) for d, k in zip(_pair(dilation), weight.shape[2:], strict=True)]
    rows, columns = [total // 2 for total in totals]
    if totals[0] % 2 or totals[1] % 2:
        input = EAGER.pad(input, (0, totals[1] % 2, 0, totals[0] % 2))
    return input, (rows, columns)


def _pair(value: Pair) -> tuple[Any, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


# ---------------------------------------------------------------------------------------------------- pooling


def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window; input (N, C, H, W) or (C, H, W).

    The stride is the window's size unless given.

    With `return_indices`, also the places of the elements, H * W counted row by row.
    """
    op = EAGER.max_pool2d_with_indices if return_indices else EAGER.max_pool2d
    return op(input, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window; input (N, C, H, W) or (C, H, W). The stride is the window unless given."""
    return EAGER.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Means over windows chosen so that the result has `output_size`; input (N, C, H, W) or (C, H, W).

    Where `output_size` is None, the input's size stays.
    """
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size, output_size)
    wanted = tuple(input.shape[i - 2] if size is None else size for i, size in enumerate(sizes))
    return EAGER.adaptive_avg_pool2d(input, wanted)


# ---------------------------------------------------------------------------------------------- normalization


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last dimensions brought to mean 0 and variance 1; then scale and shift. Ba et al. 2016.

    `normalized_shape` is the sizes of those dimensions, and of weight and bias.
    """
    return EAGER.layer_norm(input, tuple(normalized_shape), weight, bias, eps)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Every channel brought to mean 0 and variance 1; then scale and shift. Ioffe & Szegedy 2015.

    Args:
        input: (N, C, ...).
        running_mean, running_var: (C); used as they are unless `training`, otherwise updated in place: they
            take the share `momentum` of the batch's mean and of its unbiased variance.
        training: use the batch's own statistics.

    Raises:
        ArgumentError: without statistics when not training.
        ShapeError: when training on a single value per channel.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: no running statistics", advice="pass them, or training=True")
        return EAGER.batch_norm_inference(input, running_mean, running_var, weight, bias, eps=eps)
    count = _values_per_channel(input)
    output, mean, var = EAGER.batch_norm_training(input, weight, bias, eps=eps)
    if running_mean is not None or running_var is not None:
        with no_grad():
            if running_mean is not None:
                _move(running_mean, mean, momentum)
            if running_var is not None:
                _move(running_var, EAGER.div(EAGER.mul(var, count), count - 1), momentum)
    return output


def _values_per_channel(input: Tensor) -> Any:
    shape = input.shape
    count = shape[0]
    for size in shape[2:]:
        count = count * size
    if count <= 1:
        raise ShapeError(
            "batch_norm: a single value per channel has no variance to train on",
            expected="input.numel() / input.size(1) > 1",
            found=f"input of sizes {list(shape)}",
            advice="use a larger batch, or eval()",
        )
    return count


def _move(running: Tensor, now: Tensor, momentum: float | Tensor) -> None:
    """Move a running statistic towards the batch's by the share `momentum`."""
    if isinstance(momentum, Tensor):
        running.add_((now - running) * momentum)
    else:
        running.mul_(1.0 - momentum).add_(now * momentum)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Groups of channels brought to mean 0 and variance 1 by sample; then scale and shift by channel."""
    return EAGER.group_norm(input, num_groups, weight, bias, eps)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input over its p-norm along `dim`, which counts as `eps` at least."""
    norm = _norm(input, p, dim, keepdim=True)
    return input / EAGER.clamp(norm, min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; norms count as `eps` at least."""
    lengths = [EAGER.clamp(_norm(x, 2.0, dim, keepdim=True), min=eps) for x in (x1, x2)]
    return EAGER.sum(x1 / lengths[0] * (x2 / lengths[1]), dim)


def _norm(x: Tensor, p: float, dim: int, keepdim: bool) -> Tensor:
    if p == 2.0:
        return EAGER.sqrt(EAGER.sum(x * x, dim, keepdim))
    size = EAGER.abs(x)
    if p == 1.0:
        return EAGER.sum(size, dim, keepdim)
    if p == float("inf"):
        return EAGER.amax(size, dim, keepdim)
    return EAGER.pow(EAGER.sum(EAGER.pow(size, p), dim, keepdim), 1.0 / p)


# -------------------------------------------------------------------------------- dropout, embedding, padding


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """When training, each element 0 with probability p and otherwise divided by 1 - p; else the input.

    The randomness comes from the default generator. Srivastava et al. 2014.

    Raises:
        ArgumentError: when p is not a probability.
    """
    if not 0.0 <= p <= 1.0:
        raise ArgumentError("dropout: p is not a probability", expected="0 <= p <= 1", found=f"p={p}")
    if not training or p == 0.0:
        return input
    result = EAGER.dropout(input, next_key(), p)
    return input.copy_(result) if inplace else result


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As `dropout`, but whole channels of (N, C, H, W) or (C, H, W) at once."""
    if input.ndim not in (3, 4):
        raise ShapeError("dropout2d: not an image", expected="3 or 4 dimensions", found=f"sizes {list(input.shape)}")
    if not training or p == 0.0:
        return dropout(input, p, training=False)
    mask = dropout(EAGER.full((*input.shape[:-2], 1, 1), 1.0, input.dtype), p)
    return input.copy_(input * mask) if inplace else input * mask


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of a table: input (...) of integers, weight (count, width), result (..., width).

    Args:
        padding_idx: a row that gets no gradient.
    """
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise ArgumentError(f"embedding: padding_idx is {padding_idx}", expected=f"-{rows} <= padding_idx < {rows}")
        padding_idx %= rows
    return EAGER.embedding(input, weight, padding_idx)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Integers (...) as rows (..., num_classes) of zeros with a single 1, in int64.

    Args:
        num_classes: -1 takes the largest integer plus 1.
    """
    if num_classes == -1:
        num_classes = int(EAGER.amax(tensor).item()) + 1
    return EAGER.one_hot(tensor, num_classes)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements added around the last dimensions, or taken away by negative numbers.

    Args:
        pad: (left, right, top, bottom, ...): the last dimension first.
        value: what is added; 0 unless given.

    Raises:
        UnsupportedError: for a mode other than `"constant"`.
    """
    if mode != "constant":
        raise UnsupportedError(f"pad: mode {mode!r}", expected="'constant'")
    return EAGER.pad(input, tuple(pad), mode, 0.0 if value is None else value)
