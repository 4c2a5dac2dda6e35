"""`nn.utils`: gradients limited, and parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..frontend.autograd import no_grad
from ..frontend.creation import zeros
from ..frontend.dispatch import EAGER
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError, IngotError, ShapeError

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in found if p.grad is not None]


@no_grad()
def get_total_norm(tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all elements of all tensors, as of one vector; 0 for none.

    Args:
        norm_type: p of the p-norm, `float("inf")` for the largest size.

    >>> import ingot
    >>> get_total_norm([ingot.tensor([3.0]), ingot.tensor([4.0])]).item()
    5.0
    """
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not found:
        return zeros(())
    p = float(norm_type)
    if p == float("inf"):
        return _largest([EAGER.amax(EAGER.abs(t)) for t in found])
    if p <= 0:
        raise ArgumentError(f"get_total_norm: norm_type is {norm_type}", expected="a positive number")
    powers = [EAGER.sum(t * t if p == 2.0 else EAGER.pow(EAGER.abs(t), p)) for t in found]
    total = powers[0]
    for power in powers[1:]:
        total = total + power
    return EAGER.sqrt(total) if p == 2.0 else EAGER.pow(total, 1.0 / p)


def _largest(values: list[Any]) -> Tensor:
    found = values[0]
    for value in values[1:]:
        found = EAGER.maximum(found, value)
    return found


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients so that their total norm is `max_norm` at most.

    Args:
        parameters: those whose gradients are scaled.
        norm_type: see `get_total_norm`.
        error_if_nonfinite: refuse a norm that is infinite or NaN. It looks at the value, so a capture cannot
            hold it.

    Returns:
        the total norm before, without dimensions.

    Raises:
        IngotError: for a norm that is not finite, when asked to.

    >>> import ingot
    >>> p = ingot.nn.Parameter(ingot.tensor([3.0, 4.0]))
    >>> p.grad = ingot.tensor([3.0, 4.0])
    >>> clip_grad_norm_([p], max_norm=1.0).item()
    5.0
    """
    found = _with_gradients(parameters)
    total = get_total_norm([p.grad for p in found], norm_type)
    if error_if_nonfinite and not abs(total.item()) < float("inf"):
        raise IngotError(f"clip_grad_norm_: the total norm is {total.item()}", expected="a finite number")
    # Always multiplied, as the factor is 1 where nothing is to be done: no branch on a tensor's value.
    factor = EAGER.clamp(max_norm / (total + 1e-6), max=1.0)
    for parameter in found:
        # Not in place: two gradients may share memory.
        parameter.grad = parameter.grad * factor.to(parameter.grad.dtype)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value]."""
    bound = float(clip_value)
    for parameter in _with_gradients(parameters):
        parameter.grad = EAGER.clamp(parameter.grad, -bound, bound)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one vector; gradients flow through.

    >>> import ingot
    >>> parameters_to_vector([ingot.ones(2), ingot.zeros(1, 2)]).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    return EAGER.cat([p.reshape(-1) for p in parameters])


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into parameters, one behind the other.

    Raises:
        ShapeError: when there are not as many.
    """
    found = list(parameters)
    wanted = sum(p.numel() for p in found)
    if vec.ndim != 1 or vec.shape[0] != wanted:
        raise ShapeError("vector_to_parameters: sizes", expected=f"[{wanted}]", found=str(list(vec.shape)))
    start = 0
    for parameter in found:
        stop = start + parameter.numel()
        parameter.copy_(vec[start:stop].reshape(tuple(parameter.shape)))
        start = stop
