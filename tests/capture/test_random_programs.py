"""Random modules with control flow that data and sizes decide: a program does what its module does, or is refused."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import ingot
import numpy as np
import pytest
from ingot.frontend.capture.time_limit import TimeLimit
from ingot.frontend.random import default_generator
from ingot.ir.errors import IngotError
from random_programs import Maker, Statement, define, shorter, text_of

Statements = tuple[Statement, ...]

SECONDS = 2.0  # that one call may take
TRIALS = 6
MOST_REFUSED = 0.35
DYNAMIC = [{0: "n"}, {0: "n"}, None, None]
MOST_SHORTER = 100


@dataclass(frozen=True)
class Found:
    """What became of one program.

    Attributes:
        kind: `"agrees"`, `"refused"`, `"fails"` for what the module itself does not survive, or `"differs"`.
        what: in words; of a refusal its first line.
    """

    kind: str
    what: str = ""


def inputs(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    """Arguments of `forward`: values that additions leave exact."""
    x, y = (rng.integers(-8, 9, sizes) / 4 for sizes in ((rows, 3), (rows,)))
    t, u = rng.integers(-1, 5), rng.integers(-1, 4, 3)
    return ingot.tensor(x.astype(np.float32)), ingot.tensor(y.astype(np.float32)), ingot.tensor(int(t)), ingot.tensor(u)


def judge(statements: Statements, seed: int, folder: Path, only: str = "") -> Found:
    """Capture a program, and compare it with its module call by call.

    Args:
        only: which form of the program to run; all where it is empty.
    """
    try:
        cls, _ = define(statements)
    except SyntaxError:  # what was left out has left no program
        return Found("fails", "no syntax")
    rng = np.random.default_rng(seed)
    example = inputs(rng, 3)
    if isinstance(_outcome(_new(cls), example), Exception):
        return Found("fails", "on the example")
    net = _new(cls)
    try:
        program = ingot.jit.trace(net, example, check=False, script_branches=True, dynamic_shapes=DYNAMIC)
    except IngotError as error:
        if error.location is None or not error.location.file.startswith("<random program"):
            return Found("differs", f"a refusal without the program's line: {error}")
        return Found("refused", error.what)
    except Exception:  # anything else is an error of the capture
        return Found("differs", f"the capture raises\n{traceback.format_exc(limit=-4)}")
    path = folder / "program.ingot"
    program.save(path)
    trials = [inputs(rng, rows) for rows in (3, 5, 1, 2, 4, 7)[:TRIALS]]
    subjects = {"numpy": program, "reference": program.on("reference"), "loaded": ingot.load(path)}
    start = dict(program.state)
    for name, one in subjects.items():
        if only not in ("", name):
            continue
        found = _compared(cls, one, trials, start)
        if found.kind != "agrees":
            return Found(found.kind, f"{name}: {found.what}")
    return Found("agrees")


def _compared(cls: type, program: Any, trials: list[Any], start: Any) -> Found:
    net = None
    for number, one in enumerate(trials):
        if net is None:
            net = _new(cls)
            program.load_state_dict(start)
        for again in range(2):
            where = f"inputs {number}, call {again}"
            expected, given = _outcome(net, one), _outcome(program, one)
            if isinstance(expected, Exception):
                # (A tape that a change in place has spoilt is Python's own: a program's values are not overwritten.)
                if isinstance(expected, (NameError, RecursionError)) or "was changed in place after" in str(expected):
                    return Found("fails", repr(expected))
                if not isinstance(given, Exception):
                    return Found("differs", f"{where}: the module raises {expected!r}, the program does not")
                net = None
                break
            if isinstance(given, Exception):
                if _is_refusal(given):
                    net = None
                    break
                return Found("differs", f"{where}: the program raises {_shown(given)}")
            wrong = _different(given, expected) or _different_state(net, program)
            if wrong:
                return Found("differs", f"{where}: {wrong}")
    return Found("agrees")


def _new(cls: type) -> Any:
    ingot.manual_seed(3)
    return cls()


def _copies(arguments: Any) -> Any:
    return [argument.clone() for argument in arguments]


def _outcome(function: Any, arguments: Any) -> Any:
    try:
        with np.errstate(all="ignore"), TimeLimit(time.perf_counter() + SECONDS):
            return [_kept(item) for item in function(*_copies(arguments))]
        return RecursionError("it does not end")
    except Exception as error:  # errors are compared like values
        return error


def _kept(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, ingot.Tensor) else value


def _is_refusal(error: Exception) -> bool:
    """Whether a call is refused for what the capture assumed, and says so."""
    return isinstance(error, IngotError) and ("assum" in str(error) or "captured for" in str(error))


def _shown(error: Exception) -> str:
    return "".join(traceback.format_exception(error, limit=-3))


def _different(found: list[Any], expected: list[Any]) -> str:
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        if type(a) is not type(b):
            return f"result {i} is {a!r}, not {b!r}"
        if isinstance(b, ingot.Tensor):
            wrong = _different_tensor(a, b)
        else:
            wrong = "" if np.isclose(float(a), float(b), 1e-4, 1e-4, equal_nan=True) else f"{a!r}, not {b!r}"
        if wrong:
            return f"result {i}: {wrong}"
    return ""


def _different_tensor(a: Any, b: Any) -> str:
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype} {list(a.shape)}, not {b.dtype} {list(b.shape)}"
    x, y = np.asarray(a.numpy(), np.float64), np.asarray(b.numpy(), np.float64)
    return "" if np.allclose(x, y, 1e-3, 1e-3, equal_nan=True) else f"{x.tolist()}, not {y.tolist()}"


def _different_state(net: Any, program: Any) -> str:
    for key, value in program.state.items():
        if key == "rng":
            wrong = "" if np.array_equal(value._array, default_generator._key._array) else "other numbers were drawn"
        else:
            wrong = _different_tensor(value.detach(), attrgetter(key)(net).detach())
        if wrong:
            return f"state {key!r}: {wrong}"
    return ""


def made_shorter(statements: Statements, seed: int, folder: Path) -> tuple[Statements, Found]:
    """As little of a program as still differs."""
    found, tries = judge(statements, seed, folder), 0
    only = found.what.partition(":")[0] if found.what.startswith(("numpy:", "reference:", "loaded:")) else ""
    while tries < MOST_SHORTER:
        for less in shorter(statements):
            tries += 1
            one = judge(less, seed, folder, only)
            if one.kind == "differs":
                statements, found = less, one
                break
            if tries >= MOST_SHORTER:
                break
        else:
            break
    return statements, found


def check(count: int, rng: np.random.Generator, folder: Path, gradients: bool) -> None:
    """Judge some programs; a program that differs is shown in its shortest form."""
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for seed in rng.integers(0, 2**31, count).tolist():
        statements = Maker(random.Random(seed), gradients).program()
        found = judge(statements, seed, folder)
        kinds[found.kind] += 1
        reasons[found.what] += found.kind == "refused"
        if found.kind == "differs":
            statements, found = made_shorter(statements, seed, folder)
            text = "\n".join(text_of(statements))
            pytest.fail(f"seed {seed}, gradients={gradients}:\n\n{text}\n\n{found.what}", pytrace=False)
    print(f"{dict(kinds)}; refused: {reasons.most_common(6)}", file=sys.stderr)
    assert kinds["refused"] <= MOST_REFUSED * count, f"too much is refused: {reasons.most_common()}"
    assert kinds["agrees"] >= count / 3, kinds


def test_programs_do_what_their_modules_do(rng: np.random.Generator, tmp_path: Path) -> None:
    check(40, rng, tmp_path, gradients=False)


def test_gradients_within_programs_are_those_of_the_tape(rng: np.random.Generator, tmp_path: Path) -> None:
    check(25, rng, tmp_path, gradients=True)


@pytest.mark.conformance
@pytest.mark.parametrize("part", range(20))
@pytest.mark.parametrize("gradients", [False, True])
def test_many_programs(rng: np.random.Generator, tmp_path: Path, part: int, gradients: bool) -> None:
    check(200, rng, tmp_path, gradients)
