"""The rest of `torch.jit`'s names: those that mean something here, and why the others do not exist.

`jit` gathers them. What each becomes, theme by theme, is told in `docs/jit.md`; capture itself is elsewhere.
"""

from __future__ import annotations

import builtins
import types
import typing
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, NoReturn

from ..ir.errors import CaptureError, IngotError
from ..ir.locations import here
from .capture.trace import trace
from .mode import mode
from .program import Program

__all__ = [
    "Error",
    "Final",
    "Future",
    "TracingCheckError",
    "annotate",
    "export",
    "fork",
    "ignore",
    "is_scripting",
    "isinstance",
    "refuse_name",
    "script_if_tracing",
    "trace_module",
    "unused",
    "wait",
]

Error = IngotError
TracingCheckError = CaptureError


# ----------------------------------------------------------------------------------------------- marks on functions


def ignore(drop: Any = False, **options: Any) -> Any:
    """Leave a function as it is when what calls it is scripted: its control flow stays Python's.

    Its operations on tensors are captured all the same. Used as `@ignore`, or `@ignore(drop=True)`, which is `unused`.

    >>> import ingot
    >>> @ingot.jit.ignore
    ... def log(x):
    ...     return x
    >>> log(3)
    3
    """
    if callable(drop):
        return _left_alone(drop)
    return unused if drop else _left_alone


def _left_alone(fn: Callable[..., Any]) -> Callable[..., Any]:
    fn.__dict__["__ingot_script__"] = False
    return fn


def unused(fn: Any) -> Any:
    """Mark a function, method or property that no captured program may reach; eager calls work.

    >>> import ingot
    >>> @ingot.jit.unused
    ... def debug(x):
    ...     return x + 1
    >>> debug(1)
    2
    """
    if builtins.isinstance(fn, property):
        return property(unused(fn.fget), fn.fset and unused(fn.fset), fn.fdel, fn.__doc__)

    @wraps(fn)
    def reached(*args: Any, **kwargs: Any) -> Any:
        if mode.tracer is not None:
            raise CaptureError(
                f"{fn.__qualname__} is marked as unused, and the program calls it",
                location=here(),
                context=mode.tracer.context,
                advice="guard the call by `if not ingot.jit.is_tracing():`, or take the mark away",
            )
        return fn(*args, **kwargs)

    reached.__dict__["__ingot_script__"] = False
    return reached


