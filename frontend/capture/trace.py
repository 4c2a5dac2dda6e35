"""`trace`: from a function or module and example inputs to a program."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ...ir.arrays import is_array
from ...ir.errors import ArgumentError, CaptureError, IngotError
from ...ir.gc_pause import paused_gc
from ...ir.program import Example, ProgramRecord, Signature, Tree, flatten, unflatten
from ...ir.verifier import verify
from ..mode import mode
from ..module import Module
from ..program import Program
from ..random import Generator, default_generator
from ..tensor_base import TensorBase
from .attributes import Attributes
from .dims import DynamicSizes
from .symint import SymInt
from .tracer import Tracer

__all__ = ["trace"]


def trace(
    func: Callable[..., Any],
    example_inputs: Any = (),
    *,
    example_kwarg_inputs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    name: str = "forward",
) -> Program:
    """Run a function or module once on example inputs and capture what it computes as a program.

    The run leaves the module, the optimizer and the random state as they were; the program has its own copy of them.
    What the run changes (batch-norm statistics, a cache, parameters in a training step, the random state) becomes
    state that each call of the program updates.

    Args:
        func: a `Module`, a function, or a bound method. Modules and tensors that it reaches through its closure, its
            globals or `self` are found, and named by how it reaches them.
        example_inputs: its positional arguments: a tensor, or a tuple of tensors, numbers, None and nested tuples,
            lists and dicts of them. Numbers are constants of the program.
        example_kwarg_inputs: its keyword arguments.
        dynamic_shapes: which sizes vary: `{"x": {0: "batch", 1: Dim("time", min=1, max=2048)}}` by parameter, or a
            sequence by position, or for a single argument just `{0: "batch"}`. Equal names are equal sizes. All other
            sizes are fixed to the example's.
        name: the entry point's name.

    Returns:
        a `Program`, optimised when it is first called.

    Raises:
        CaptureError: for a Python branch on a tensor's value, an input changed in place, and whatever else a graph
            cannot hold; with the user's line and the way out.

    >>> import ingot
    >>> program = ingot.jit.trace(lambda x: x * 2, ingot.ones(3, 4), dynamic_shapes={0: "batch"})
    >>> program(ingot.ones(5, 4)).shape
    ingot.Size([5, 4])
    """
    if mode.tracer is not None:
        raise CaptureError("trace: a capture is already in progress", advice="trace the outer function alone")
    args = example_inputs if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
    bound = _bind(func, tuple(args), dict(example_kwarg_inputs or {}))
    shapes = _shapes_by_name(dynamic_shapes, bound)
    modules, names = _reachable_state(func)
    attributes = Attributes(modules.values(), _roots(func), func)
    tracer = Tracer(name, names)
    tracer.name_modules({key: path for key, (path, _) in modules.items()})
    tensors, trees, examples = _make_inputs(tracer, bound, shapes)
    arguments = {n: unflatten(tree, group) for n, tree, group in zip(bound, trees, tensors, strict=True)}
    mode.tracer = tracer
    try:
        with paused_gc():
            positional, keywords = _as_call(func, arguments)
            result = func(*positional, **keywords)
            leaves, tree = _flatten_result(result)
            for path, old, new in attributes.replaced():
                tracer.replace(path, old, new)
            tracer.finish(leaves)
        outputs = tuple(np.array(x._array if isinstance(x, TensorBase) else tracer.example_of(x)) for x in leaves)
        state = tracer.state_arrays()
    finally:
        mode.tracer = None
        tracer.restore()
        attributes.restore()
    verify(tracer.graph)
    trainable = tuple(key for key, (tensor, _) in tracer.state.items() if tensor._node is not None)
    record = ProgramRecord(
        {name: tracer.graph},
        state,
        {name: Signature(tuple(bound), tuple(trees), tree)},
        trainable,
        tracer.ledger,
        examples=[Example(name, tuple(examples), outputs)],
    )
    return Program(record)


def _bind(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Example arguments by parameter name, in order; `*args` get numbered names."""
    target = func.forward if isinstance(func, Module) else func
    try:
        found = inspect.signature(target).bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(f"trace: the example inputs do not fit the program: {error}") from None
    result: dict[str, Any] = {}
    for key, value in found.arguments.items():
        kind = found.signature.parameters[key].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            result.update({f"{key}_{i}": item for i, item in enumerate(value)})
        elif kind is inspect.Parameter.VAR_KEYWORD:
            result.update(value)
        else:
            result[key] = value
    return result


