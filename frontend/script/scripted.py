"""`jit.script`: a function or module whose control flow is captured with it.

A scripted callable is captured when it is first called, for any sizes, or when it is saved. Called inside of another
capture it becomes part of that one.
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...ir.errors import ArgumentError, CaptureError, IngotError
from ...ir.locations import here
from ...ir.parser import parse
from ...ir.sizes import SizeExpr, bounds, evaluate, free_vars
from ...ir.types import TensorType
from ..bound import kept_with
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
_NUMBERS_PERHAPS: Final = (CaptureError, ArgumentError)  # what is raised where a run-time number cannot be one
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
            except _NUMBERS_PERHAPS:  # perhaps it is the numbers; if not, the same error comes again
                chosen = self._numbers.keep(chosen, lambda some: self._can_capture(some, args, kwargs))
        return self._call(chosen, args, kwargs)

    def _can_capture(self, chosen: Chosen, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        try:
            entry, compiled = self._compiled_for(chosen)
            packed, named = entry.packed(args, kwargs)
            compiled.warmup(*packed, **named)
        except _NUMBERS_PERHAPS:
            return False
        return True

    def _call(self, chosen: Chosen, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry, compiled = self._compiled.get(chosen) or self._compiled_for(chosen)
        if not chosen:
            return compiled(*args, **kwargs)
        packed, named = entry.packed(args, kwargs)
        return compiled(*packed, **named)

    def _compiled_for(self, chosen: Chosen) -> tuple[WithNumbers, Compiled]:
        """What is compiled for calls in which the run decides these numbers."""
        found = self._compiled.get(chosen)
        if found is None:
            from ..compile import Compiled

            entry = WithNumbers(self, self.original, chosen)
            compiled = Compiled(
                entry, dynamic=True, fallback=False, max_variants=_MOST_VARIANTS, backend="numpy", script=False
            )
            found = self._compiled[chosen] = entry, compiled
        return found

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method: one scripted function for each object, kept with it."""
        if instance is None:
            return self
        return kept_with(instance, f"__scripted_{self.original.__name__}", self.original, Scripted)

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
        named = options.pop("example_kwarg_inputs", self.example_kwarg_inputs)
        if given is None and named is None and self._first is not None:
            given, named = self._first
        if given is None and named is None:
            given, shapes = _made_up(self.original)
            return trace(self, given, **{"dynamic_shapes": shapes, **options})
        if "dynamic_shapes" not in options:
            options |= {"dynamic_shapes": "all", "specialize_ok": True}
        if isinstance(given, dict):  # several entry points
            return trace(self, given, example_kwarg_inputs=named, **options)
        return self._with_numbers(_as_arguments(given), dict(named or {}), options)

    def _with_numbers(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> Any:
        """A program that takes as many of the example's numbers at its calls as the function lets it."""
        from ..capture.parameters import runtime
        from ..capture.trace import trace

        kwargs |= self._numbers.left_out(args, kwargs)

        def attempt(chosen: Chosen, low: Any) -> Any:
            def mark(place: Any, x: Any) -> Any:
                return x if place not in chosen else runtime(x, min=low) if x.__class__ is int else runtime(x)

            given = tuple([mark(place, x) for place, x in enumerate(args)])
            named = {place: mark(place, x) for place, x in kwargs.items()}
            return trace(self, given, example_kwarg_inputs=named, **options)

        def works(chosen: Chosen) -> bool:
            return _is_captured(lambda: attempt(chosen, ...))

        chosen = self._numbers.chosen(args, kwargs)
        for low in (None, ...) if chosen else ():
            try:
                return attempt(chosen, low)
            except _NUMBERS_PERHAPS:
                continue
        if chosen:
            chosen = self._numbers.keep(chosen, works)
        return attempt(chosen, ...)

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
    if isinstance(obj, Module):
        from .scripted_module import ScriptedModule, ScriptedPart

        if isinstance(obj, ScriptedPart):
            return obj.scripted
        return ScriptedModule(obj, example_inputs, example_kwarg_inputs)
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


def _as_arguments(given: Any) -> tuple[Any, ...]:
    several = isinstance(given, (tuple, list)) and not hasattr(given, "_fields")
    return () if given is None else tuple(given) if several else (given,)


def _is_captured(attempt: Callable[[], Any]) -> bool:
    try:
        attempt()
    except _NUMBERS_PERHAPS:
        return False
    return True


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