def export(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method as it is: what a program exports is said where it is captured, by the names of the methods:
    `ingot.jit.trace(model, {"forward": ..., "encode": ...})`."""
    return fn


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value: types of captured code are those of the values that it ran with.

    >>> import ingot
    >>> ingot.jit.annotate(int, 3)
    3
    """
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether a value is of a type, its contents included: `List[int]`, `Dict[str, Tensor]`, `Optional[int]`.

    >>> import ingot
    >>> ingot.jit.isinstance([1, 2], list[int]), ingot.jit.isinstance([1, "a"], list[int])
    (True, False)
    """
    if builtins.isinstance(target_type, tuple):
        return any(isinstance(obj, item) for item in target_type)
    origin, args = typing.get_origin(target_type), typing.get_args(target_type)
    if target_type is None or target_type is type(None):
        return obj is None
    if target_type is Any:
        return True
    if origin is None:
        return builtins.isinstance(obj, target_type)
    if origin in (typing.Union, types.UnionType):
        return any(isinstance(obj, item) for item in args)
    if not builtins.isinstance(obj, origin):
        return False
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return len(obj) == len(args) and all(isinstance(x, a) for x, a in zip(obj, args, strict=True))
    if builtins.isinstance(obj, Mapping):
        return all(isinstance(k, args[0]) and isinstance(v, args[1]) for k, v in obj.items())
    return all(isinstance(x, args[0]) for x in obj)


# ---------------------------------------------------------------------------------------------------------- capture


def is_scripting() -> bool:
    """Whether a function whose control flow is captured (`ingot.jit.script`) is running."""
    return mode.tracer is not None and mode.scripting


def trace_module(mod: Any, inputs: Mapping[str, Any], **options: Any) -> Program:
    """Capture several methods of a module as entry points of one program; the same as `trace(mod, inputs)`.

    >>> import ingot
    >>> class Net(ingot.nn.Module):
    ...     def forward(self, x):
    ...         return self.twice(x) + 1
    ...     def twice(self, x):
    ...         return x * 2
    >>> program = ingot.jit.trace_module(Net(), {"forward": ingot.ones(1), "twice": ingot.ones(1)})
    >>> program.run("twice", ingot.ones(1))
    tensor([2.])
    """
    return trace(mod, dict(inputs), **options)


def script_if_tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Capture the control flow of a function where a trace reaches it; called otherwise, it is plain Python."""

    @wraps(fn)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        if mode.tracer is None:
            return fn(*args, **kwargs)
        from .script.callees import scripted

        return scripted(fn)(*args, **kwargs)

    return chosen


# -------------------------------------------------------------------------------------------------------- fork, wait


class Future:
    """The result of a `fork`, which is there at once.

    >>> import ingot
    >>> ingot.jit.wait(ingot.jit.fork(lambda x: x + 1, 2))
    3
    """

    def __init__(self, value: Any) -> None:
        self._value = value

    def wait(self) -> Any:
        """The result."""
        return self._value

    def value(self) -> Any:
        """The result."""
        return self._value

    def done(self) -> bool:
        """True."""
        return True

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """The future of what `callback` makes of this one."""
        return Future(callback(self))


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
    """Call a function at once, and give its result as a future. What may run at the same time is decided by the graph,
    where there is no order but that of the data."""
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """The result of a `fork`."""
    return future.wait()


# --------------------------------------------------------------------------------------------------- what is not here

_NO_FUSER = (
    "fusion is a pass of each program",
    "look at program.optimized, and INGOT_DEBUG=why says why nodes stay apart",
)
_NOT_HERE: Final[dict[str, tuple[str, str]]] = {
    "Attribute": ("captured code has no declared attributes", "assign the value itself"),
    "CompilationUnit": ("no source text in a language of its own is compiled", "ingot.jit.script(function)"),
    "ONNXTracedModule": ("ONNX export takes programs", "ingot.onnx.export(program, path)"),
    "RecursiveScriptClass": ("classes are not compiled, their methods run at capture", "ingot.jit.trace(model, ...)"),
    "ScriptWarning": ("no capture warns of what it cannot know: it refuses", "catch ingot.jit.Error"),
    "enable_onednn_fusion": _NO_FUSER,
    "fuser": _NO_FUSER,
    "interface": ("captured code is Python, where any object with the methods will do", "typing.Protocol"),
    "jit_module_from_flatbuffer": ("programs have one file format", "ingot.jit.load(path)"),
    "last_executed_optimized_graph": ("each program has its own", "program.optimized"),
    "onednn_fusion_enabled": _NO_FUSER,
    "optimized_execution": ("programs are optimised when they are first called", 'program.on("reference")'),
    "run_frozen_optimizations": ("it is part of optimize_for_inference", "ingot.jit.optimize_for_inference(program)"),
    "save_jit_module_to_flatbuffer": ("programs have one file format", "program.save(path)"),
    "script_method": (
        "a program is captured from an ordinary module",
        "ingot.jit.trace(module, ...) or ingot.jit.script",
    ),
    "set_fusion_strategy": (
        "programs are compiled for symbolic sizes once, not again for each size that they meet",
        'dynamic_shapes={"x": {0: "batch"}} says which sizes vary',
    ),
    "set_module": ("a program has no package", "assign the program to a name"),
    "strict_fusion": _NO_FUSER,
    "verify": ("each capture is checked when it is made", "ingot.jit.trace(..., check=True), and program.verdict"),
}


def refuse_name(name: str) -> NoReturn:
    """Say why a name of `torch.jit` is not here, and what does its work.

    Raises:
        AttributeError: always.
    """
    reason = _NOT_HERE.get(name)
    if reason is None:
        raise AttributeError(f"module 'ingot.jit' has no attribute {name!r}")
    raise AttributeError(f"ingot.jit has no {name}: {reason[0]}; instead: {reason[1]}", name=name)
