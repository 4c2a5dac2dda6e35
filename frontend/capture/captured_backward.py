"""The backward of an `autograd.Function` as a block of a graph: captured at the call, on gradients without elements.

It runs as it would for gradients of gradients, and must do nothing but compute: what else it does is taken back, and is
the reason why there is no block.
"""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...ir.block import Block
from ...ir.builder import Builder
from ...ir.errors import CaptureError, IngotError
from ...ir.insertion import InsertionPoint
from ...ir.node import Value
from ...ir.registry import lookup
from ...passes.gradient_walk import is_floating
from ..function_call import fitted_gradient, user_backward
from ..mode import mode
from ..tape import type_for_gradient
from ..tensor_base import TensorBase
from .drawn import Drawn
from .error_line import line_of_error
from .list_growth import Growths
from .reach import Reach
from .regions import Region, discard
from .user_gradients import why_missing

if TYPE_CHECKING:
    from ..function import FunctionCtx
    from .function_calls import Call

__all__ = ["Backward", "captured_backward"]

_DETACH: Final = lookup("detach")


@dataclass(frozen=True, slots=True)
class Backward:
    """A captured backward.

    Attributes:
        block: takes the gradients of the results and the results; yields gradients of arguments.
        positions: of these arguments.
        read: the tensors that it reads besides those that were saved.
        reach: the Python objects that it can reach.
    """

    block: Block
    positions: list[int]
    read: list[Any]
    reach: Reach


def captured_backward(call: Call, own: Sequence[Any], flowing: Sequence[Any]) -> Backward | str:
    """Capture the backward of a call.

    Args:
        own: the results of the forward.
        flowing: those that have a gradient.

    Returns:
        the backward, or why there is none.
    """
    return _Attempt(call, own, flowing).run()


