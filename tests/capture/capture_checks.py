"""What is done with a program of the corpus, and compared: values, dtypes, structure, state, exceptions, lines."""

from __future__ import annotations

import inspect
import itertools
import random
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import ingot
import numpy as np
from capture_corpus import Call, Program
from ingot.frontend.random import default_generator
from ingot.ir.raised import BUILT_IN, kept_exception

__all__ = ["hold"]

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 8e-2}


def hold(program: Program, folder: Path) -> None:
    """Assert that what a program of the corpus declares holds.

    Args:
        folder: for files.
    """
    tracing = sys.gettrace()
    {
        "captured": _hold_captured,
        "refused": _hold_refused,
        "refused_at_call": _hold_refused_at_call,
        "checked": _hold_checked,
    }[program.kind](program, folder)
    assert sys.gettrace() is tracing, "the capture has left a trace function behind"


# ------------------------------------------------------------------------------------------------ the four kinds


def _hold_captured(program: Program, folder: Path) -> None:
    original = _original(program)
    found = _trace(program, original)
    _agree(program, original, found, folder)


def _hold_refused(program: Program, folder: Path) -> None:
    before = _seeded(_original(program), program)
    original = _original(program)
    error = _error_of(lambda: _trace(program, original), program)
    if program.line is not None:
        _is_at_line(program, error)
    assert error.advice, f"no advice in: {error}"
    again = _seeded(original, program)
    assert before.error is None, f"the function itself raises {before.error!r} for the example"
    _same_value(again.result, before.result, "the function's result after the refusal")


def _hold_refused_at_call(program: Program, folder: Path) -> None:
    original = _original(program)
    found = _trace(program, original)
    assert program.bad is not None
    bad = _call_of(program.bad())
    path = folder / "before.ingot"
    found.save(path)
    for which, one in (("program", found), ("loaded program", ingot.jit.load(path))):
        outcome = _run(one, bad)
        assert outcome.error is not None, f"the {which} accepts the call: {outcome.result}"
        assert isinstance(outcome.error, program.error), repr(outcome.error)
        assert program.message in str(outcome.error), f"of the {which}: {outcome.error}"
        if program.line is not None:
            _names_line(program, outcome.error)
    _agree(program, original, found, folder)


def _hold_checked(program: Program, folder: Path) -> None:
    assert _trace(program, _original(program), check=False) is not None
    error = _error_of(lambda: _trace(program, _original(program)), program)
    if program.line is not None:
        _is_at_line(program, error)


# ------------------------------------------------------------------------------------------------------- running


@dataclass
class _Outcome:
    """What a call gave: its result or error, and its arguments afterwards."""

    result: Any
    error: Exception | None
    arguments: Any


def _original(program: Program) -> Any:
    """The function, or a new module of the class."""
    ingot.manual_seed(0)
    return program.subject() if isinstance(program.subject, type) else program.subject


def _trace(program: Program, original: Any, **more: Any) -> Any:
    ingot.manual_seed(1)
    example = program.example()
    if isinstance(example, Call):
        more = {"example_kwarg_inputs": example.kwargs, **more}
        example = example.args
    return ingot.jit.trace(original, example, **{**program.options, **more})


def _example_call(program: Program) -> Call:
    example = program.example()
    if isinstance(example, dict):
        entry, args = next(iter(example.items()))
        return Call(args if isinstance(args, tuple) else (args,), entry=entry)
    return _call_of(example)


def _call_of(inputs: Any) -> Call:
    if isinstance(inputs, Call):
        return inputs
    return Call(tuple(inputs) if type(inputs) in (tuple, list) else (inputs,))


def _calls(program: Program) -> list[Call]:
    """The fresh calls: the same values in tensors of their own at each time, for calls may change them."""
    rng = np.random.default_rng(zlib.crc32(program.name.encode()))
    make = program.fresh or (lambda rng: _like(rng, _example_call(program)))
    return [_call_of(make(rng)) for _ in range(program.calls)]


