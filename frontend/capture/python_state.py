"""Numbers, strings and flags in Python's variables that a program both reads and changes: it would read them once.

A program that counts its calls may do so, as long as nothing else reads the count: calls of the captured program do not
count. One whose path or result depends on what an earlier call has set is another program at its second call.

What lives here: what the run has read, told by the ledger, and the refusal. Tensors are `state_tracing`'s subject.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable
from functools import lru_cache
from types import CellType, CodeType, FrameType
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.locations import Mark, resolve
from .loads import Chain
from .places import Place, own_attribute, path_of
from .symbols import Symbol
from .symint import SymInt

__all__ = ["PythonState"]

_PLAIN: Final = (bool, int, float, str, type(None))
_CONSTANTS: Final = ("LOAD_CONST", "LOAD_SMALL_INT")
_STORES: Final = ("STORE_ATTR", "STORE_GLOBAL", "STORE_NAME", "STORE_DEREF", "STORE_SUBSCR")
_BETWEEN: Final = ("CACHE", "EXTENDED_ARG", "SWAP", "COPY", "LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_DEREF", "LOAD_CONST")


class PythonState:
    """The plain values that one run has read, by where they stand.

    Args:
        tracer: the capture; asked for `frozen_ok` and `context`.
    """

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._reads: dict[Any, list[tuple[Any, Mark, bool]]] = {}  # what, where, whether to set it anew alone

    def read(self, frame: FrameType, chain: Chain, count: int, owner: Any, value: Any) -> None:
        """The code is about to read a value, behind `count` steps of a chain."""
        if not isinstance(value, _PLAIN) or self._tracer.frozen_ok is not None:
            return
        mark = frame.f_code, chain.instructions[count]
        home = _home(frame, chain, count, owner)
        self._reads.setdefault(home, []).append((value, mark, mark[1] in _updates(mark[0])))

    def refuse_changed(self, places: Iterable[tuple[Place, Any, Any, Any]]) -> None:
        """What was read must stand where it stood.

        Args:
            places: the places that hold something else after the run: (place, key, before, now).

        Raises:
            CaptureError: when another value does.
        """
        for place, key, old, new in places:
            if not isinstance(old, _PLAIN) or not isinstance(new, (*_PLAIN, SymInt, Symbol)) or _is_same(old, new):
                continue
            home = ("closure", place.path) if isinstance(place.owner, CellType) else (id(place.owner), key)
            mark = _dependent(self._reads.get(home, ()), old)
            if mark is None:
                continue
            now = "a number that the run decides" if isinstance(new, (SymInt, Symbol)) else repr(new)
            path = path_of((place, key))
            raise CaptureError(
                f"the program depends on {path}, which it sets to another value",
                expected="numbers, strings and flags that stay as they are from call to call",
                found=f"{path} was {old!r}, is now {now}",
                location=resolve(mark),
                context=self._tracer.context,
                advice="call the function once before it is captured, if the first call alone sets it; keep what each "
                "call changes in a tensor that is state; or freeze it: with ingot.jit.frozen_ok(): ...",
            )


def _dependent(reads: Any, old: Any) -> Mark | None:
    """Where code reads a value as it was before the run, or as the run has made it from that."""
    updated = any(update and _is_same(value, old) for value, _, update in reads)
    found = (mark for value, mark, update in reads if not update and (updated or _is_same(value, old)))
    return next(found, None)


def _is_same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)


def _home(frame: FrameType, chain: Chain, count: int, owner: Any) -> Any:
    """Where a value stands: by the table and the key in it, or by the name of an enclosing function's variable."""
    if not count:
        return ("closure", chain.root) if chain.scope == "closure" else (id(frame.f_globals), chain.root)
    step = chain.steps[count - 1]
    if not step.is_attribute:
        return id(owner), step.key
    own = own_attribute(owner, "__dict__")
    if isinstance(own, dict) and step.key in own:
        return id(own), step.key
    above = owner.__mro__ if isinstance(owner, type) else type(owner).__mro__
    holder = next((cls for cls in above if step.key in vars(cls)), owner)
    slot = holder is not owner and hasattr(vars(holder)[step.key], "__set__")
    return id(owner if slot else holder), step.key


@lru_cache(maxsize=4096)
def _updates(code: CodeType) -> frozenset[int]:
    """The instructions that load a value only to set it anew: `count += 1`, `self.count = self.count + 1`."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "EXTENDED_ARG")]
    found = set()
    for i, step in enumerate(steps[:-3]):
        if steps[i + 1].opname not in _CONSTANTS or steps[i + 2].opname != "BINARY_OP":
            continue
        following = next((x for x in steps[i + 3 : i + 7] if x.opname not in _BETWEEN), None)
        same = following is not None and following.opname in _STORES
        if same and (following.opname == "STORE_SUBSCR" or following.argval == step.argval):  # type: ignore[union-attr]
            found.add(step.offset)
    return frozenset(found)
