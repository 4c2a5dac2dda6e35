"""Elements of a list of which the run decides how many there are: one tensor, the element's number in front.

What lives here: `Run`, and how elements become rows of such a tensor and rows become elements again. Lists that hold
them are the subject of `grown_list`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.errors import CaptureError, ShapeError
from ...ir.locations import Location, here
from ...ir.sizes import SizeRelation
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase, wrap
from .symbols import SymBool, SymFloat
from .symint import SymInt, as_size

__all__ = ["Run", "RunShape", "as_kind", "as_row", "check_index", "list_refused"]


@dataclass(frozen=True, slots=True)
class RunShape:
    """What of a `Run` is known when the program is captured: all but its tensor.

    Attributes:
        kind: what the elements are: `"tensor"`, `"int"`, `"float"` or `"bool"`.
        location: the line that appends them.
    """

    kind: str
    location: Location | None = field(default=None, compare=False)


class Run:
    """Elements of a list: one tensor with the element's number in front.

    Attributes:
        tensor: the elements.
        shape: what is known of them beside it.
    """

    def __init__(self, tensor: Any, kind: str = "tensor", location: Location | None = None) -> None:
        self.tensor = tensor
        self.shape = RunShape(kind, location)

    @property
    def kind(self) -> str:
        return self.shape.kind

    @property
    def location(self) -> Location | None:
        return self.shape.location

    def like(self, tensor: Any) -> Run:
        """Other elements of the same kind."""
        return Run(tensor, self.kind, self.location)

    def element(self, index: Any) -> Any:
        """One element, as the tensor or run-time number that was appended."""
        check_index(self.size, index, "list index out of range")
        return as_kind(self.kind, EAGER.select(self.tensor, 0, index))

    def __repr__(self) -> str:
        return f"{self.kind}s, as many as the run appends"

    def __len__(self) -> int:
        return int(self.size)

    @property
    def size(self) -> Any:
        return self.tensor.shape[0]


def check_index(size: Any, index: Any, message: str, error: str = "IndexError") -> None:
    """Check at run time that a list of `size` elements has the one at a plain index, as Python does."""
    tracer, count = mode.tracer, as_size(size)
    if tracer is None or not isinstance(index, int) or isinstance(count, int):
        return
    least = index + 1 if index >= 0 else -index
    if not tracer.known(">=", count, least):
        tracer.require(tracer.relation_tensor(">=", count, least), message, here(), error)
        try:
            tracer.sizes.add(SizeRelation(">=", count, least))
        except ShapeError:  # what is known here excludes it
            raise list_refused(
                message, f"a list of at least {least} elements", "ask for its length first", found=[f"{count} elements"]
            ) from None


def as_kind(kind: str, tensor: Any) -> Any:
    """A tensor without dimensions as the run-time number that it stands for; others as they are."""
    tracer = mode.tracer
    if kind == "tensor" or tracer is None:
        return tensor
    return tracer.integer(tensor) if kind == "int" else {"float": SymFloat, "bool": SymBool}[kind](tensor, tracer)


def as_row(item: Any) -> Any:
    """A tensor or number as a tensor: what `as_kind` makes the element of again."""
    if isinstance(item, TensorBase):
        return item
    if isinstance(item, SymInt):
        return EAGER.add(item, wrap(np.zeros((), np.int64)))
    return item.as_tensor() if hasattr(item, "as_tensor") else wrap(np.asarray(item))


def list_refused(
    what: str, expected: str, advice: str, location: Location | None = None, found: Sequence[str] = ()
) -> CaptureError:
    """An error about a list."""
    context = mode.tracer.context if mode.tracer is not None else ""
    return CaptureError(
        what,
        expected=expected,
        found=", and ".join(found),
        location=location or here(),
        context=context,
        advice=advice,
    )
