"""The ledger while it is written: what the program that is being captured takes from Python.

Four things write into it. Notes come from the tracer, sentence by sentence. Operations give the plain values that the
user's code passed to them. Tensors, layers and optimizers say what Python read. And the loads of variables and
attributes are found in the bytecode of the lines that run. Places are kept as (code, instruction) and looked up at the
end; the same thing at the same place is counted, not kept twice.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

from ...ir.errors import ArgumentError, CaptureError
from ...ir.ledger import KINDS, Ledger, LedgerEntry
from ...ir.locations import Location, Mark, is_internal, resolve
from ..module import Module
from ..tensor_base import TensorBase
from .arguments import arguments_of
from .drawn import Drawn, source_of
from .layer_reads import layer_reads
from .loads import Chain, find, scan, walk
from .plain_values import MISSING, is_fixed, is_plain, show
from .source_text import text_at, text_of
from .watching import Watch, is_users

__all__ = ["CaptureLedger", "NoLedger"]

_NUMBERS: Final = (bool, int, float)
_MOST_LOOKS: Final = 32  # at one place: further values of a long loop tell nothing new
_FREEZES: Final = ("item", "tolist", "array", "value", "random")  # kinds that `frozen_ok` allows


class CaptureLedger(Sequence[LedgerEntry]):
    """The ledger of a capture in progress. As a sequence it is the notes so far; `entries` is everything. Other things
    than notes are written only inside of `watching`.

    Args:
        tracer: the capture; asked for `frozen_ok` and `context`.
    """

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._notes: list[LedgerEntry] = []
        self._found: dict[tuple[Any, ...], list[Any]] = {}  # kind, what, place, expression, value: code, count
        self._looks: dict[tuple[Any, ...], int] = {}
        self._given: set[tuple[Any, ...]] = set()
        self._roots: dict[
            tuple[int, int], Any
        ] = {}  # what chains started from: kept, so that ids stay theirs; tensors weakly
        self._ran: dict[int, CodeType] = {}
        self._outer: dict[int, CodeType] = {}  # by the id of a function's code, that of the function it stands in
        self._base: FrameType | None = None  # what began the capture: frames beyond it are not the program's
        self._drawn: Drawn | None = None
        self._undecided: list[tuple[str, Mark | None]] = []
        self._watch = Watch(self._wanted, self.line)

    # ------------------------------------------------------------------------------------------------- notes

    def __getitem__(self, index: Any) -> Any:
        return self._notes[index]

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, kind: str, what: str, location: Location | None = None, value: str = "") -> None:
        """Note something.

        Raises:
            ArgumentError: for a kind that is not one of `ir.ledger.KINDS`.
        """
        if kind not in KINDS:
            raise ArgumentError(f"a ledger has no entries of kind {kind!r}", expected=", ".join(KINDS))
        reason = self._tracer.frozen_ok
        if reason and kind in _FREEZES and reason not in what:
            what += f" (frozen_ok: {reason})"
        self._notes.append(LedgerEntry(kind, what, location, value=value))

    def forget(self, count: int) -> None:
        """Keep only the first `count` notes: what was captured since is captured anew."""
        del self._notes[count:]

    def entries(self) -> list[LedgerEntry]:
        """Everything, each thing once."""
        found = [replace(note, expression=text_of(note.location)) for note in self._notes]
        for (kind, what, _, instruction, expression, value), (code, count) in self._found.items():
            text = text_at(code, instruction) if expression is None else expression
            found.append(LedgerEntry(kind, what, resolve((code, instruction)), text, value, count))
        return list(Ledger(found))

    def _add(self, kind: str, what: str, mark: Mark, expression: str | None, value: str, counted: bool = True) -> None:
        code, instruction = mark
        key = (kind, what, id(code), instruction, expression, value)
        known = self._found.get(key)
        if known is None:
            self._found[key] = [code, 1]
        elif counted:
            known[1] += 1

    # ------------------------------------------------------------------------------------------------ begin and end

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The program runs inside.

        Raises:
            CaptureError: at the end, when it has drawn random numbers that may not be frozen.
        """
        if not self._tracer.keeps_ledger:
            yield
            return
        self._drawn = Drawn()
        self._base = sys._getframe(2)
        self._watch.start()
        try:
            yield
        finally:
            self._watch.stop()
            self._base = None
        self.look_at_random()
        if self._undecided:
            self._refuse_random(*self._undecided[0])

    def look_at_random(self) -> None:
        """Note the random states that have changed since the last look, as what holds now says."""
        for name, mark in () if self._drawn is None else self._drawn.changed():
            if self._tracer.frozen_ok is None:
                self._undecided.append((name, mark))
            else:
                location = None if mark is None else resolve(mark)
                self.add("random", f"numbers were drawn from {name}, the same in every call", location)

    def _refuse_random(self, name: str, mark: Mark | None) -> None:
        raise CaptureError(
            f"the program draws random numbers from {name}, which would be the same in every call",
            expected="random numbers of Ingot's, which each call draws anew",
            location=None if mark is None else resolve(mark),
            context=self._tracer.context,
            advice="use ingot.rand, ingot.randint or ingot.randperm, pass the numbers as an argument, or freeze them: "
            "with ingot.jit.frozen_ok(): ...",
        )

    # ------------------------------------------------------------------------------------------ operations

    def operation(self, op: str, inputs: Sequence[Any], attrs: Any) -> None:
        """An operation is about to be recorded: note the plain values that the user's code gave it. The package's
        code runs until `resume`."""
        self._watch.pause()
        if self._base is None:
            return
        numbers = [x for x in inputs if x.__class__ in _NUMBERS]
        if not numbers and not attrs and self._watch.hooked:
            return
        called: FrameType | None = None
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and is_internal(frame.f_code.co_filename):
            if frame is self._base:
                return  # the program is a function or a layer of the package
            called, frame = frame, frame.f_back
        if frame is None or called is None:
            return
        if not self._watch.hooked:
            self._look_at_frames(frame)
        if (numbers or attrs) and self._is_new(op, numbers, attrs, frame):
            mark = frame.f_code, frame.f_lasti
            for argument in arguments_of(frame, called, numbers, op):
                self._add("frozen", argument.what, mark, argument.expression, argument.value, counted=False)

    def resume(self) -> None:
        """The user's code goes on."""
        self._watch.resume()

    def _is_new(self, op: str, numbers: list[Any], attrs: Any, frame: FrameType) -> bool:
        """Whether these values have not been seen at the place, which is not one of a long loop."""
        place = (op, id(frame.f_code), frame.f_lasti)
        looks = self._looks.get(place, 0)
        if looks >= _MOST_LOOKS:
            return False
        given = (*place, *numbers, *attrs.values())
        try:
            new = given not in self._given
        except TypeError:  # a list or an array among the attributes
            given = (*place, *numbers, *map(_told_apart, attrs.values()))
            new = given not in self._given
        if not new:
            return False
        self._given.add(given)
        self._remember(frame.f_code)
        self._looks[place] = looks + 1
        return True

    # ------------------------------------------------------------------------------------------------ reads

    def read(self, kind: str, what: str, value: Any) -> None:
        """Python has read a fact about a tensor. Called by the property or method that tells it."""
        frame = sys._getframe(2)
        code = frame.f_code
        if self._base is None or is_internal(code.co_filename):
            return
        place = (kind, id(code), frame.f_lasti)
        looks = self._looks.get(place, 0)
        if looks < _MOST_LOOKS:
            self._looks[place] = looks + 1
            self._remember(code)
            self._add(kind, what, (code, frame.f_lasti), None, str(value))

    def layer(self, module: Any) -> None:
        """A module of Ingot's own is called: note the options that its code reads."""
        names = layer_reads(module.__class__) if self._base is not None else ()
        mark = _user_mark() if names else None
        if mark is None:
            return
        options = vars(module)
        for name in names:
            value = options.get(name)
            if value is not None and is_plain(value):
                kind = "training" if name == "training" else "attribute"
                self._remember(mark[0])
                self._add(kind, f"{name} of {type(module).__name__}", mark, None, show(value))

    def optimizer(self, optimizer: Any) -> None:
        """An optimizer makes a step: note its options."""
        mark = _user_mark() if self._base is not None else None
        if mark is None:
            return
        self._remember(mark[0])
        groups = optimizer.param_groups
        for i, group in enumerate(groups):
            owner = type(optimizer).__name__ if len(groups) == 1 else f"group {i} of {type(optimizer).__name__}"
            for key, value in group.items():
                if key != "params" and value is not None and is_plain(value):
                    self._add("attribute", f"{key} of {owner}", mark, None, show(value))

    # ------------------------------------------------------------------------------------------------ loads

    def _wanted(self, code: CodeType) -> bool:
        if code.co_qualname.startswith("__create_fn__"):  # a dataclass's own methods
            return False
        self._remember(code)
        return bool(scan(code))

    def line(self, frame: FrameType) -> None:
        """A line of the user's code is about to run: note what it loads."""
        chains = scan(frame.f_code).get(frame.f_lineno)
        if chains:
            self._look_at_chains(frame, frame.f_lineno, chains)

    def _look_at_frames(self, frame: FrameType | None) -> None:
        """Where lines are not reported: all that the functions on the stack load."""
        while frame is not None and frame is not self._base:
            if is_users(frame.f_code.co_filename):
                self._remember(frame.f_code)
                for line, chains in scan(frame.f_code).items():
                    self._look_at_chains(frame, line, chains)
            frame = frame.f_back

    def _look_at_chains(self, frame: FrameType, line: int, chains: list[Chain]) -> None:
        place = ("line", id(frame.f_code), line)
        looks = self._looks.get(place, 0)
        if looks >= _MOST_LOOKS:
            return
        self._looks[place] = looks + 1
        local, world = frame.f_locals, frame.f_globals
        for chain in chains:
            root = find(chain, local, world)
            if root is MISSING or self._root_of(chain, root) is root:
                continue
            if not isinstance(root, dict) or chain.scope == "global":  # who else holds a dict is counted, too
                self._roots[id(chain), id(root)] = weakref.ref(root) if isinstance(root, TensorBase) else root
            if chain.scope != "closure" or not self._is_own(frame.f_code, chain.root):
                self._load(frame, chain, root)

    def _root_of(self, chain: Chain, root: Any) -> Any:
        """What was looked at under an object's id; tensors are not kept, for it counts who else holds them."""
        found = self._roots.get((id(chain), id(root)), MISSING)
        return found() if isinstance(found, weakref.ref) else found

    def _remember(self, code: CodeType) -> None:
        """Code of the user's that runs in the program, and must live as long as its id is used."""
        if id(code) in self._ran:
            return
        self._ran[id(code)] = code
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                self._outer[id(inner)] = code

    def _is_own(self, code: CodeType, name: str) -> bool:
        """Whether a variable of an enclosing function belongs to one that runs in the program."""
        outer = self._outer.get(id(code))
        while outer is not None:
            if name in outer.co_cellvars:
                return True
            outer = self._outer.get(id(outer))
        return False

    def _load(self, frame: FrameType, chain: Chain, root: Any) -> None:
        """Note a chain's value, or that of its longest part that is plain."""
        if chain.scope == "local" and is_plain(root):
            return  # the caller's argument, which calls check, or made by the program
        count, owner, value = 0, None, root
        for taken, holder, part in walk(chain, root):
            if is_fixed(part):
                self._mention(frame, chain, taken, part)
                return
            source = source_of(part)
            if source is not None and self._drawn is not None:
                mark = frame.f_code, chain.instructions[taken]
                self._drawn.mentioned(source, chain.text(taken), mark)
            count, owner, value = taken, holder, part
        if (chain.scope == "local" and not count) or chain.root.startswith("__") or not is_plain(value):
            return
        self._tracer.python_state.read(frame, chain, count, owner, value)
        step = chain.steps[count - 1] if count else None
        kind = chain.scope if chain.scope != "local" else "attribute"
        if step is not None and step.key == "training" and issubclass(type(owner), Module):
            kind = "training"
        if count:
            what = f"{step.key if step.is_attribute else step} of {_owner_name(owner)}"  # type: ignore[union-attr]
        else:
            what = (
                f"{chain.root} of {frame.f_globals.get('__name__')}"
                if kind == "global"
                else f"{chain.root} of the enclosing function"
            )
        text = chain.text(count)
        self._add(kind, what, (frame.f_code, chain.instructions[count]), text, show(value))

    def _mention(self, frame: FrameType, chain: Chain, taken: int, part: Any) -> None:
        """A module of Python's or NumPy's: it matters only where a random function of it is named."""
        for step in chain.steps[taken:]:
            part = step.take(part)
            taken += 1
            source = source_of(part)
            if source is not None and self._drawn is not None:
                self._drawn.mentioned(source, chain.text(taken), (frame.f_code, chain.instructions[taken]))
                return


class NoLedger:
    """Stands for a ledger where a function runs over another algebra, and what it reads becomes no program's."""

    def read(self, kind: str, what: str, value: Any) -> None:
        """Python has read a fact about a tensor."""

    def layer(self, module: Any) -> None:
        """A module of Ingot's own is called."""

    def optimizer(self, optimizer: Any) -> None:
        """An optimizer makes a step."""

    def look_at_random(self) -> None:
        """`frozen_ok` begins or ends."""


def _user_mark() -> Mark | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and is_internal(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti)


def _told_apart(value: Any) -> Any:
    """Something hashable that differs for different values."""
    return show(value) if is_plain(value) else id(type(value))


def _owner_name(owner: Any) -> str:
    kind = type(owner)
    return str(owner.__name__) if issubclass(kind, (type, ModuleType)) else kind.__name__
