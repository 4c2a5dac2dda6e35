"""`trace`: from a function or module and example inputs to a program of one or several entry points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ...ir.errors import ArgumentError
from ...ir.graph import Graph
from ...ir.program import Example, LedgerEntry, ProgramRecord, Signature
from ...ir.trees import record_kind
from ..module import Module
from ..program import Program
from ..tensor_base import TensorBase
from .check import is_wanted, report
from .crossings import refuse_lost
from .entry import Captured, EntryPoint, Session, capture, exclusive
from .inputs import Mutates
from .known_state import roots
from .modes import MODES, combine_graphs, combine_signatures, in_mode
from .verdict import Verdict, joined

__all__ = ["trace"]

_ROUNDS = 3  # entry points are captured anew when one of them makes state that another reads


def trace(
    func: Any,
    example_inputs: Any = (),
    *,
    example_kwarg_inputs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    name: str = "forward",
    script_branches: bool = False,
    modes: Sequence[str] = (),
    mutates: Mutates = "refuse",
    specialize_ok: Sequence[str] | bool = (),
    frozen_ok: bool | str = False,
    check: bool | Literal["warn"] = True,
    check_seed: int = 0,
) -> Program:
    """Run a function or module once on example inputs and capture what it computes as a program.

    The run leaves the module, the optimizer and the random state as they were; the program has its own copy of them.
    What the run changes (batch-norm statistics, a cache, parameters in a training step, the random state) becomes
    state that each call of the program updates.

    Args:
        func: a `Module`, a function, or a bound method. Modules and tensors that it reaches through its closure, its
            globals or `self` are found, and named by how it reaches them. None where every entry point has its own.
        example_inputs: its positional arguments: a tensor or array, or a tuple of tensors, numbers, strings, None and
            nested tuples, lists, dicts, named tuples and dataclasses of them. Numbers and strings are constants of the
            program, but for those marked by `ingot.jit.runtime`. For several entry points, which share their state, a
            dict from methods' names to such arguments, or from any names to `(function, arguments)`.
        example_kwarg_inputs: its keyword arguments; by entry point where there are several.
        dynamic_shapes: which sizes vary: `{"x": {0: "batch", 1: Dim("time", min=1, max=2048)}}` by parameter, or a
            sequence by position, or for a single argument just `{0: "batch"}`; in a nested argument it follows the
            structure. Equal names are equal sizes, `2 * Dim("h")` is a size that follows from another, `Dim.AUTO` one
            that may be fixed, and `"all"` lets all sizes be so. Those not named are fixed to the example's. By entry
            point where there are several.
        name: the entry point's name.
        script_branches: capture control flow that the run decides, as if the function, and those that it calls, stood
            under `jit.script`.
        modes: `("train", "eval")` captures the program in both; a call chooses with `training=True`. One of them alone
            captures in that mode instead of the module's own.
        mutates: what becomes of arguments that the program changes in place: `"refuse"`, `"write_back"`: each call
            changes the caller's, or `"copy"`: each call changes a copy.
        specialize_ok: dynamic sizes that the program may fix to the example's, by name, or True for all. The program
            then takes no others.
        frozen_ok: True, or a reason, where what leaves the program for Python may be frozen, as inside of
            `ingot.jit.frozen_ok`.
        check: whether the program is tried against the function afterwards, on inputs that are made up: other sizes,
            values and layouts, several calls in a row. The function runs up to 20 times more, for 10 s at most, and
            what it changes is put back. `"warn"` warns of a difference where True raises. `program.verdict` tells
            what was tried.
        check_seed: decides the inputs that are made up.

    Returns:
        a `Program`, optimised when it is first called.

    Raises:
        CaptureError: for a Python branch on a tensor's value, an input changed in place, a dynamic size that is fixed,
            and whatever else a graph cannot hold; and when the check finds that the program differs from its function;
            with the user's line and the way out.
        ArgumentError: for example inputs or dynamic sizes that do not fit.

    >>> import ingot
    >>> program = ingot.jit.trace(lambda x: x * 2, ingot.ones(3, 4), dynamic_shapes={0: "batch"})
    >>> program(ingot.ones(5, 4)).shape
    ingot.Size([5, 4])
    """
    _check_options(modes, mutates)
    entries = _entry_points(func, example_inputs, example_kwarg_inputs or {}, dynamic_shapes, name)
    entries = [_original(entry, script_branches) for entry in entries]
    allowed = frozen_ok if isinstance(frozen_ok, str) else "" if frozen_ok else None
    entries = [replace(entry, mutates=mutates, specialize_ok=specialize_ok, frozen_ok=allowed) for entry in entries]
    with exclusive():
        session = Session([entry.func for entry in entries])
        found, verdicts = _capture_all(entries, session, tuple(modes), check_seed if is_wanted(check) else None)
    program = Program(_record(found, session))
    program.verdict = joined(verdicts)
    if program.verdict is not None:
        report(program.verdict, check)
    return program


# ------------------------------------------------------------------------------------------------- entry points


def _check_options(modes: Sequence[str], mutates: str) -> None:
    if isinstance(modes, str) or any(mode not in MODES for mode in modes) or len(set(modes)) < len(modes):
        raise ArgumentError(f"trace: modes is {modes!r}", expected='("train", "eval"), or one of them in a tuple')
    if mutates not in ("refuse", "write_back", "copy"):
        raise ArgumentError(f"trace: mutates is {mutates!r}", expected='"refuse", "write_back" or "copy"')


def _entry_points(func: Any, inputs: Any, kwargs: Mapping[str, Any], shapes: Any, name: str) -> list[EntryPoint]:
    if not _several(func, inputs):
        if not callable(func):
            raise ArgumentError(f"trace: {func!r} cannot be called", expected="a function, module or bound method")
        return [EntryPoint(name, func, _as_arguments(inputs), dict(kwargs), shapes)]
    shapes = dict.fromkeys(inputs, "all") if isinstance(shapes, str) and shapes == "all" else shapes or {}
    for what, given in (("example_kwarg_inputs", kwargs), ("dynamic_shapes", shapes)):
        _check_by_entry(what, given, inputs)
    found: list[EntryPoint] = []
    for key, value in inputs.items():
        _check_name(key)
        own, args = _function_and_arguments(func, key, value)
        found.append(EntryPoint(key, own, _as_arguments(args), dict(kwargs.get(key, {})), shapes.get(key)))
    return found


def _as_arguments(inputs: Any) -> tuple[Any, ...]:
    """Example inputs as positional arguments; a named tuple is one."""
    several = isinstance(inputs, (tuple, list)) and not record_kind(inputs)
    return tuple(inputs) if several else (inputs,)


def _check_by_entry(what: str, given: Any, entries: Mapping[str, Any]) -> None:
    unknown = [key for key in given if key not in entries] if isinstance(given, Mapping) else [given]
    if unknown:
        found = f"no entry point {unknown[0]!r}" if isinstance(given, Mapping) else repr(given)
        expected = f"a dict by {', '.join(entries)}"
        raise ArgumentError(f"trace: {what} for several entry points", expected=expected, found=found)


def _original(entry: EntryPoint, script_branches: bool) -> EntryPoint:
    """An entry point by what `jit.script` or `ingot.compile` was given."""
    func, script = entry.func, script_branches
    while (original := getattr(type(func), "__ingot_original__", None)) is not None:
        script |= getattr(func, "__ingot_scripted__", False)
        func = original.fget(func)
    return replace(entry, func=func, script=script)


def _several(func: Any, inputs: Any) -> bool:
    """Whether the example inputs are a dict by entry points rather than an argument."""
    if not isinstance(inputs, dict) or not inputs or not all(isinstance(key, str) for key in inputs):
        return False
    if func is None or all(_has_function(value) for value in inputs.values()):
        return True
    return isinstance(func, Module) and all(
        callable(getattr(func, key, None)) or _has_function(value) for key, value in inputs.items()
    )


def _has_function(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and callable(value[0]) and not isinstance(value[0], TensorBase)


def _function_and_arguments(func: Any, name: str, value: Any) -> tuple[Any, Any]:
    if _has_function(value):
        return value
    method = getattr(func, name, None)
    if not callable(method):
        raise ArgumentError(
            f"trace: no method {name!r} to capture", expected="a method's name, or (function, arguments)"
        )
    # The module itself runs its hooks.
    return (func if name == "forward" and isinstance(func, Module) else method), value


def _check_name(name: str) -> None:
    if not name.isidentifier() or name.startswith("_") or hasattr(Program, name):
        raise ArgumentError(
            f"trace: an entry point cannot be named {name!r}",
            expected="a name that programs do not use themselves" if name.isidentifier() else "an identifier",
        )


# ---------------------------------------------------------------------------------------------------- capture


def _capture_all(
    entries: list[EntryPoint], session: Session, modes: tuple[str, ...], seed: int | None
) -> tuple[list[list[Captured]], list[Verdict]]:
    """Every entry point in every mode; again, when one of them makes state that others may read.

    Args:
        seed: of the checks; None for none.
    """
    for last in (False,) * (_ROUNDS - 1) + (True,):
        before = _made_so_far(session)
        with session.shared_gradients() if len(entries) > 1 else nullcontext():
            found = [_capture_modes(entry, session, modes, seed is not None) for entry in entries]
            if last or len(entries) == 1 or _made_so_far(session) == before:
                return found, [] if seed is None else _checks(found, session, modes, seed)
    raise AssertionError("the last round returns")


def _checks(found: list[list[Captured]], session: Session, modes: tuple[str, ...], seed: int) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for captures in found:
        for captured, mode in zip(captures, _modes_in_order(modes), strict=True):
            with _mode(session, mode):
                verdict = captured.check(seed, sum(map(len, found)))
            verdicts += [] if verdict is None else [verdict]
    return verdicts


def _made_so_far(session: Session) -> tuple[int, ...]:
    return len(session.keys.changed), len(session.keys.gradients), len(session.keys.appeared)


def _modes_in_order(modes: tuple[str, ...]) -> tuple[str | None, ...]:
    return tuple(sorted(modes, reverse=True)) or (None,)


def _mode(session: Session, mode: str | None) -> AbstractContextManager[None]:
    if mode is None:
        return nullcontext()
    return in_mode([module for _, module in session.modules.values()], mode == "train")


def _capture_modes(entry: EntryPoint, session: Session, modes: tuple[str, ...], checked: bool) -> list[Captured]:
    found = []
    for mode in _modes_in_order(modes):
        with _mode(session, mode):
            found.append(capture(entry, session, checked))
    return found


def _is_training(entry: EntryPoint, session: Session) -> bool:
    """The mode that the entry point's modules are in now."""
    own = [module for _, module in roots(entry.func) if isinstance(module, Module)]
    own = own or [module for _, module in session.modules.values()]
    return any(module.training for module in own)