def _as_call(func: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by name as positional and keyword arguments of the call."""
    target = func.forward if isinstance(func, Module) else func
    positional: list[Any] = []
    keywords = dict(arguments)
    for key, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positional += [keywords.pop(n) for n in list(keywords) if n.startswith(f"{key}_")]
        elif parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            if key not in keywords:
                break
            positional.append(keywords.pop(key))
    return positional, keywords


def _shapes_by_name(given: Any, bound: Mapping[str, Any]) -> dict[str, Any]:
    names = list(bound)
    if given is None:
        return {}
    if isinstance(given, Mapping) and all(isinstance(key, int) for key in given) and len(names) == 1:
        return {names[0]: given}
    if isinstance(given, (tuple, list)):
        if len(given) > len(names):
            raise ArgumentError(f"dynamic_shapes: {len(given)} entries for {len(names)} arguments")
        return dict(zip(names, given, strict=False))
    if not isinstance(given, Mapping):
        raise ArgumentError(f"dynamic_shapes is {given!r}", expected='{"x": {0: "batch"}}')
    for key in given:
        if key not in bound:
            raise ArgumentError(f"dynamic_shapes: no argument {key!r}", found=f"arguments: {', '.join(names)}")
    return dict(given)


def _is_input(value: Any) -> bool:
    return isinstance(value, TensorBase) or is_array(value)


def _make_inputs(
    tracer: Tracer, bound: Mapping[str, Any], shapes: Mapping[str, Any]
) -> tuple[list[list[Any]], list[Tree], list[np.ndarray]]:
    """Graph inputs for the leaves of every argument: tensors by argument, trees, and copies of the examples."""
    dynamic = DynamicSizes()
    tensors, trees, examples = [], [], []
    for name, value in bound.items():
        try:
            leaves, tree = flatten(value, _is_input)
        except IngotError as error:
            raise ArgumentError(f"trace: argument '{name}': {error.what}", expected=error.expected) from None
        group = []
        for i, leaf in enumerate(leaves):
            array = np.array(leaf._array if isinstance(leaf, TensorBase) else leaf)
            given = shapes.get(name) if len(leaves) == 1 else _nested(shapes.get(name), i)
            sizes = dynamic.sizes(name, array.shape, given)
            group.append(tracer.add_input(name if len(leaves) == 1 else f"{name}_{i}", array, sizes))
            examples.append(array)
        tensors.append(group)
        trees.append(tree)
    tracer.set_hints(dynamic.hints)
    return tensors, trees, examples


def _nested(given: Any, i: int) -> Any:
    """The dynamic sizes of one leaf of a nested argument, which are given as a sequence in the leaves' order."""
    if given is None:
        return None
    if isinstance(given, (tuple, list)) and i < len(given):
        return given[i]
    raise ArgumentError(
        f"dynamic_shapes: {given!r} for a nested argument",
        expected="a sequence with an entry for each of its tensors",
    )


def _flatten_result(result: Any) -> tuple[list[Any], Tree]:
    try:
        return flatten(result, lambda x: isinstance(x, (TensorBase, SymInt)))
    except IngotError as error:
        raise CaptureError(f"the program's result: {error.what}", expected=error.expected) from None


def _reachable_state(
    func: Callable[..., Any],
) -> tuple[dict[int, tuple[str, Module]], dict[int, tuple[str, Any]]]:
    """Modules by id with their paths, and named tensors by id."""
    modules: dict[int, tuple[str, Module]] = {}
    names: dict[int, tuple[str, Any]] = {}
    roots = list(_roots(func))
    for prefix, root in roots:
        if isinstance(root, Module):
            for path, module in root.named_modules(prefix=prefix):
                modules.setdefault(id(module), (path, module))
            for path, tensor in (*root.named_parameters(prefix=prefix), *root.named_buffers(prefix=prefix)):
                names.setdefault(id(tensor), (path, tensor))
    for prefix, root in roots:
        if isinstance(root, TensorBase):
            names.setdefault(id(root), (prefix, root))
        elif isinstance(root, Generator):
            names.setdefault(id(root._key), (prefix if root is not default_generator else "rng", root._key))
        elif hasattr(root, "named_state"):
            known = {key: path for key, (path, _) in names.items()}
            for path, tensor in root.named_state(known):
                names.setdefault(id(tensor), (f"{prefix}.{path}", tensor))
    return modules, _owners(names)


def _owners(names: dict[int, tuple[str, Any]]) -> dict[int, tuple[str, Any]]:
    """Named tensors without the views whose memory has another name: those follow the tensor that they view."""
    views = Counter(id(tensor._base) for _, tensor in names.values())
    found = dict(names)
    for key, (path, tensor) in names.items():
        base = tensor._base
        if base is not None and (id(base) in names or views[id(base)] > 1):
            del found[key]
            found.setdefault(id(base), (f"{path}.base", base))
    return found


def _roots(func: Callable[..., Any]) -> Iterable[tuple[str, Any]]:
    """What a function reaches: itself if it is a module, `self`, its closure, the globals that it names."""
    if isinstance(func, Module):
        yield "", func
        return
    owner = getattr(func, "__self__", None)
    if owner is not None:
        if isinstance(owner, Module):
            yield "", owner
        else:
            yield from ((key, value) for key, value in vars(owner).items())
    code = getattr(func, "__code__", None)
    if code is None:
        return
    cells = func.__closure__ or ()
    for key, cell in zip(code.co_freevars, cells, strict=True):
        try:
            yield key, cell.cell_contents
        except ValueError:  # a variable that is not bound yet
            continue
    for key in code.co_names:
        if key in func.__globals__:
            yield key, func.__globals__[key]
