"""Running a function of tensors over another algebra: over types alone, or over a graph that a pass writes.

A user's type rule or gradient calls tensor methods and `ingot` functions. `OverAlgebra` stands where a capture would
(`mode.tracer`): the tensors that the function sees have a type and no elements, and each operation on them is an
operation of the algebra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..ir.algebra import Algebra, Proxy, type_of
from ..ir.errors import CaptureError
from ..ir.locations import here
from ..ir.registry import Op
from ..ir.sizes import Size, SizeExpr, current_context, evaluate, free_vars
from ..ir.types import TensorType
from .capture.ledger import NoLedger
from .capture.symint import SymInt, as_size
from .mode import mode
from .sizes import Size as Shape
from .tensor_base import TensorBase, wrap

__all__ = ["OverAlgebra"]

_IMAGINED = 2  # a size that only a run knows, where a plain one is needed to make a tensor without elements


class OverAlgebra:
    """Operations on tensors as operations of an algebra.

    Args:
        F: the algebra.
        what: what is being run, for messages: `"the type rule of mylib::wave"`.
    """

    def __init__(self, F: Algebra, what: str) -> None:
        self.F = F
        self.what = what
        self.ledger = NoLedger()
        self.context = f"in {what}"

    @contextmanager
    def active(self) -> Iterator[None]:
        """Operations of this thread go to the algebra, until the end of the `with` block."""
        before, mode.tracer = (mode.tracer, mode.grad), self
        mode.grad = False
        try:
            yield
        finally:
            mode.tracer, mode.grad = before

    # ------------------------------------------------------------------------------------------------- values

    def tensor(self, operand: Any) -> Any:
        """A tensor that stands for an operand of the algebra; numbers and None as they are."""
        if isinstance(operand, tuple):
            return tuple(self.tensor(item) for item in operand)
        type_ = operand.type if isinstance(operand, Proxy) else None
        if not isinstance(type_, TensorType):
            return operand
        shape = tuple(_imagined(size) for size in type_.sizes)
        found = wrap(np.broadcast_to(np.zeros((), type_.dtype.np), shape))
        found._trace = (self, operand, False)
        return found

    def operand(self, x: Any) -> Any:
        """The algebra's operand for a value: arrays stand for tensors from elsewhere."""
        if isinstance(x, TensorBase):
            return x._trace[1] if x._trace is not None and x._trace[0] is self else x._array
        return as_size(x)

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        """One operation."""
        plain = {name: _map(value, as_size) for name, value in attrs.items()}
        result = self.F.apply(op, [self.operand(x) for x in inputs], plain)
        return self.tensor(result)

    def call(self, name: str, *args: Any, **attrs: Any) -> Any:
        """An op by name."""
        from .dispatch import EAGER

        return getattr(EAGER, name)(*args, **attrs)

    def adopt(self, tensor: Any, trace: Any) -> None:
        """Refused: `before_write` comes first."""
        self.before_write(tensor)

    def before_write(self, tensor: Any) -> None:
        """What has no elements cannot be changed in place.

        Raises:
            CaptureError: always.
        """
        raise CaptureError(f"an in-place change in {self.what}", location=here(), advice="use the out-of-place form")

    def before_changed(self, storage: Any) -> None:
        """The tape is about to refuse something that was changed in place: nothing to add."""

    def value_of(self, tensor: Any) -> Any:
        """The operand for a tensor; see `operand`."""
        return self.operand(tensor)

    # -------------------------------------------------------------------------------------------------- sizes

    def size(self, value: Any) -> Any:
        """A symbolic size, or a tuple of sizes, as the user's function is to see it; anything else as it is."""
        return _map(value, lambda x: SymInt(x, self) if isinstance(x, SizeExpr) else x)

    def shape_of(self, tensor: Any) -> Shape:
        """A tensor's sizes, those that are not known as `SymInt`."""
        trace = tensor._trace
        if trace is None or trace[0] is not self:
            return Shape(tensor._array.shape)
        type_ = type_of(trace[1])
        assert isinstance(type_, TensorType)
        return Shape(size if isinstance(size, int) else SymInt(size, self) for size in type_.sizes)

    def known(self, op: str, a: Size, b: Size) -> bool:
        """A comparison of sizes, as the context that asks for the types decides it."""
        from ..ir.sizes import ask

        found = ask(op, a, b)
        if found is None:
            raise self._needs_value(f"whether {a} {op} {b}")
        return found

    def fix(self, size: SymInt, why: str) -> int:
        """Refused: there is no plain number.

        Raises:
            CaptureError: always.
        """
        raise self._needs_value(f"{size}: {why}")

    def leaves_graph(self, tensor: Any, how: str) -> None:
        """Elements are read: fine for tensors from elsewhere, which have some.

        Raises:
            CaptureError: for a tensor that stands for a type.
        """
        if tensor._trace is not None and tensor._trace[0] is self:
            raise self._needs_value(how)

    def varies(self, tensor: Any) -> bool:
        """Whether a tensor stands for a type."""
        return tensor._trace is not None and tensor._trace[0] is self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        raise self._needs_value(name)

    def _needs_value(self, found: str) -> CaptureError:
        return CaptureError(
            f"{self.what} needs a value that only a run has",
            expected="operations on tensors, their sizes and dtypes",
            found=found,
            location=here(),
        )


def _imagined(size: Size) -> int:
    if not isinstance(size, SizeExpr):
        return size
    hints = dict(getattr(current_context(), "hints", {}))
    return max(0, evaluate(size, {name: hints.get(name, _IMAGINED) for name in free_vars(size)}))


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    return tuple(change(item) for item in value) if isinstance(value, (tuple, list)) else change(value)
