"""The call of an `autograd.Function` in a capture: its forward as nodes, and behind them one for its gradient.

How the backward becomes part of that node is in `captured_backward`. Where it cannot, the reason stands in the graph,
and is what those are told who differentiate the program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ...ir.block import Block
from ...ir.locations import here
from ...ir.node import Node, Value
from ...ir.registry import lookup
from ..function_call import as_output, recorded_call, run_forward
from ..mode import mode
from ..storage import storage_of
from ..tensor_base import TensorBase, wrap
from .captured_backward import Backward, captured_backward
from .sharing import base_of
from .user_gradients import nodes_behind

if TYPE_CHECKING:
    from ..function import Function, FunctionCtx

__all__ = ["Call", "captured_call"]

_USER_GRADIENT: Final = lookup("prim::UserGradient")
_DETACH: Final = lookup("detach")


def captured_call(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], split: bool, recording: bool) -> Any:
    """Call a function while a program is captured.

    What it computes stands behind a node that has the user's gradient, or none: nobody who differentiates the program
    takes the gradient of the forward's operations for it.
    """
    call = Call(mode.tracer, cls, ctx, args, split)
    return recorded_call(cls, ctx, args, call.run) if recording else call.run()


def _is_floating(x: Any) -> bool:
    return isinstance(x, TensorBase) and x._array.dtype.kind in "fV"


class Call:
    """One call.

    Attributes:
        before: what the arguments stood for before the forward, by their `id`.
        wanted: for each argument, whether its gradient may be asked for.
    """

    def __init__(self, tracer: Any, cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], split: bool) -> None:
        self.tracer, self.cls, self.ctx, self.args, self.split = tracer, cls, ctx, args, split
        self.tensors: list[Any] = [x for x in args if isinstance(x, TensorBase)]
        self.before = {id(x): tracer.operand(x) for x in self.tensors}  # state that nothing has read so far as well
        self.versions = [storage_of(x).version for x in self.tensors]
        self.wanted = tuple([_is_floating(x) and (x._node is not None or tracer.varies(x)) for x in args])
        self.location = here()
        self.block = tracer.builder.point.block
        self.last = self.block.nodes.last

    def run(self) -> Any:
        """The forward's result, its tensors with the user's gradient."""
        ctx = self.ctx
        asked = ctx.needs_input_grad
        try:
            if any(self.wanted) and self.tracer.keeps_user_gradients:
                ctx.needs_input_grad = self.wanted
            result = run_forward(self.cls, ctx, self.args, self.split)
        finally:
            ctx.needs_input_grad = asked
        given = result if isinstance(result, tuple) else (result,)
        places = {id(x): i for i, x in enumerate(given)}
        own = [as_output(ctx, x, self.tensors) for x in given]
        ctx._to_save = tuple([own[places[id(x)]] if id(x) in places else x for x in ctx._to_save])
        ctx._constant = tuple([own[places[id(x)]] for x in ctx._constant if id(x) in places])
        if any(self.wanted) and not self.tracer.unrecorded.cuts_off:
            self._guard(own)
        return tuple(own) if isinstance(result, tuple) else own[0]

    # ---------------------------------------------------------------------------------------------- the results

    def _guard(self, own: Sequence[Any]) -> None:
        """Put the results behind nodes for their gradients."""
        constant = {id(x) for x in self.ctx._constant}
        floating = list({id(x): x for x in own if _is_floating(x)}.values())
        flowing = [x for x in floating if id(x) not in constant]
        still = [x for x in floating if id(x) in constant]
        hidden = self._changed_silently(own)
        found = self._with_gradient(own, flowing, self._why_not(hidden)) if flowing else []
        found += [self._detached(x) for x in still]
        if hidden:
            found += self.refusing([self.tracer.value_of(x) for x in hidden], self.arguments(), self._why_not(hidden))
        for x, value in zip([*flowing, *still, *hidden], found, strict=True):
            self._put(x, value)

    def arguments(self) -> list[Value]:
        """What gradients flow to."""
        return [self.before[id(x)] for x, wanted in zip(self.args, self.wanted, strict=True) if wanted]

    def _changed_silently(self, own: Sequence[Any]) -> list[Any]:
        """Arguments that the forward has changed in place and does not return."""
        changed = [x for x, v in zip(self.tensors, self.versions, strict=True) if storage_of(x).version != v]
        returned = [base_of(x) for x in own if isinstance(x, TensorBase)]
        hidden = [x for x in changed if _is_floating(x) and not any(base_of(x) is y for y in returned)]
        return list({id(x): x for x in hidden}.values())

    def _why_not(self, hidden: Sequence[Any]) -> str:
        if not self.tracer.keeps_user_gradients:
            return f"the gradient of {self.cls.__name__} is not part of the graph: it was taken within the capture"
        what = "changes an argument in place, and does not mark it as dirty and return it"
        return f"{self.cls.__name__}.forward {what}" if hidden else ""

    def _detached(self, x: Any) -> Value:
        tracer, value = self.tracer, self.tracer.value_of(x)
        node = tracer.builder.emit(
            _DETACH, [value], {}, types=(value.type,), location=self.location, path=tracer.module_path
        )
        found: Value = node.output
        return found

    def refusing(self, values: Sequence[Value], arguments: Sequence[Value], why: str) -> list[Value]:
        """Values whose gradients by the arguments nobody may take."""
        types = [value.type for value in values]
        block = Block(self.tracer.graph, [*types, *types], ["grad"] * len(types))
        block.set_returns(arguments, self.location)
        return self._behind(values, arguments, block, why=why)

    def _behind(self, values: Sequence[Value], arguments: Sequence[Value], block: Block, **attrs: Any) -> list[Value]:
        node = self.tracer.builder.emit(
            _USER_GRADIENT,
            [*values, *arguments],
            {"function": self.cls.__name__, **attrs},
            types=[value.type for value in values],
            location=self.location,
            path=self.tracer.module_path,
            blocks=[block],
            names=[value.name for value in values],
        )
        return list(node.outputs)

    def _put(self, x: Any, value: Value) -> None:
        """Let a result stand for another value; what shares the memory of an argument follows."""
        trace = (self.tracer, value, False)
        if not any(base_of(x) is base_of(y) for y in self.tensors):
            self.tracer.adopt(x, trace)
            return
        found = wrap(x._array)
        found._trace = trace
        sharing = list({id(y): y for y in (x, base_of(x), *storage_of(x).aliases)}.values())
        places = [(y._node, y._index) for y in sharing]
        recording, mode.grad = mode.grad, True
        try:
            for y in sharing:
                y._node = None  # the tape has a node for all of it, which the caller makes
            x.copy_(found)
        finally:
            mode.grad = recording
            for y, (node, index) in zip(sharing, places, strict=True):
                y._node, y._index = node, index

    # ---------------------------------------------------------------------------------------------- the gradient

    def _with_gradient(self, own: Sequence[Any], flowing: Sequence[Any], why: str) -> list[Value]:
        """The results' values with the user's gradient, or with the reason why there is none."""
        values = [self.tracer.value_of(x) for x in flowing]
        found = why or captured_backward(self, own, flowing)
        if not isinstance(found, Backward):
            return self.refusing(values, self.arguments(), found)
        if not found.positions:
            return [self._detached(x) for x in flowing]
        arguments = [self.before[id(self.args[i])] for i in found.positions]
        whole = not self.ctx._materialize and len(flowing) > 1
        outputs = self._behind(values, arguments, found.block, whole=whole)
        self.tracer.user_gradients.add(self.tracer, outputs[0].node, found.read, found.reach)
        return outputs

    def made_by_forward(self) -> set[Node]:
        """The nodes of the forward."""
        return set(nodes_behind(self.block, self.last))
