"""What a code object loads from outside of its own variables, read from its bytecode.

A `Chain` is a load such as `SCALE`, `self.cfg.scale` or `cfg["scale"]`: a variable, then attributes and constant keys.
`scan` finds those of a code object by line; `walk` evaluates one without running any code.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from .plain_values import MISSING, attribute, element

__all__ = ["Chain", "Step", "find", "scan", "walk"]

_SCOPES: Final = {
    "LOAD_FAST": "local", "LOAD_FAST_CHECK": "local", "LOAD_FAST_BORROW": "local", "LOAD_FAST_LOAD_FAST": "local",
    "STORE_FAST_LOAD_FAST": "local", "LOAD_FAST_BORROW_LOAD_FAST_BORROW": "local", "LOAD_GLOBAL": "global",
    "LOAD_NAME": "global", "LOAD_DEREF": "closure", "LOAD_CLASSDEREF": "closure", "LOAD_FROM_DICT_OR_DEREF": "closure",
}  # fmt: skip
_ATTRIBUTES: Final = ("LOAD_ATTR", "LOAD_METHOD")
_CONSTANTS: Final = ("LOAD_CONST", "LOAD_SMALL_INT")
_NEUTRAL: Final = ("CACHE", "EXTENDED_ARG", "NOP", "COPY", "PUSH_NULL", "NOT_TAKEN")  # the top of the stack stays


@dataclass(frozen=True, slots=True)
class Step:
    """One step from an object to a part of it: an attribute's name, or a constant key."""

    key: Any
    is_attribute: bool

    def take(self, owner: Any) -> Any:
        """The part, or MISSING."""
        return attribute(owner, self.key) if self.is_attribute else element(owner, self.key)

    def __str__(self) -> str:
        return f".{self.key}" if self.is_attribute else f"[{self.key!r}]"


@dataclass(frozen=True, slots=True)
class Chain:
    """A load: its variable, where that lives (`"local"`, `"global"`, `"closure"`), and the steps from there.

    `instructions` are the places in the bytecode of the variable and of each step.
    """

    root: str
    scope: str
    steps: tuple[Step, ...]
    line: int
    instructions: tuple[int, ...]

    def text(self, count: int) -> str:
        """The source expression of the first `count` steps."""
        return self.root + "".join(map(str, self.steps[:count]))


_scanned: dict[int, tuple[CodeType, dict[int, list[Chain]]]] = {}
_MOST_SCANNED: Final = 10_000


def scan(code: CodeType) -> dict[int, list[Chain]]:
    """The loads of a code object by line, without those of its own variables as they are.

    >>> def f(x):
    ...     return x * f.scale
    >>> [chain.text(1) for chains in scan(f.__code__).values() for chain in chains]
    ['f.scale']
    """
    # By identity: comparing code objects takes as long as they are, and finds functions of different files equal.
    known = _scanned.get(id(code))
    if known is not None and known[0] is code:
        return known[1]
    found: dict[int, list[Chain]] = {}
    for chain in _chains(code):
        if chain.steps or chain.scope != "local":
            found.setdefault(chain.line, []).append(chain)
    if len(_scanned) >= _MOST_SCANNED:
        _scanned.clear()
    _scanned[id(code)] = (code, found)
    return found


def _chains(code: CodeType) -> Iterator[Chain]:
    own = set(code.co_cellvars)
    chain: Chain | None = None
    constant: Any = MISSING  # loaded on top of the chain
    for step in dis.get_instructions(code):
        name = step.opname
        if name in _NEUTRAL:
            continue
        if chain is not None and name in _CONSTANTS:
            constant = step.argval
            continue
        if chain is not None and name in _ATTRIBUTES and constant is MISSING:
            chain = _extended(chain, Step(step.argval, True), step.offset)
            continue
        if chain is not None and constant is not MISSING and _is_subscript(step):
            chain, constant = _extended(chain, Step(constant, False), step.offset), MISSING
            continue
        if chain is not None:
            yield chain
        chain, constant = None, MISSING
        scope = _SCOPES.get(name)
        if scope is not None:
            root = step.argval[-1] if isinstance(step.argval, tuple) else step.argval
            line = step.positions.lineno if step.positions else None
            scope = "local" if root in own else scope
            chain = Chain(root, scope, (), line or code.co_firstlineno, (step.offset,))
    if chain is not None:
        yield chain


def _is_subscript(step: dis.Instruction) -> bool:
    return step.opname == "BINARY_SUBSCR" or (step.opname == "BINARY_OP" and step.argrepr == "[]")


def _extended(chain: Chain, step: Step, offset: int) -> Chain:
    return Chain(chain.root, chain.scope, (*chain.steps, step), chain.line, (*chain.instructions, offset))


def find(chain: Chain, local: Mapping[str, Any], world: Mapping[str, Any]) -> Any:
    """The value of a chain's variable in a frame, or MISSING."""
    return world.get(chain.root, MISSING) if chain.scope == "global" else local.get(chain.root, MISSING)


def walk(chain: Chain, root: Any) -> Iterator[tuple[int, Any, Any]]:
    """The parts along a chain as (steps taken, owner, part), the variable itself first, up to the first that only
    code could compute."""
    owner, part = None, root
    yield 0, owner, part
    for count, step in enumerate(chain.steps, 1):
        owner, part = part, step.take(part)
        if part is MISSING:
            return
        yield count, owner, part
