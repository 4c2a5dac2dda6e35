"""What must still hold for a compiled variant to be served: guards, and the function that checks them all.

A guard compares what a place holds with what it held at capture: numbers and strings by value, tensors by dtype, sizes
and whether they require a gradient, everything else by identity. All guards of a variant are compiled to one function
of plain comparisons that also fetches the tensors; which guard fails is found afterwards, at leisure, for people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CellType
from typing import Any, Final

import numpy as np

from ..ir.dtypes import get_default_dtype
from .compile_reach import CONTENTS, MISSING, PLAIN, Entry, read
from .tensor_base import TensorBase

__all__ = ["Guards", "Slot", "same_array", "same_value"]


class Slot(int):
    """The number of a fetched tensor, as the owner of a place: of its `.grad`."""


def same_value(a: Any, b: Any) -> bool:
    """Whether two plain values, or tuples of them, are the same to a program: 1, 1.0 and True are not, NaN is itself.

    >>> same_value(1, True), same_value(0.0, -0.0), same_value((1, "a"), (1, "a"))
    (False, False, True)
    """
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return repr(a) == repr(b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same_value, a, b))
    return bool(a == b)


def same_items(items: Any, before: tuple[Any, ...]) -> bool:
    """Whether a list holds the same plain values as before."""
    return len(items) == len(before) and all(map(same_value, items, before))


def same_array(array: Any, before: Any) -> bool:
    """Whether an array holds the same bits as before."""
    if not isinstance(array, np.ndarray) or array.dtype != before.dtype or array.shape != before.shape:
        return False
    return np.array_equal(array, before) or array.tobytes() == before.tobytes()


def _is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))


@dataclass(slots=True)
class Guard:
    """One fact: what place, what it was, and how it is checked.

    Attributes:
        kind: "value", "number" (any float will do), "contents", "array", "members", "tensor", "same", "object", "size",
            "keys", "absent" or "gradient".
        expected: what the place must hold: a value, an object, a number of entries, keys in their order, or the slot of
            a tensor.
    """

    kind: str
    path: str
    place: Entry
    expected: Any
    tensor: int = -1  # the slot of the tensor that it fetches
    facts: Any = None  # of a tensor: dtype, sizes, whether it requires a gradient


@dataclass(slots=True)
class Guards:
    """All guards of a variant, in an order in which each one's place can be read when those before it hold."""

    guards: list[Guard] = field(default_factory=list)
    slots: int = 0
    default_dtype: Any = field(default_factory=get_default_dtype)
    check: Callable[[], list[Any] | None] = lambda: None
    _slot_of: dict[int, int] = field(default_factory=dict)

    def slot_of(self, tensor: Any) -> int | None:
        """The slot that a tensor found at capture is fetched into."""
        return self._slot_of.get(id(tensor))

    def watch(self, place: Entry, numbers: frozenset[tuple[int, Any]] = frozenset()) -> None:
        """Guard a place by what it held at capture.

        Args:
            numbers: (id of the owner, key) of the places where any float will do.
        """
        value = place.value
        if (id(place.owner), place.key) in numbers:
            self._add("number", place, None)
        elif isinstance(value, TensorBase):
            self._tensor(place, value)
        elif place.key is CONTENTS:
            self._add("contents", place, value)
        elif _is_plain(value):
            self._add("value", place, value)
        elif isinstance(value, np.ndarray):
            self._add("array", place, value.copy())
        elif isinstance(value, (set, frozenset)):
            self._add("members", place, frozenset(value))
        elif not isinstance(value, type(np)):
            self._add("object", place, value)

    def size(self, path: str, owner: Any, count: int, ordered: bool) -> None:
        """Guard the number of entries of a container; where their order counts as well, a dict's keys."""
        if ordered and isinstance(owner, dict) and count > 1:  # what a single entry is has a guard of its own
            self._add("keys", Entry(path, owner, None, None), list(owner))
        else:
            self._add("size", Entry(path, owner, None, count), count)

    def absent(self, path: str, owner: Any, key: Any) -> None:
        """Guard that a table has no such entry."""
        self._add("absent", Entry(path, owner, key, MISSING), MISSING)

    def keep(self, path: str, tensor: Any) -> int:
        """Fetch a tensor that hangs on no known place."""
        found = self.slot_of(tensor)
        if found is None:
            self._tensor(Entry(path, [tensor], 0, tensor), tensor)
            found = self._slot_of[id(tensor)]
        return found

    def forget(self, tensors: Sequence[Any]) -> None:
        """Let go of tensors, and fetch nothing for them."""
        gone = {slot for tensor in tensors if (slot := self._slot_of.pop(id(tensor), None)) is not None}
        self.guards = [g for g in self.guards if not (g.tensor in gone or (g.kind == "same" and g.expected in gone))]

    def release(self, slots: Sequence[int]) -> None:
        """Do not hold the tensors of no known place, until `hold` says what they are."""
        for guard in self.guards:
            if guard.tensor in slots:
                guard.place.owner[0] = None

    def hold(self, slot: int, tensor: Any) -> None:
        """What a tensor of no known place is, to be fetched from now on."""
        for guard in self.guards:
            if guard.tensor == slot:
                guard.place.owner[0] = tensor

    def drop(self, slot: int) -> None:
        """Fetch nothing for a slot."""
        self.guards = [g for g in self.guards if g.tensor != slot]

    def gradient(self, path: str, slot: int, gradient: Any) -> None:
        """Guard what a fetched tensor's `.grad` is: None, or a tensor, which is fetched."""
        place = Entry(f"{path}.grad", Slot(slot), "_grad", gradient)
        if gradient is None:
            self._add("value", place, None)
        else:
            self._tensor(place, gradient)

    def _add(self, kind: str, place: Entry, expected: Any, **more: Any) -> None:
        self.guards.append(Guard(kind, place.path, place, expected, **more))

    def _tensor(self, place: Entry, tensor: Any) -> None:
        known = self._slot_of.get(id(tensor))
        if known is not None:
            self._add("same", place, known)
            return
        if tensor._base is not None:
            base = Entry(f"{place.path}.base", tensor, "_base", tensor._base)
            self._add("object", place, tensor)
            self._tensor(base, tensor._base)
        self._slot_of[id(tensor)] = self.slots
        facts = (tensor._array.dtype, tensor._array.shape, tensor._node is not None)
        # The tensor itself is not kept: what the place holds later counts.
        where = Entry(place.path, place.owner, place.key, None)
        self._add("tensor", where, None, tensor=self.slots, facts=facts)
        self.slots += 1

    # ------------------------------------------------------------------------------------------------ checking

    def compile(self) -> None:
        """Make `check`: the fetched tensors, or None where something is not as it was."""
        writer = _Writer()
        for guard in self.guards:
            writer.guard(guard)
        self.check = writer.function(self.slots, self.default_dtype)

    def failing(self) -> str | None:
        """What is not as it was, for people; None when everything is."""
        if get_default_dtype() is not self.default_dtype:
            return f"the default dtype was {self.default_dtype.name}, is now {get_default_dtype().name}"
        tensors: dict[int, Any] = {}
        for guard in self.guards:
            found = _failure(guard, tensors)
            if found is not None:
                return found
        return None

    def failing_guards(self) -> list[Guard]:
        """All guards that do not hold."""
        tensors: dict[int, Any] = {}
        return [guard for guard in self.guards if _failure(guard, tensors) is not None]


