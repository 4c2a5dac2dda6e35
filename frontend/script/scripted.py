"""`jit.script`: a function or module whose control flow is captured with it.

A scripted callable is captured when it is first called, for any sizes, or when it is saved. Called inside of another
capture it becomes part of that one.
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...ir.errors import ArgumentError, CaptureError, IngotError
from ...ir.locations import here
from ...ir.parser import parse
from ...ir.sizes import SizeExpr, bounds, evaluate, free_vars
from ...ir.types import TensorType
from ..mode import mode
from ..module import Module
from ..tensor_base import TensorBase, wrap
from .callees import scripted
from .numbers import Chosen, NumberArguments, WithNumbers
from .rewrite import CannotConvert, convert

if TYPE_CHECKING:
    from ..compile import Compiled

__all__ = ["Scripted", "script"]

_EXAMPLE_SIZE: Final = 3
_MOST_VARIANTS: Final = 16
_QUOTED: Final = re.compile(r"'([^']+)'|\"([^\"]+)\"")


class Scripted:
    """A function or module with its control flow captured. Made by `jit.script`; called like the original.

    Attributes:
        original: the function or module.
    """

    def __init__(self, original: Any, example_inputs: Any = None, example_kwarg_inputs: Any = None) -> None:
        if not isinstance(original, Module):
            functools.update_wrapper(self, original, updated=())
        self.original = original
        self.example_inputs = example_inputs
        self.example_kwarg_inputs = example_kwarg_inputs
        self._numbers = NumberArguments(original)
        self._compiled: dict[Chosen, tuple[WithNumbers, Compiled]] = {}
        self._first: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    __ingot_scripted__ = True

    @property
    def __ingot_original__(self) -> Any:
        return self.original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if mode.tracer is not None:
            return scripted(self.original)(*args, **kwargs)
        if mode.plain:
            return self.original(*args, **kwargs)
        if self._first is None:
            self._first = _kept(args), _kept(kwargs)
        chosen = self._numbers.chosen(args, kwargs)
        if chosen:
            try:
                return self._call(chosen, args, kwargs)
            except CaptureError:
                self._numbers.constant = True  # perhaps it is the numbers; if not, the same error comes again
        return self._call(frozenset(), args, kwargs)

    def _call(self, chosen: Chosen, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = self._compiled.get(chosen)
        if found is None:
            from ..compile import Compiled

            entry = WithNumbers(self, self.original, chosen)
            compiled = Compiled(
                entry, dynamic=True, fallback=False, max_variants=_MOST_VARIANTS, backend="numpy", script=False
            )
            found = self._compiled[chosen] = entry, compiled
        entry, compiled = found
        if not chosen:
            return compiled(*args, **kwargs)
        packed, named = entry.packed(args, kwargs)
        return compiled(*packed, **named)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method: one scripted function for each object, kept with it."""
        if instance is None:
            return self
        name = f"__scripted_{self.original.__name__}"
        found = instance.__dict__.get(name)
        if found is None:
            found = instance.__dict__[name] = Scripted(self.original.__get__(instance, owner))
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "original":
            raise AttributeError(name)
        return getattr(self.original, name)

    def __repr__(self) -> str:
        return f"<scripted {getattr(self.original, '__qualname__', None) or repr(self.original)}>"

    def explain(self) -> str:
        """The variants that calls have made, and why; see `ingot.compile`."""
        return "\n\n".join(compiled.explain() for _, compiled in self._compiled.values())

    def program(self, example_inputs: Any = None, **options: Any) -> Any:
        """The callable as a `Program`, for any sizes, with state of its own.

        Args:
            example_inputs: as in `jit.trace`. By default those that `jit.script` was given, else those of the first
                call; else they are made up from annotations: each parameter's type as text, `x: "f32[batch, 784]"`.
            options: as `jit.trace` takes them.

        Raises:
            ArgumentError: when there are neither example inputs, nor a call, nor annotations that tell the types.
        """
        from ..capture.trace import trace

        given = self.example_inputs if example_inputs is None else example_inputs
        if self.example_kwarg_inputs is not None:
            options.setdefault("example_kwarg_inputs", self.example_kwarg_inputs)
        if given is None and self.example_kwarg_inputs is None and self._first is not None:
            return self._as_first_called(options)
        if given is None and self.example_kwarg_inputs is None:
            given, shapes = _made_up(self.original)
            options.setdefault("dynamic_shapes", shapes)
        elif "dynamic_shapes" not in options:
            options |= {"dynamic_shapes": "all", "specialize_ok": True}
        return trace(self, () if given is None else given, **options)

    def _as_first_called(self, options: dict[str, Any]) -> Any:
        from ..capture.parameters import runtime
        from ..capture.trace import trace

        assert self._first is not None
        args, kwargs = self._first
        options = {"dynamic_shapes": "all", "specialize_ok": True, **options}
        chosen = self._numbers.chosen(args, kwargs)
        if chosen:
            numbers = [runtime(x) if i in chosen else x for i, x in enumerate(args)]
            named = {key: runtime(x) if key in chosen else x for key, x in kwargs.items()}
            try:
                return trace(self, tuple(numbers), example_kwarg_inputs=named, **options)
            except CaptureError:
                self._numbers.constant = True
        return trace(self, args, example_kwarg_inputs=kwargs, **options)

    @property
    def graph(self) -> Any:
        """The graph of `program()`."""
        return self.program().graph

    @property
    def code(self) -> str:
        """The NumPy source that is emitted for `program()`."""
        return str(self.program().code())

    def save(self, path: str | Path, **options: Any) -> None:
        """Save `program()` as one data-only file; see `jit.load`."""
        self.program().save(path, **options)