def _like(rng: np.random.Generator, value: Any) -> Any:
    """Inputs like the example's: floating-point values anew, integers and bools in another order."""
    if isinstance(value, ingot.Tensor):
        if value.dtype.is_floating_point:
            return ingot.tensor(rng.standard_normal(tuple(value.shape))).to(value.dtype)
        return ingot.tensor(rng.permutation(value.numpy().ravel()).reshape(tuple(value.shape)))
    if isinstance(value, Call):
        kwargs = {key: _like(rng, item) for key, item in value.kwargs.items()}
        return Call(_like(rng, value.args), kwargs, value.entry, value.training)
    if isinstance(value, dict):
        return {key: _like(rng, item) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_like(rng, item) for item in value)
    return value


def _eager(original: Any, one: Call) -> _Outcome:
    if one.training is not None:
        original.train(one.training)
    return _outcome(original if one.entry in (None, "forward") else getattr(original, one.entry), one, {})


def _seeded(original: Any, program: Program) -> _Outcome:
    """What the function gives for the example, from the same random states each time."""
    random.seed(0)
    np.random.seed(0)
    ingot.manual_seed(2)
    return _eager(original, _example_call(program))


def _run(program: Any, one: Call) -> _Outcome:
    mode = {} if one.training is None else {"training": one.training}
    return _outcome(program if one.entry is None else program.entry(one.entry), one, mode)


def _outcome(function: Callable[..., Any], one: Call, more: Mapping[str, Any]) -> _Outcome:
    try:
        result, error = function(*one.args, **one.kwargs, **more), None
    except Exception as raised:  # errors are compared like values
        result, error = None, raised
    return _Outcome(_kept(result), error, _kept((one.args, dict(one.kwargs))))


def _kept(value: Any) -> Any:
    """A value with copies of its tensors, which later calls may write to."""
    if isinstance(value, ingot.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _kept(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_kept(item) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(_kept(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: _kept(getattr(value, f.name)) for f in fields(value)})
    return value


# ----------------------------------------------------------------------------------------------------- comparing


def _agree(program: Program, original: Any, found: Any, folder: Path) -> None:
    """The program, the loaded program and the interpreted one do what the function does, call by call."""
    for kind, line in program.ledger:
        entries = [e for e in found.ledger.of(kind) if e.location is not None and line in e.location.source]
        assert entries, f"no entry {kind!r} of {line!r} in the ledger:\n{found.ledger}"
    path = folder / "program.ingot"
    found.save(path)
    before = {key: value.numpy().copy() for key, value in found.state.items()}
    subjects = {"program": found, "loaded program": ingot.jit.load(path)}
    subjects["interpreted program"] = ingot.jit.load(path).on("reference")
    # The trace has put the random state back: the function draws on from where the program does.
    expected = [_eager(original, one) for one in _calls(program)]
    copies = program.options.get("mutates") == "copy"
    raised = [outcome.error for outcome in expected if outcome.error is not None]
    assert bool(raised) == bool(program.raises), f"the function raises {raised!r}"
    for which, one in subjects.items():
        for number, (given, outcome) in enumerate(zip(_calls(program), expected, strict=True)):
            wanted = _kept((given.args, dict(given.kwargs))) if copies else outcome.arguments
            _same_outcome(program, _run(one, given), outcome, wanted, f"{which}, call {number}")
        _same_state(original, one, which)
        for key in program.state:
            assert key in before, f"no state {key!r}, but {', '.join(before)}"
            assert not np.array_equal(one.state[key].numpy(), before[key]), f"{which}: state {key!r} has not changed"
    if program.then is not None:
        program.then(found)


def _same_outcome(program: Program, found: _Outcome, expected: _Outcome, arguments: Any, where: str) -> None:
    if expected.error is not None:
        assert found.error is not None, f"{where}: the function raises {expected.error!r}, the program {found.result}"
        assert program.raises in str(expected.error), repr(expected.error)
        assert program.raises in str(found.error), repr(found.error)
        assert isinstance(found.error, BUILT_IN[kept_exception(expected.error)[0]]), repr(found.error)
        return
    if found.error is not None:
        raise AssertionError(f"{where}: the program raises, and the function does not") from found.error
    _same_value(found.result, expected.result, where)
    _same_value(found.arguments, arguments, f"{where}, the arguments afterwards")


def _same_value(found: Any, expected: Any, where: str) -> None:
    assert type(found) is type(expected), f"{where}: {type(found).__name__} for {type(expected).__name__}"
    if isinstance(expected, ingot.Tensor):
        _same_tensor(found, expected, where)
    elif isinstance(expected, dict):
        assert list(found) == list(expected), f"{where}: keys {list(found)} for {list(expected)}"
        for key, item in expected.items():
            _same_value(found[key], item, f"{where}[{key!r}]")
    elif isinstance(expected, (tuple, list)):
        assert len(found) == len(expected), f"{where}: {len(found)} items for {len(expected)}"
        for i, (x, y) in enumerate(zip(found, expected, strict=True)):
            _same_value(x, y, f"{where}[{i}]")
    elif is_dataclass(expected) and not isinstance(expected, type):
        for f in fields(expected):
            _same_value(getattr(found, f.name), getattr(expected, f.name), f"{where}.{f.name}")
    elif isinstance(expected, float):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=where)
    else:
        assert found == expected, f"{where}: {found!r} for {expected!r}"


def _is_same(found: Any, expected: Any) -> bool:
    try:
        _same_value(found, expected, "")
    except AssertionError:
        return False
    return True


def _same_tensor(found: Any, expected: Any, where: str) -> None:
    assert found.dtype == expected.dtype, f"{where}: {found.dtype} for {expected.dtype}"
    assert found.shape == expected.shape, f"{where}: {found.shape} for {expected.shape}"
    tolerance = TOLERANCE.get(str(expected.numpy().dtype), 0)
    x, y = (np.asarray(t.numpy(), np.float64) if tolerance else t.numpy() for t in (found, expected))
    np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance, err_msg=where)


