"""Run-time numbers as a captured program sees them: floats and truth values that the graph computes.

`tensor.item()` gives one when the tensor depends on what the program is given. It behaves as the Python number would,
and every operation on it is recorded: arithmetic in float64, and in operations with tensors the tensor's dtype wins, as
with a Python number. Where Python insists on a plain number or on a decision, capture refuses. Run-time integers are
`SymInt`s, like dynamic sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.locations import here, is_internal, user_frame
from ...ir.sizes import Size

__all__ = ["SymBool", "SymFloat", "Symbol"]


class Symbol:
    """A run-time number in a program that is being captured."""

    __slots__ = ("_tensor", "_tracer")
    _stands_for: type = float

    def __init__(self, tensor: Any, tracer: Any) -> None:
        self._tensor = tensor
        self._tracer = tracer

    def as_tensor(self) -> Any:
        """The number as a tensor without dimensions."""
        return self._tensor

    @property
    def __ingot_size__(self) -> Size:
        raise CaptureError(
            "a number that the data decides is a static parameter of an operation",
            expected="a number that is known when the program is captured, or an integer as a size",
            found=f"{self!r}",
            location=here(),
            context=self._tracer.context,
            advice="pass it as a tensor operand, or freeze it: with ingot.jit.frozen_ok(): ...",
        )

    def _example(self) -> Any:
        return self._tensor._array.item()

    def __repr__(self) -> str:
        return str(self._tracer.shown(repr(self._example()), sys._getframe(1)))

    def __format__(self, spec: str) -> str:
        return str(self._tracer.shown(format(self._example(), spec), sys._getframe(1)))

    def __hash__(self) -> int:
        if is_internal(sys._getframe(1).f_code.co_filename):
            return id(self)
        return hash(self._plain("hashing"))

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # what isinstance asks for, of a class that is not its own
        return type(self) if is_internal(sys._getframe(1).f_code.co_filename) else type(self)._stands_for

    def _plain(self, how: str) -> Any:
        self._tracer.leaves_graph(self.as_tensor(), how)
        return self._example()

    def __float__(self) -> float:
        return float(self._plain("float()"))

    def __int__(self) -> int:
        return int(self._plain("int()"))


class SymFloat(Symbol):
    """A run-time float: a float64 tensor without dimensions that gives way to other dtypes."""

    __slots__ = ()

    def item(self) -> SymFloat:
        """Itself."""
        return self

    def __bool__(self) -> bool:
        return bool(self._tracer.call("ne", self._tensor, 0.0))

    def __neg__(self) -> SymFloat:
        return self._unary("neg")

    def __pos__(self) -> SymFloat:
        return self

    def __abs__(self) -> SymFloat:
        return self._unary("abs")

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return self._tracer.integer(self._of("round"))
        # Python rounds the exact decimal value, which no scaling does.
        return self._unary("round") if digits == 0 else round(self._plain("round() to digits"), digits)

    def __floor__(self) -> Any:
        return self._tracer.integer(self._of("floor"))

    def __ceil__(self) -> Any:
        return self._tracer.integer(self._of("ceil"))

    def __trunc__(self) -> Any:
        return self._tracer.integer(self._of("trunc"))

    def _of(self, op: str, **attrs: Any) -> Any:
        return self._tracer.call(op, self._tensor, **attrs)

    def _unary(self, op: str, **attrs: Any) -> SymFloat:
        return SymFloat(self._of(op, **attrs), self._tracer)


class SymBool(Symbol):
    """A run-time truth value: a relation of dynamic sizes, or a bool tensor without dimensions.

    Python's `if` on a relation of sizes that the inputs have takes the example's side, which becomes an assumption of
    the program. On anything that the data decide, it is refused; `jit.script` captures both sides.
    """

    __slots__ = ("_by_sizes", "guards", "relation")
    _stands_for = bool

    def __init__(self, tensor: Any, tracer: Any, relation: tuple[str, Size, Size] | None = None) -> None:
        super().__init__(tensor, tracer)
        self.relation = relation
        self.guards = False  # whether it says that no `break` or the like was reached
        self._by_sizes = False

    @property
    def by_sizes(self) -> bool:
        """Whether the inputs' sizes alone decide it."""
        return self._by_sizes or (self.relation is not None and not self._tracer.is_decided_by_data(self))

    def mark_by_sizes(self) -> SymBool:
        """Note that it was put together from relations of the inputs' sizes."""
        self._by_sizes = True
        return self

    def as_tensor(self) -> Any:
        if self._tensor is not None:
            return self._tensor
        assert self.relation is not None
        found = self._tracer.relation_tensor(*self.relation)
        if not self._tracer.regions.depth:  # what a branch or loop computes is not there behind it
            self._tensor = found
        return found

    def _example(self) -> bool:
        if self.relation is not None:
            return bool(self._tracer.holds_in_example(*self.relation))
        return bool(self._tensor._array.item())

    def __bool__(self) -> bool:
        if self.relation is not None:
            return bool(self._tracer.decide(*self.relation))
        self._tracer.refuse_branch(self._tensor)
        return bool(self._tensor._array.item())

    def __invert__(self) -> Any:
        return self.negated()

    def negated(self) -> SymBool:
        """The opposite."""
        if self.relation is not None:
            op, a, b = self.relation
            return SymBool(None, self._tracer, (_OPPOSITES[op], a, b))
        return SymBool(self._tracer.call("logical_not", self._tensor), self._tracer)

    def __and__(self, other: Any) -> Any:
        return self._logical("logical_and", other)

    def __or__(self, other: Any) -> Any:
        return self._logical("logical_or", other)

    def __xor__(self, other: Any) -> Any:
        return self._logical("logical_xor", other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def _logical(self, op: str, other: Any) -> Any:
        if isinstance(other, SymBool):
            other = other.as_tensor()
        elif not isinstance(other, bool):
            return NotImplemented
        return SymBool(self._tracer.call(op, self.as_tensor(), other), self._tracer)


_OPPOSITES: Final = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _operand(value: Any) -> Any:
    """The other side of an operation on run-time numbers, or None where it is no number."""
    if isinstance(value, Symbol):
        return value.as_tensor()
    if isinstance(value, (bool, int, float)) or type(value).__name__ == "SymInt":
        return value
    return None


def _arithmetic(op: str, reverse: bool = False, divides: bool = False) -> Callable[[Any, Any], Any]:
    def method(self: Symbol, other: Any) -> Any:
        mine, theirs = self.as_tensor(), _operand(other)
        if theirs is None:
            return NotImplemented
        a, b = (theirs, mine) if reverse else (mine, theirs)
        tracer = self._tracer
        if isinstance(self, SymBool):
            return getattr(tracer.integer(mine), f"__{'r' if reverse else ''}{_DUNDERS[op]}__")(other)
        if divides:
            tracer.require(tracer.call("ne", b, 0.0), "float division by zero", here(), "ZeroDivisionError")
        return SymFloat(tracer.call(op, a, b), tracer)

    return method


def _comparison(op: str) -> Callable[[Any, Any], Any]:
    def method(self: Symbol, other: Any) -> Any:
        theirs = _operand(other)
        if theirs is None:
            return NotImplemented
        return SymBool(self._tracer.call(op, self.as_tensor(), theirs), self._tracer)

    return method


_DUNDERS: Final = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "truediv", "floor_divide": "floordiv", "remainder": "mod",
    "pow": "pow",
}  # fmt: skip

for _op, _name in _DUNDERS.items():
    _divides = _op in ("div", "floor_divide", "remainder")
    setattr(Symbol, f"__{_name}__", _arithmetic(_op, divides=_divides))
    setattr(Symbol, f"__r{_name}__", _arithmetic(_op, reverse=True, divides=_divides))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Symbol, f"__{_name}__", _comparison(_name))


def unproven(what: str, context: str) -> CaptureError:
    """The refusal of a Python decision that the data make."""
    return CaptureError(
        "a Python branch on a tensor's value",
        expected="a graph that takes the same path for every input",
        found=what,
        location=here(),
        context=context,
        advice=_way_out(user_frame()),
    )


def _way_out(frame: FrameType | None) -> str:
    """How the user's function would capture the decision."""
    from ..script.suggestion import suggestion

    both = "; jit.trace(..., script_branches=True) captures both sides"
    if frame is None:
        return "choose with ingot.where(condition, a, b)" + both
    if "_ingot_rt" in frame.f_code.co_freevars:  # scripted already, in a place that is not rewritten
        return "write it as an 'if' statement of its own, or choose with ingot.where(condition, a, b)"
    return suggestion(frame.f_code, frame.f_lineno) + both