class _Attempt:
    """Captures the backward of a call; where that fails nothing is left of it."""

    def __init__(self, call: Call, own: Sequence[Any], flowing: Sequence[Any]) -> None:
        self.call, self.own, self.flowing = call, own, flowing
        self.tracer, self.cls = call.tracer, call.cls
        self.types = [call.tracer.value_of(x).type for x in flowing]
        self.positions: list[int] = []
        self.read: list[tuple[Any, Value]] = []

    def run(self) -> Backward | str:
        names = [self.tracer.value_of(x).name for x in self.flowing]
        block = Block(self.tracer.graph, [*self.types, *self.types], [*(f"grad_{name}" for name in names), *names])
        if not isinstance(self.cls.backward, FunctionType):
            return why_missing(self.cls.__name__, "is no Python function")
        users = inspect.unwrap(self.cls.backward)
        reach = Reach((lambda: users,))  # the variables of the function around it are not its own
        notes = len(self.tracer.ledger)
        try:
            with self._undone(reach), self.tracer.regions.enter(block, conditional=True) as region:
                self._capture(block, region)
                self._check(block, region, reach)
        except Exception as error:  # whatever the user's code raises is the reason
            discard(block)
            self.tracer.forget_notes(notes)
            return why_missing(self.cls.__name__, _told(error))
        self._cut_off(block)
        saved = {id(x) for x in self.call.ctx._to_save}
        read = {id(x): x for x, _ in self.read if id(x) not in saved and self.tracer.regions.visible(x)}
        return Backward(block, self.positions, list(read.values()), reach)

    @contextmanager
    def _undone(self, reach: Reach) -> Iterator[None]:
        """Take back what the backward does to the capture and to Python's objects.

        Raises:
            CaptureError: for what a block cannot hold.
        """
        tracer = self.tracer
        refusal, written, inputs = tracer.refusal, len(tracer._written), dict(tracer.input_writes)
        unproven = dict(tracer._unproven)
        known, growths = set(tracer.hints), Growths(tracer)
        watched, tracer.regions.operands = tracer.regions.operands, self.read
        recording, mode.grad = mode.grad, True  # as for gradients of gradients
        try:
            with _kept_random_state():
                yield
            if growths.changed():
                raise CaptureError("appends to a list")
            if tracer.hints.keys() - known:
                raise CaptureError("makes tensors whose sizes the data decide")
        finally:
            mode.grad = recording
            tracer.regions.operands = watched
            growths.restore()
            reach.restore()
            tracer.forget_sizes([name for name in tracer.hints if name not in known])
            tracer.refusal, tracer.input_writes, tracer._unproven = refusal, inputs, unproven
            del tracer._written[written:]

    def _capture(self, block: Block, region: Region) -> None:
        call, count = self.call, len(self.flowing)
        stand_ins = [self._stand_in(param) for param in block.params]
        gradients = {id(x): g for x, g in zip(self.flowing, stand_ins, strict=False)}
        outputs = {id(x): y for x, y in zip(self.flowing, stand_ins[count:], strict=True)}
        ctx = self._context(outputs)
        types = [type_for_gradient(x) if isinstance(x, TensorBase) else None for x in self.own]
        found = user_backward(self.cls, ctx, [gradients.get(id(x)) for x in self.own], types, len(call.args))
        yielded = []
        for i, gradient in enumerate(found):
            if gradient is not None and call.wanted[i]:
                fitted = fitted_gradient(self.cls, i, gradient, call.before[id(call.args[i])].type)
                yielded.append(self._once(fitted, block) if ctx._once else self.tracer.operand(fitted))
                self.positions.append(i)
        block.set_returns(yielded, call.location)

    def _stand_in(self, param: Value) -> Any:
        found = self.tracer.regions.of_type(param.type)
        self.tracer.adopt(found, (self.tracer, param, False))
        return found

    def _context(self, outputs: dict[int, Any]) -> FunctionCtx:
        """The function's context as its backward is to find it, which may change it as it likes."""
        found = copy.copy(self.call.ctx)
        for name, value in list(vars(found).items()):
            if type(value) in (list, dict, set):
                setattr(found, name, copy.copy(value))
            elif id(value) in outputs:  # an argument that was changed in place
                setattr(found, name, outputs[id(value)])
        found._to_save = tuple([outputs.get(id(x), x) for x in found._to_save])
        found.needs_input_grad = self.call.wanted
        return found

    def _once(self, gradient: Any, block: Block) -> Value:
        why = f"{self.cls.__name__}.backward is differentiated twice, and is marked once_differentiable"
        return self.call.refusing([self.tracer.value_of(gradient)], [*block.params, *self.call.arguments()], why)[0]

    def _check(self, block: Block, region: Region, reach: Reach) -> None:
        """A block has gradients to yield, and nothing else to do.

        Raises:
            CaptureError: when the backward changes something, or asks what only a run could tell.
        """
        for tensor in region.changed.values():
            what = "changes a tensor in place" if tensor._array.dtype != np.uint64 else "draws random numbers"
            raise CaptureError(what, location=self.tracer.regions.first_write(tensor))
        if (change := next(reach.changes(), None)) is not None:
            raise CaptureError(f"changes {change.path}")
        for node in block.walk():
            if node.op.extras.get("effect"):
                raise CaptureError(
                    f"makes a check: {node.attrs.get('message') or node.op.short}", location=node.location
                )

    def _cut_off(self, block: Block) -> None:
        """What the forward has computed and the backward reads, other than results that were saved, is a constant to
        gradients of gradients: the forward runs without recording."""
        made, cut = self.call.made_by_forward(), {}
        users = [*block.walk(), *(b.terminator for b in block.blocks() if b.terminator is not None)]
        for user in users:
            for i, value in enumerate(user.inputs):
                if value.node in made and is_floating(value.type):
                    if value not in cut:
                        cut[value] = self._detached(block, value)
                    user.set_input(i, cut[value])

    def _detached(self, block: Block, value: Value) -> Value:
        start = Builder(block, InsertionPoint.start(block))
        node = start.emit(_DETACH, [value], {}, types=(value.type,), location=self.call.location)
        found: Value = node.output
        return found


@contextmanager
def _kept_random_state() -> Iterator[None]:
    """Put Python's and NumPy's random states back.

    Raises:
        CaptureError: when they were drawn from.
    """
    drawn, python, numpy = Drawn(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        names = [name for name, _ in drawn.changed()]
        if names:
            random.setstate(python)
            np.random.set_state(numpy)
    if names:
        raise CaptureError(f"draws from {names[0]}")


def _told(error: Exception) -> str:
    """Why a backward cannot be captured, with the user's line."""
    if isinstance(error, IngotError):
        what, location = error.what, error.location or line_of_error(error)
    else:
        what, location = f"raises {type(error).__name__}: {error}", line_of_error(error)
    return f"{what} (at {location})" if location else what