# ----------------------------------------------------------------------------------------------------- result


def _record(found: list[list[Captured]], session: Session) -> ProgramRecord:
    graphs: dict[str, Graph] = {}
    signatures: dict[str, Signature] = {}
    examples: list[Example] = []
    state: dict[str, np.ndarray] = {}
    for captures in found:
        entry = captures[0].entry
        graphs[entry.name], signatures[entry.name] = captures[0].graph, captures[0].signature
        for captured in captures:
            state |= {key: array for key, array in captured.record.state.items() if key not in state}
        if len(captures) == 2:
            train, evaluation = captures
            training = _is_training(entry, session)
            signatures[entry.name] = combine_signatures(train.signature, evaluation.signature, training)
            graphs[entry.name] = combine_graphs(train.graph, evaluation.graph)
        examples += _examples(captures)
    refuse_lost(session.keys, graphs)
    _drop_unread(graphs, session.keys.gradient_names(), state)
    every = [captured for captures in found for captured in captures]
    trainable = tuple(dict.fromkeys(key for captured in every for key in captured.record.trainable if key in state))
    ledger = _ledger(found)
    return ProgramRecord(
        graphs,
        state,
        signatures,
        trainable,
        ledger,
        examples=examples,
        modules={path: type(module).__name__ for path, module in session.modules.values()},
        types=session.types,
    )


def _ledger(found: list[list[Captured]]) -> list[LedgerEntry]:
    """The entries of all captures; those of one among several entry points carry its name."""
    entries: dict[LedgerEntry, None] = {}
    for captures in found:
        name = captures[0].entry.name if len(found) > 1 else ""
        for captured in captures:
            entries |= dict.fromkeys(replace(entry, entry=name) for entry in captured.record.ledger)
    return list(entries)


def _examples(captures: list[Captured]) -> list[Example]:
    if len(captures) == 1:
        return [captures[0].record.examples[0]]
    modes = zip(captures, (True, False), strict=True)
    found = [(captured.record.examples[0], training) for captured, training in modes]
    return [replace(example, inputs=(*example.inputs, np.asarray(training))) for example, training in found]


def _drop_unread(graphs: Mapping[str, Graph], names: set[str], state: dict[str, np.ndarray]) -> None:
    """Take gradients out of the state that entry points leave and none reads."""
    for key in names:
        if any(graph.state[key].use_count for graph in graphs.values() if key in graph.state):
            continue
        for graph in graphs.values():
            if key in graph.state:
                graph.set_return(graph.outputs, {k: v for k, v in graph.updates.items() if k != key})
                graph.remove_state(key)
        state.pop(key, None)
