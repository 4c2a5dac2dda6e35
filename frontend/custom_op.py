"""`library.custom_op`: an operator from a function of tensors, in PyTorch's words.

The function computes; `register_fake` says which types come out, `register_autograd` what the gradient is and
`register_onnx` the ONNX form. Other declarations stand in `library`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..ir import families
from ..ir.algebra import TYPES, Proxy, type_of
from ..ir.errors import ArgumentError, UnsupportedError
from ..ir.gradient import forget_rules
from ..ir.locations import here
from ..ir.registry import NamedKernel, NotDifferentiable, NotExportable, Op
from ..ir.schema import parse_schema
from ..ir.types import NONE, TensorType, Type
from .dispatch import EAGER, entry
from .function import FunctionCtx
from .mode import mode
from .op_signature import signature_text
from .over_algebra import OverAlgebra
from .tape import plan_of
from .tensor_base import TensorBase, wrap

__all__ = ["CustomOp", "custom_op"]


class CustomOp:
    """A declared operator; call it like the function that it was made from."""

    def __init__(self, signature: str, function: Callable[..., Any]) -> None:
        self._function = function
        self._fake: Callable[..., Any] | None = None
        self._schema = parse_schema(signature)
        self._name = signature.split("(")[0]
        kernel = NamedKernel(self._name, self._kernel)
        why = NotDifferentiable("it was declared without register_autograd")
        self._op = families.opaque(
            signature, infer=self._infer, kernel=kernel, grad=why, doc=inspect.getdoc(function) or ""
        )
        self._op.extras["declared"] = here()
        self._op.extras["public"] = self
        self._call = entry(self._op)
        self.__name__ = self._schema.name
        self.__doc__ = self._op.doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<custom operator {self._name}>"

    @property
    def op(self) -> Op:
        """The registered op."""
        return self._op

    # -------------------------------------------------------------------------------------------- declarations

    def register_fake(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Say which type the results have: `function` takes the same arguments and returns tensors of the right sizes
        and dtype, such as `ingot.empty_like(x)` or `x.new_empty(n, 3)`. Its tensors have no elements; its sizes may be
        symbolic."""
        if self._fake is not None:
            raise ArgumentError(f"{self._name} has a type rule already", location=here())
        self._fake = function
        return function

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """Say what the gradient is.

        Args:
            backward: `backward(ctx, *grads)` gives one gradient per argument, None for those without. It is written in
                `ingot`'s operations, which are differentiated for gradients of gradients.
            setup_context: `setup_context(ctx, inputs, output)` keeps what backward needs: tensors by
                `ctx.save_for_backward`, the rest as attributes.
        """
        if not isinstance(self._op.grad, NotDifferentiable):
            raise ArgumentError(f"{self._name} has a gradient already", location=here())
        wanted = tuple(p.name for p in self._schema.inputs)
        if not wanted:
            raise ArgumentError(f"{self._name} has no tensor to differentiate by", location=here())
        self._complete(grad={wanted: self._gradient_rule(backward, setup_context, wanted)})

    def register_onnx(self, form: Callable[..., Any] | str) -> None:
        """Say which ONNX nodes it becomes: `lambda E, x, scale: E.Mul(x, E.number(scale, x))`."""
        if not isinstance(self._op.onnx, NotExportable):
            raise ArgumentError(f"{self._name} has an ONNX form already", location=here())
        self._complete(onnx=form)

    def _complete(self, **facts: Any) -> None:
        """Add to the declaration, and forget what was derived from it so far."""
        for name, value in facts.items():
            object.__setattr__(self._op, name, value)
        plan_of.cache_clear()
        forget_rules()
        self._op.extras.pop("entry", None)
        self._call = entry(self._op)

    # ------------------------------------------------------------------------------------------- what it derives

    def _arguments(self, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> list[Any]:
        """Inputs and attributes in the order of the function's parameters."""
        groups = iter(self._schema.unflatten(inputs))
        return [next(groups) if p.is_input else attrs[p.name] for p in self._schema.parameters]

    def _call_in_order(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        pairs = list(zip(self._schema.parameters, arguments, strict=True))
        positional = [value for p, value in pairs if not p.keyword_only]
        return function(*positional, **{p.name: value for p, value in pairs if p.keyword_only})

    def _kernel(self, *arrays: Any, **attrs: Any) -> Any:
        tensors = [wrap(x) if hasattr(x, "dtype") else x for x in arrays]
        previous = mode.grad, mode.tracer
        mode.grad, mode.tracer = False, None
        try:
            result = self._call_in_order(self._function, self._arguments(tensors, attrs))
        finally:
            mode.grad, mode.tracer = previous
        found = result if isinstance(result, tuple) else (result,)
        if len(found) != len(self._schema.outputs) or not all(isinstance(x, TensorBase) for x in found):
            raise ArgumentError(
                f"{self._name} returned something else than declared",
                expected=self._schema.text,
                found=", ".join(type(x).__name__ for x in found),
            )
        results = tuple(self._own(x._array, arrays) for x in found)
        return results if isinstance(result, tuple) else results[0]

    @staticmethod
    def _own(array: Any, arrays: Sequence[Any]) -> Any:
        """A result in memory of its own: results of operators never share memory with their inputs."""
        shared = any(isinstance(x, np.ndarray) and np.may_share_memory(array, x) for x in arrays)
        return array.copy() if shared else array

    def _infer(self, types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        if self._fake is None:
            raise UnsupportedError(
                f"{self._name} has no type rule, which a capture needs",
                advice=f"declare one: @{self.__name__}.register_fake",
            )
        over = OverAlgebra(TYPES, f"the type rule of {self._name}")
        operands = [None if t is NONE else Proxy(TYPES, None, t) for t in types]
        with over.active():
            given = self._arguments([over.tensor(x) for x in operands], {k: over.size(v) for k, v in attrs.items()})
            result = self._call_in_order(self._fake, given)
        found = result if isinstance(result, tuple) else (result,)
        if len(found) != len(self._schema.outputs) or not all(isinstance(x, TensorBase) for x in found):
            raise ArgumentError(
                f"the type rule of {self._name} returned something else than declared",
                expected=self._schema.text,
                found=", ".join(type(x).__name__ for x in found),
            )
        device = next((t.device for t in types if isinstance(t, TensorType) and t.device), None)
        inferred = [type_of(over.operand(x)) for x in found]
        return tuple(TensorType(t.dtype, t.sizes, device) if isinstance(t, TensorType) else t for t in inferred)

    def _gradient_rule(
        self, backward: Callable[..., Any], setup: Callable[..., Any] | None, wanted: tuple[str, ...]
    ) -> Callable[..., Any]:
        """A gradient in the driver's form: a function of `F`, `g`, `y`, the inputs and the attributes."""
        names = ("F", "g", "y", *(p.name for p in self._schema.parameters))

        def rule(F: Any, g: Any, y: Any, *arguments: Any) -> Any:
            if F is EAGER:
                found = self._run_backward(backward, setup, g, y, arguments)
            else:
                over = OverAlgebra(F, f"the gradient of {self._name}")
                with over.active():
                    values = [over.size(over.tensor(x)) for x in arguments]
                    answers = self._run_backward(backward, setup, over.tensor(g), over.tensor(y), values)
                    found = [_map(x, over.operand) for x in answers]
                found = [_map(x, lambda v: _proxied(F, v)) for x in found]
            by_name = dict(zip((p.name for p in self._schema.parameters), found, strict=True))
            results = tuple(by_name[name] for name in wanted)
            return results if len(results) > 1 else results[0]

        rule.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        )
        return rule

    def _run_backward(
        self,
        backward: Callable[..., Any],
        setup: Callable[..., Any] | None,
        g: Any,
        y: Any,
        arguments: Sequence[Any],
    ) -> list[Any]:
        ctx = FunctionCtx(tuple(p.is_input for p in self._schema.parameters))
        if setup is not None:
            setup(ctx, tuple(arguments), y)
        result = backward(ctx, *_materialised(g, y))
        found = list(result) if isinstance(result, (tuple, list)) else [result]
        if len(found) < len(self._schema.parameters):
            raise ArgumentError(
                f"the gradient of {self._name} gave another number of gradients than there are arguments",
                expected=f"{len(self._schema.parameters)}, None for those without a gradient",
                found=str(len(found)),
                location=here(),
            )
        given = found[: len(self._schema.parameters)]
        return [tuple(x) if isinstance(x, list) else x for x in given]


def _materialised(g: Any, y: Any) -> list[Any]:
    """One gradient per output: zeros where nothing flows back."""
    grads, outputs = (g, y) if isinstance(g, tuple) else ((g,), (y,))
    return [EAGER.full(tuple(o.shape), 0.0, o.dtype) if x is None else x for x, o in zip(grads, outputs, strict=True)]


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    return tuple(change(item) for item in value) if isinstance(value, tuple) else change(value)


def _proxied(F: Any, value: Any) -> Any:
    """What a gradient returned as the algebra has it; an array is a constant."""
    if value is None or isinstance(value, Proxy):
        return value
    return F.clone(value)


# ------------------------------------------------------------------------------------------------------- the decorator


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: Sequence[str] | str = (),
    schema: str | None = None,
) -> Any:
    """Make an operator of a function of tensors, as a decorator.

    Inside, the function may do anything (call NumPy or SciPy, loop over elements): a capture records one node and never
    looks into it. It must not change its arguments, and its results depend on nothing but them.

    Args:
        name: with a namespace: `"mylib::solve"`.
        mutates_args: operators are pure: only `()` is taken.
        schema: the parameters and results, `"(x: Tensor, n: int) -> Tensor"`. Default: read from the annotations
            (`Tensor`, `int`, `float`, `bool`, `str`, `Optional`, `Sequence` and `list` of these).

    Raises:
        ArgumentError: for a name that is taken or has no namespace, or annotations that no operator can have.

    >>> import ingot, numpy as np
    >>> @ingot.library.custom_op("doctest::cumulative_max", mutates_args=())
    ... def cumulative_max(x: ingot.Tensor, dim: int = 0) -> ingot.Tensor:
    ...     return ingot.from_numpy(np.maximum.accumulate(x.numpy(), axis=dim))
    >>> @cumulative_max.register_fake
    ... def _(x, dim=0):
    ...     return ingot.empty_like(x)
    >>> cumulative_max(ingot.tensor([1.0, 3.0, 2.0]))
    tensor([1., 3., 3.])
    >>> program = ingot.jit.trace(lambda x: cumulative_max(x) * 2, ingot.ones(3))
    >>> program(ingot.tensor([5.0, 3.0, 7.0]))
    tensor([10., 10., 14.])
    >>> ingot.library.unregister("doctest::cumulative_max")
    """
    from .library import check_name

    if tuple(mutates_args):
        raise ArgumentError(
            f"custom_op: {name} changes its arguments",
            expected="mutates_args=()",
            found=f"mutates_args={mutates_args!r}",
            location=here(),
            advice="return the changed tensor, and copy_() it where it is called",
        )

    def declare(function: Callable[..., Any]) -> CustomOp:
        check_name(name)
        return CustomOp(name + (schema or signature_text(name, function)), function)

    return declare if fn is None else declare(fn)
