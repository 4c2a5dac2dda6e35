"""`autograd.Function`: an operation whose gradient the user writes.

What lives here: the class that users write, and its context. What becomes of a call is in `function_call`.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from ..ir.errors import ArgumentError, GradientError
from ..ir.locations import here
from .function_call import FunctionNode, as_output, recorded_call, run_forward
from .mode import mode
from .tape import CustomNode, SavedTensor
from .tensor_base import TensorBase

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What `forward` leaves for `backward`. Any attribute may be set on it.

    Attributes:
        needs_input_grad: for each argument of `forward`, whether its gradient may be asked for.
    """

    def __init__(self, needs_input_grad: tuple[bool, ...] = ()) -> None:
        self.needs_input_grad = needs_input_grad
        self._to_save: tuple[Any, ...] = ()
        self._saved: list[SavedTensor] | None = None
        self._node: weakref.ref[FunctionNode] | None = None
        self._dirty: tuple[Any, ...] = ()
        self._constant: tuple[Any, ...] = ()
        self._materialize = True
        self._once = False

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or outputs of `forward` (None is allowed) until `backward`, where `saved_tensors` gives them."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, TensorBase):
                raise ArgumentError(
                    f"save_for_backward: a value of type {type(tensor).__name__}",
                    expected="tensors or None",
                    location=here(),
                    advice="set anything else as an attribute: ctx.scale = 2.0",
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept.

        Raises:
            GradientError: when one was changed in place since, or the tape has been freed.
        """
        if self._node is None:
            return self._to_save
        node = self._node()
        if self._saved is None or node is None:
            raise GradientError(
                "backward: the tape was already walked and has been freed",
                location=here(),
                advice="pass retain_graph=True to the first backward()",
            )
        return tuple([kept.get(node) for kept in self._saved])

    def mark_dirty(self, *args: Any) -> None:
        """Say which arguments `forward` changes in place; it has to return them."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Say which outputs have no gradient."""
        self._constant = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for outputs that nothing flowed back to."""
        self._materialize = value


class Function:
    """An operation with a gradient of one's own: subclass it, and call `apply`.

    `forward(ctx, *args)` computes; `backward(ctx, *grads)` gets one gradient per output and returns one per argument
    of `forward`, None for those that have none. Or, as PyTorch has it too, `forward(*args)` computes and
    `setup_context(ctx, inputs, output)` keeps what `backward` needs. Both run without recording; `backward` is
    recorded for gradients of gradients. What `backward` returns is summed over broadcast dimensions and cast.

    A capture records what `forward` computes, and what `backward` does with gradients of these types: so a program that
    is differentiated later has the user's gradient. Where `backward` cannot be captured, differentiating the program is
    refused, with the line of the call and the reason: nobody gets the gradient of the operations in `forward` instead.

    >>> import ingot
    >>> class Clip(ingot.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x, limit):
    ...         return x.clamp(-limit, limit)
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g, None  # straight through
    >>> x = ingot.tensor([-2.0, 0.5], requires_grad=True)
    >>> Clip.apply(x, 1.0).sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ArgumentError(
            f"{type(self).__name__} is not to be instantiated", advice=f"call {type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the operation computes."""
        raise ArgumentError("an autograd.Function has no forward", advice="define @staticmethod forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what `backward` needs, where `forward` does not take `ctx`."""
        raise ArgumentError("an autograd.Function has no setup_context")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of the arguments from those of the outputs."""
        raise ArgumentError(
            "an autograd.Function has no backward",
            location=here(),
            advice="define @staticmethod backward(ctx, *grad_outputs)",
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` on the arguments and put `backward` on the tape.

        Raises:
            GradientError: when `forward` changes an argument in place and does not say so (`ctx.mark_dirty`).
        """
        split = cls.setup_context is not Function.setup_context
        args = _positional(cls, args, kwargs, split)
        tensors = [x for x in args if isinstance(x, TensorBase)]
        recording = mode.grad and any(x._node is not None for x in tensors)
        ctx = FunctionCtx(tuple([isinstance(x, TensorBase) and x._node is not None for x in args]))
        if mode.tracer is not None:
            from .capture.function_calls import captured_call

            return captured_call(cls, ctx, args, split, recording)
        if not recording:
            return run_forward(cls, ctx, args, split)
        return recorded_call(cls, ctx, args, lambda: run_forward(cls, ctx, args, split))


def _positional(cls: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any], split: bool) -> tuple[Any, ...]:
    """All arguments by position, with defaults, which only a `forward` without `ctx` can tell."""
    if not split:
        if kwargs:
            raise ArgumentError(
                f"{cls.__name__}.apply: keyword arguments", found=", ".join(kwargs), advice="pass them by position"
            )
        return args
    bound = inspect.signature(cls.forward).bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise ArgumentError(f"{cls.__name__}.forward: keyword-only parameters", found=", ".join(bound.kwargs))
    return bound.args


class _Once(CustomNode):
    """Stands behind gradients that cannot be differentiated again."""

    def __init__(self, name: str, outputs: Sequence[Any]) -> None:
        super().__init__([], outputs)
        self.name = name

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        raise GradientError(
            f"{self.name} is differentiated twice, and is marked once_differentiable",
            location=here(),
            advice="write it in differentiable operations and remove the mark",
        )


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a `backward` as one that cannot be differentiated again: it runs without recording.

    Differentiating its gradients once more is an error rather than a missing term.

    >>> import ingot
    >>> class Square(ingot.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     @ingot.autograd.function.once_differentiable
    ...     def backward(ctx, g):
    ...         return ctx.saved_tensors[0] * 2 * g
    >>> x = ingot.tensor(3.0, requires_grad=True)
    >>> ingot.autograd.grad(Square.apply(x), x)
    (tensor(6.),)
    """

    @wraps(fn)
    def once(ctx: Any, *grads: Any) -> Any:
        ctx._once = True
        again, mode.grad = mode.grad, False
        try:
            result = fn(ctx, *grads)
        finally:
            mode.grad = again
        if not again:
            return result
        found = result if isinstance(result, tuple) else (result,)
        fresh = [as_output(ctx, x, ()) for x in found]
        _Once(fn.__qualname__, [x if isinstance(x, TensorBase) else None for x in fresh])
        return tuple(fresh) if isinstance(result, tuple) else fresh[0]

    return once
