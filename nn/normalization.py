"""Normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..frontend.autograd import no_grad
from ..frontend.creation import empty, ones, zeros
from ..frontend.module import Module
from ..frontend.parameter import Parameter
from ..frontend.tensor import Tensor
from ..ir.dtypes import int64
from ..ir.errors import ArgumentError, ShapeError
from . import functional as F
from . import init
from .linear import check_positive

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm"]


class _BatchNorm(Module):
    """Batch normalization over dimension 1; a subclass says how many dimensions the input may have."""

    dimensions: ClassVar[tuple[int, ...]] = ()

    num_batches_tracked: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_positive(type(self).__name__, num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            new = empty(num_features, device=device, dtype=dtype)
            self.register_parameter(name, Parameter(new) if wanted else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", zeros((), device=device, dtype=int64) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget what was tracked: mean 0, variance 1, no batches."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            with no_grad():
                self.num_batches_tracked.fill_(0)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and nothing tracked."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.dimensions:
            raise ShapeError(
                f"{type(self).__name__}: input of {input.ndim} dimensions",
                expected=" or ".join(map(str, self.dimensions)),
                found=f"sizes {list(input.shape)}",
            )
        share: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None and self.running_mean is not None:
            with no_grad():
                self.num_batches_tracked.add_(1)
                if self.momentum is None:  # the mean over all batches so far
                    share = 1.0 / self.num_batches_tracked.type_as(self.running_mean)
        tracked = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            share,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Every feature brought to mean 0 and variance 1 over the batch; then scale and shift.

    Ioffe & Szegedy 2015.

    Input and output (N, C) or (N, C, L). In training, the batch's statistics are used, and the running ones
    take the share `momentum` of them (of the unbiased variance); in evaluation, the running ones are used.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: None keeps the mean over all batches instead.
        affine: whether a weight (C) is learnt and, unless `bias` is False, a bias (C).
        track_running_stats: without them, the batch's own statistics are used in evaluation too.

    >>> import ingot
    >>> BatchNorm1d(3)(ingot.rand(4, 3)).shape
    ingot.Size([4, 3])
    """

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """As `BatchNorm1d`, for images: input and output (N, C, H, W), statistics by channel.

    >>> import ingot
    >>> BatchNorm2d(3)(ingot.rand(4, 3, 2, 2)).shape
    ingot.Size([4, 3, 2, 2])
    """

    dimensions = (4,)


class LayerNorm(Module):
    """The last dimensions brought to mean 0 and variance 1, sample by sample; then scale and shift.

    Ba et al. 2016.

    Input and output (..., *normalized_shape); weight and bias of sizes `normalized_shape`.

    Args:
        normalized_shape: the sizes of those dimensions, or the size of the last one.
        eps: added to the variance.
        elementwise_affine: whether weight and bias are learnt.
        bias: whether there is a bias, where there is a weight.

    >>> import ingot
    >>> LayerNorm(4)(ingot.rand(2, 3, 4)).shape
    ingot.Size([2, 3, 4])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        for size in sizes:
            check_positive("LayerNorm", normalized_shape=size)
        self.normalized_shape = sizes
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        learnt = {"weight": elementwise_affine, "bias": elementwise_affine and bias}
        for name, wanted in learnt.items():
            self.register_parameter(name, Parameter(empty(*sizes, device=device, dtype=dtype)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        learnt = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {learnt}"


class GroupNorm(Module):
    """Groups of channels brought to mean 0 and variance 1 by sample; then scale and shift by channel.

    Input and output (N, C, ...); weight and bias (C). Wu & He 2018.

    Args:
        num_groups: how many groups the channels fall into; it divides `num_channels`.

    >>> import ingot
    >>> GroupNorm(2, 4)(ingot.rand(1, 4, 3, 3)).shape
    ingot.Size([1, 4, 3, 3])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(
                "GroupNorm: num_groups does not divide num_channels",
                found=f"{num_channels} % {num_groups} != 0",
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            new = empty(num_channels, device=device, dtype=dtype)
            self.register_parameter(name, Parameter(new) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        learnt = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, {learnt}"