def _failure(guard: Guard, tensors: dict[int, Any]) -> str | None:
    place, path = guard.place, guard.path
    if guard.kind == "size":
        return _size_failure(path, guard.expected, len(place.owner))
    if guard.kind == "keys":
        same = list(place.owner) == guard.expected
        return None if same else _keys_failure(path, guard.expected, list(place.owner))
    if guard.kind == "contents":
        same = same_items(place.owner, guard.expected)
        return None if same else f"{path} was {_short(list(guard.expected))}, is now {_short(place.owner)}"
    now = tensors[place.owner]._grad if isinstance(place.owner, Slot) else read(place)
    if guard.kind == "absent":
        return None if now is MISSING else f"{path} did not exist, now it does"
    if now is MISSING:
        return f"{path} does not exist any more"
    if guard.kind == "tensor":
        tensors[guard.tensor] = now
        return _tensor_failure(path, guard.facts, now)
    if guard.kind == "same":
        return None if now is tensors.get(guard.expected) else f"{path} was the same tensor as another, is now its own"
    checks: dict[str, Callable[[Any, Any], bool]] = {
        "value": same_value, "array": same_array, "object": lambda a, b: a is b,
        "members": lambda a, b: isinstance(a, (set, frozenset)) and a == b, "number": lambda a, b: type(a) is float,
    }  # fmt: skip
    if checks[guard.kind](now, guard.expected):
        return None
    if guard.kind == "number":
        return f"{path} was a number, is now {_short(now)}"
    if guard.kind == "object" and type(now) is type(guard.expected):
        return f"{path} is another {type(now).__name__} now"
    return f"{path} was {_short(guard.expected)}, is now {_short(now)}"


def _size_failure(path: str, before: int, now: int) -> str | None:
    return None if now == before else f"{path} had {before} entries, now {now}"


def _keys_failure(path: str, before: list[Any], now: list[Any]) -> str:
    other_order = f"{path} has its entries in another order now"
    return _size_failure(path, len(before), len(now)) or (
        other_order if all(key in before for key in now) else f"{path} has other entries now"
    )