def _same_state(original: Any, program: Any, which: str) -> None:
    """The program's state is what the calls have made of the user's objects, where names lead to them."""
    for key, value in program.state.items():
        own = default_generator._key if key == "rng" else _at(original, key)
        if isinstance(own, ingot.Tensor):
            _same_value(value.detach().clone(), own.detach().clone(), f"{which}, state {key!r} after the calls")


def _at(original: Any, path: str) -> Any:
    """What stands at a path such as `layer.0.weight`, in a module or among a function's variables; None for nothing."""
    first, *rest = path.split(".")
    if isinstance(original, ingot.nn.Module):
        value = getattr(original, first, None)
    else:
        found = inspect.getclosurevars(inspect.unwrap(original)) if inspect.isfunction(original) else None
        value = None if found is None else {**found.globals, **found.nonlocals}.get(first)
    for name in rest:
        value = value[int(name)] if name.isdigit() and isinstance(value, Sequence) else getattr(value, name, None)
    return value


# -------------------------------------------------------------------------------------------------------- errors


def _error_of(action: Callable[[], Any], program: Program) -> Any:
    try:
        found = action()
    except program.error as error:
        assert program.message in str(error), f"{program.message!r} is not in: {error}"
        return error
    raise AssertionError(f"not refused: {found.graph}")


def _is_at_line(program: Program, error: Any) -> None:
    where = error.location
    assert where is not None, f"no location in: {error}"
    assert Path(where.file).stem == program.stem, f"at {where}: {error}"
    assert program.line in where.source, f"line {where.source!r} in: {error}"


def _names_line(program: Program, error: Exception) -> None:
    """The text of an error of a call names the line of the program that is its reason."""
    module = inspect.getmodule(program.subject)
    assert module is not None and module.__file__ is not None
    text = Path(module.__file__).read_text(encoding="utf-8").splitlines()
    numbers = [n for n, line in enumerate(text, 1) if program.line is not None and program.line in line]
    named = itertools.chain.from_iterable((f"{program.stem}.py:{n}:", f"{program.stem}.py:{n}\n") for n in numbers)
    assert any(name in f"{error}\n" for name in named), f"no line with {program.line!r} in: {error}"
