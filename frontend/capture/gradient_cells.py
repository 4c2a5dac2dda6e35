"""The `.grad` of tensors as a captured branch or loop leaves it: a tensor on one way, and none on another.

A graph holds no None. Where the ways differ, two values are handed on: whether there is a gradient, and the gradient,
which is zeros where there is none. So `backward` can add to it, and a compiled call leaves one behind or none. Whoever
reads it needs to know which of both it is: after a loop that is checked when the program runs, after a branch refused.
"""

from __future__ import annotations

from typing import Any

from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ..dispatch import EAGER
from ..tensor_base import TensorBase
from .structured import Cell

__all__ = ["Pair", "Perhaps", "gradient_cell"]

_OUT = (
    "let there be one before: p.grad = ingot.zeros_like(p); or call backward() in every case, of the loss times the "
    "condition; zero_grad(set_to_none=False) keeps gradients that are there"
)


class Perhaps:
    """A gradient that is there or not, as the run decides.

    Attributes:
        flag: whether it is there.
        value: the gradient; where there is none, what stands for none when another is added.
        entering: whether it is what an iteration finds: none in the first, one in the others.
        by_branch: whether a branch decides, and not a loop that may have no iterations.
        location: where it was set.
    """

    def __init__(
        self,
        flag: Any,
        value: Any,
        *,
        entering: bool = False,
        by_branch: bool = False,
        location: Location | None = None,
    ) -> None:
        self.flag, self.value = flag, value
        self.entering, self.by_branch, self.location = entering, by_branch, location

    def read(self, tracer: Any) -> Any:
        """What `.grad` is for who reads it.

        Raises:
            CaptureError: when it is there or not as a branch decides, or from iteration to iteration.
        """
        if self.flag is True or self.flag is False:
            return self.value if self.flag else None
        if not self.by_branch and not self.entering:
            message = ".grad is None: the loop that sets it had no iterations"
            tracer.require(self.flag, message, self.location, "RuntimeError")
            return self.value
        raise CaptureError(
            "a gradient is read that is a tensor or None, as the run decides",
            expected="a gradient in every iteration" if self.entering else "a gradient on both sides of the branch",
            found=f"one that is set at {self.location}, and None otherwise; it is read at {here()}",
            location=self.location,
            context=tracer.context,
            advice=_OUT,
        )


class Pair:
    """The `.grad` of one tensor as two values, whether it is there and what it is.

    Args:
        location: where it is set.
    """

    def __init__(self, tracer: Any, tensor: Any, location: Location | None) -> None:
        self._tracer, self._tensor, self._location = tracer, tensor, location
        self._depth = tracer.regions.depth
        self._none: Any = None
        self.by_branch = False

    def of(self, value: Any) -> tuple[Any, Any]:
        """A gradient, None or what may be either, as two values, written to where the graph is being written."""
        if isinstance(value, Perhaps):
            self.by_branch |= value.by_branch
            return value.flag, value.value
        if isinstance(value, TensorBase):
            return True, value
        type_ = self._tracer.value_of(self._tensor).type
        return False, EAGER.full(type_.sizes, 0, type_.dtype)

    def cell(self) -> Cell:
        """The place of both."""
        return Cell(("gradient", id(self._tensor), self._tensor), "a gradient", self._read, self._write)

    def _read(self) -> tuple[Any, Any]:
        if self._tensor._grad is not None:
            return self.of(self._tensor._grad)
        if self._none is None:
            self._none = self.of(None)
        found: tuple[Any, Any] = self._none
        return found

    def _write(self, pair: tuple[Any, Any]) -> None:
        flag, value = pair
        self._tracer.gradients.keep(self._tensor)
        inside = self._tracer.regions.depth >= self._depth
        perhaps = Perhaps(flag, value, entering=inside, by_branch=self.by_branch, location=self._location)
        self._tensor._grad = perhaps if flag is not True and flag is not False else value if flag else None


def gradient_cell(tracer: Any, tensor: Any) -> Cell:
    """The `.grad` of a tensor as a place."""

    def write(value: Any) -> None:
        tracer.gradients.keep(tensor)
        tensor._grad = value

    return Cell(("gradient", id(tensor), tensor), "a gradient", lambda: tensor._grad, write)