def _tensor_failure(path: str, facts: Any, now: Any) -> str | None:
    dtype, shape, with_grad = facts
    if not isinstance(now, TensorBase):
        return f"{path} was a tensor, is now {_short(now)}"
    if now._array.dtype != dtype:
        return f"{path} was {dtype}, is now {now._array.dtype}"
    if now._array.shape != shape:
        return f"{path} had sizes {list(shape)}, now {list(now._array.shape)}"
    if (now._node is not None) is not with_grad:
        words = ("did not require a gradient", "required a gradient")
        return f"{path} {words[with_grad]}, now it {'does not' if with_grad else 'does'}"
    return None


def _short(value: Any) -> str:
    if isinstance(value, TensorBase):
        return "a tensor"
    text = repr(value) if isinstance(value, (*PLAIN, list, tuple, dict, set)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


_TENSOR: Final = """\
    t{n} = {read}
    a = t{n}._array
    if a.dtype is not {dtype} and a.dtype != {dtype}: return None
    if a.shape != {shape} or t{n}._node is {wrong} None: return None"""


class _Writer:
    """Writes the check's source. Names and numbers are ours; what guards refer to goes in as constants."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {"same_value": same_value, "same_items": same_items, "same_array": same_array}
        self.known: dict[int, str] = {}

    def constant(self, value: Any) -> str:
        name = self.known.get(id(value))
        if name is None:
            name = self.known[id(value)] = f"k{len(self.known)}"
            self.constants[name] = value
        return name

    def read(self, place: Entry) -> str:
        if isinstance(place.owner, Slot):
            return f"t{place.owner:d}._grad"
        owner = self.constant(place.owner)
        if isinstance(place.owner, CellType):
            return f"{owner}.cell_contents"
        if place.by_attribute:
            return f"{owner}.{place.key}"
        key = repr(place.key) if type(place.key) in (str, int) else self.constant(place.key)
        return f"{owner}[{key}]"

    def refuse_if(self, condition: str) -> None:
        self.lines.append(f"    if {condition}: return None")

    def guard(self, guard: Guard) -> None:
        getattr(self, f"_{guard.kind}")(guard)

    def _value(self, guard: Guard) -> None:
        if guard.expected is None or isinstance(guard.expected, bool):
            return self.refuse_if(f"{self.read(guard.place)} is not {guard.expected}")
        self.lines.append(f"    v = {self.read(guard.place)}")
        expected = self.constant(guard.expected)
        self.refuse_if(f"v is not {expected} and not same_value(v, {expected})")

    def _number(self, guard: Guard) -> None:
        self.refuse_if(f"type({self.read(guard.place)}) is not float")

    def _contents(self, guard: Guard) -> None:
        self.refuse_if(f"not same_items({self.constant(guard.place.owner)}, {self.constant(guard.expected)})")

    def _array(self, guard: Guard) -> None:
        self.refuse_if(f"not same_array({self.read(guard.place)}, {self.constant(guard.expected)})")

    def _members(self, guard: Guard) -> None:
        self.refuse_if(f"{self.read(guard.place)} != {self.constant(guard.expected)}")

    def _object(self, guard: Guard) -> None:
        self.refuse_if(f"{self.read(guard.place)} is not {self.constant(guard.expected)}")

    def _size(self, guard: Guard) -> None:
        owner = self.constant(guard.place.owner)
        self.refuse_if(f"len({owner}) != {guard.expected}" if guard.expected else owner)

    def _keys(self, guard: Guard) -> None:
        self.refuse_if(f"[*{self.constant(guard.place.owner)}] != {self.constant(guard.expected)}")

    def _absent(self, guard: Guard) -> None:
        key, owner = self.constant(guard.place.key), self.constant(guard.place.owner)
        self.refuse_if(f"hasattr({owner}, {key})" if guard.place.by_attribute else f"{key} in {owner}")

    def _same(self, guard: Guard) -> None:
        self.refuse_if(f"{self.read(guard.place)} is not t{guard.expected}")

    def _tensor(self, guard: Guard) -> None:
        dtype, shape, with_grad = guard.facts
        parts = {"n": guard.tensor, "read": self.read(guard.place), "dtype": self.constant(dtype), "shape": shape}
        self.lines.extend(_TENSOR.format(**parts, wrong="" if with_grad else "not").splitlines())

    def function(self, slots: int, default_dtype: Any) -> Callable[[], list[Any] | None]:
        self.constants["default_dtype"] = get_default_dtype
        tensors = ", ".join(f"t{i}" for i in range(slots))
        # Slots of what turned out to be a constant.
        fetched = {line.split()[0] for line in self.lines if line.startswith("    t")}
        self.lines[:0] = [f"    t{i} = None" for i in range(slots) if f"t{i}" not in fetched]
        lines = [f"  if default_dtype() is not {self.constant(default_dtype)}: return None", "  try:"]
        lines += [*self.lines, f"    return [{tensors}]"]
        lines += ["  except (LookupError, AttributeError, ValueError, TypeError): return None"]
        exec(compile("\n".join(["def check():", *lines]), "<guards>", "exec"), self.constants)
        found: Callable[[], list[Any] | None] = self.constants["check"]
        return found