def script(
    obj: Any = None, *, example_inputs: Any = None, example_kwarg_inputs: Mapping[str, Any] | None = None
) -> Any:
    """Capture a function or module with its control flow: `if`, `while`, `for`, `and`, ... that data decide.

    The source is rewritten so that what the run decides becomes branches and loops of the graph; everything else runs
    as Python does while the program is captured, calls of other functions and modules included, whose source is
    rewritten as well. Lists that a scripted function makes may grow in loops.

    Args:
        obj: a function, method or `Module`. Without it, a decorator.
        example_inputs, example_kwarg_inputs: arguments to capture with when it is saved.

    Returns:
        a `Scripted`, captured when it is first called, when it is saved, or as part of another capture. A class or a
        `Program` is returned as it is.

    Raises:
        CaptureError: for a function without source, a generator, and what else cannot be rewritten; at the capture,
            for values that differ in type between the sides of a branch, or from iteration to iteration.

    >>> import ingot
    >>> @ingot.jit.script
    ... def collatz(n):
    ...     steps = 0
    ...     while n != 1:
    ...         n = n // 2 if n % 2 == 0 else 3 * n + 1
    ...         steps += 1
    ...     return steps
    >>> collatz(ingot.tensor(6)), collatz(ingot.tensor(27))
    (8, 111)
    """
    if obj is None:
        return functools.partial(script, example_inputs=example_inputs, example_kwarg_inputs=example_kwarg_inputs)
    if isinstance(obj, (type, Scripted)):
        return obj
    if not callable(obj):
        raise ArgumentError(f"script: {obj!r} cannot be called", expected="a function, method or module")
    _check_source(obj)
    if isinstance(example_inputs, list) and len(example_inputs) == 1 and isinstance(example_inputs[0], tuple):
        example_inputs = example_inputs[0]  # a list of examples, as TorchScript takes them
    return Scripted(obj, example_inputs, example_kwarg_inputs)


def _check_source(obj: Any) -> None:
    function = obj.forward if isinstance(obj, Module) else obj
    function = getattr(function, "__func__", function)
    if not inspect.isfunction(function):
        raise CaptureError(
            f"script: {obj!r} is no Python function",
            expected="a function whose source can be read",
            location=here(),
            advice="trace it, or call it from a scripted function",
        )
    try:
        convert(function)
    except CannotConvert as error:
        location = error.location or here()
        raise CaptureError(error.what, expected=error.expected, location=location, advice=error.advice) from None


def _kept(value: Any) -> Any:
    """A copy of arguments, for the example that a saved program begins with."""
    if isinstance(value, TensorBase):
        return value.detach().clone()  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return {key: _kept(x) for key, x in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_kept(x) for x in value)
    return value


# ------------------------------------------------------------------------------------------------------- annotations


def _made_up(obj: Any) -> tuple[tuple[Any, ...], dict[str, dict[int, Any]]]:
    """Example inputs and dynamic sizes from the annotations of a callable."""
    from ..capture.dims import Dim

    function = obj.forward if isinstance(obj, Module) else obj
    values: list[Any] = []
    shapes: dict[str, dict[int, Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            break
        type_ = _tensor_type(parameter.annotation)
        if type_ is None:
            raise ArgumentError(
                f"the parameter '{name}' does not say what is to be captured",
                expected=f'{name}: "f32[batch, 784]", or example_inputs=',
                found=f"annotation {parameter.annotation!r}",
                location=here(),
                advice="or call it once before",
            )
        names = {n for size in type_.sizes if isinstance(size, SizeExpr) for n in free_vars(size)}
        hints = {n: _EXAMPLE_SIZE + i for i, n in enumerate(sorted(names))}
        sizes = tuple(evaluate(s, hints) if isinstance(s, SizeExpr) else s for s in type_.sizes)
        values.append(wrap(np.ones(sizes, type_.dtype.np)))
        shapes[name] = {
            dim: Dim(str(size), *_bounds(size)) for dim, size in enumerate(type_.sizes) if isinstance(size, SizeExpr)
        }
    return tuple(values), shapes


def _bounds(size: SizeExpr) -> tuple[int, int | None]:
    low, high = bounds(size)
    return low or 0, high


def _tensor_type(annotation: Any) -> TensorType | None:
    """The tensor type that an annotation says as text: `"f32[B, 4]"`, or within `Annotated[Tensor, "f32[B, 4]"]`."""
    texts = [x for x in typing.get_args(annotation) if isinstance(x, str)]
    if isinstance(annotation, str):  # as text itself, where annotations are not evaluated
        texts = [annotation, *(a or b for a, b in _QUOTED.findall(annotation))]
    for text in texts:
        written = text.strip("'\"")
        try:
            graph = parse(f"graph @annotation(%x : {written}) -> ({written}):\n  return (%x)\n")
        except IngotError:
            continue
        found = graph.inputs[0].type
        if isinstance(found, TensorType):
            return found
    return None
