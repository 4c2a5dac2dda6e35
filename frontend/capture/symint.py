"""A size that is only known at run time, as the traced program sees it: an integer with a symbolic value.

Arithmetic stays symbolic. A comparison is decided by the bounds of the variables where they settle it; otherwise the
example's answer is taken, and recorded as an assumption of the graph with the user's line. Where Python insists on a
plain integer (`int(n)`, `range(n)`, a list index), the size is fixed to the example's value, recorded likewise.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

from ...ir import sizes
from ...ir.sizes import Size, SizeExpr

__all__ = ["SymInt", "as_size"]


def as_size(value: Any) -> Any:
    """The symbolic expression of a `SymInt`; any other value as it is."""
    return value.__ingot_size__ if isinstance(value, SymInt) else value


class SymInt:
    """A dynamic size in a traced program."""

    __slots__ = ("__ingot_size__", "_tracer")

    def __init__(self, size: SizeExpr, tracer: Any) -> None:
        self.__ingot_size__ = size
        self._tracer = tracer

    def _make(self, size: Size) -> Any:
        return size if isinstance(size, int) else SymInt(size, self._tracer)

    def _binary(self, other: Any, compute: Callable[[Any, Any], Any], reverse: bool = False) -> Any:
        other = as_size(other)
        if isinstance(other, float):
            value = float(self._tracer.fix(self, "a float is computed from it"))
            return compute(other, value) if reverse else compute(value, other)
        if not isinstance(other, (int, SizeExpr)):
            return NotImplemented
        mine = self.__ingot_size__
        return self._make(compute(other, mine) if reverse else compute(mine, other))

    def _compare(self, op: str, other: Any) -> Any:
        other = as_size(other)
        if isinstance(other, float):
            if not math.isfinite(other) or (op in ("==", "!=") and not other.is_integer()):
                return bool(_FLOATS[op](0.5, other)) if not math.isfinite(other) else op == "!="
            # n > 2.5 is n > 2, and n < 2.5 is n < 3
            other = math.floor(other) if op in (">", "<=", "==", "!=") else math.ceil(other)
        if not isinstance(other, (int, SizeExpr)):
            return NotImplemented
        return self._tracer.compare(op, self.__ingot_size__, other)

    def __add__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a + b)

    def __radd__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a + b, reverse=True)

    def __sub__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a - b, reverse=True)

    def __mul__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a * b)

    def __rmul__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a * b, reverse=True)

    def __floordiv__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a // b)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a // b, reverse=True)

    def __mod__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a % b)

    def __rmod__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a % b, reverse=True)

    def __neg__(self) -> Any:
        return self._make(-self.__ingot_size__)

    def __pos__(self) -> SymInt:
        return self

    def __truediv__(self, other: Any) -> Any:
        return self._tracer.fix(self, "it is divided with /") / as_plain(other)

    def __rtruediv__(self, other: Any) -> Any:
        return as_plain(other) / self._tracer.fix(self, "it is a divisor of /")

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and 0 <= other <= 8:
            result: Any = 1
            for _ in range(other):
                result = self * result
            return result
        return self._tracer.fix(self, "it is the base of **") ** other

    def __rpow__(self, other: Any) -> Any:
        return other ** self._tracer.fix(self, "it is the exponent of **")

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __eq__(self, other: object) -> Any:
        return self._compare("==", other)

    def __ne__(self, other: object) -> Any:
        return self._compare("!=", other)

    def __lt__(self, other: Any) -> Any:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Any:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Any:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Any:
        return self._compare(">=", other)

    def __bool__(self) -> bool:
        return bool(self._compare("!=", 0))

    def __hash__(self) -> int:
        return hash(self._tracer.fix(self, "it is hashed"))

    def __int__(self) -> int:
        return self._tracer.fix(self, "int() needs a plain number")

    def __index__(self) -> int:
        return self._tracer.fix(self, "Python needs a plain integer here")

    def __float__(self) -> float:
        return float(self._tracer.fix(self, "float() needs a plain number"))

    def __repr__(self) -> str:
        return str(self.__ingot_size__)

    def __format__(self, spec: str) -> str:
        return format(int(self), spec) if spec else str(self)


def as_plain(value: Any) -> Any:
    """A Python number from a number or a dynamic size."""
    return int(value) if isinstance(value, SymInt) else value


def hint(size: Size, hints: dict[str, int]) -> int:
    """A size at the example's values."""
    return size if isinstance(size, int) else sizes.evaluate(size, hints)


_FLOATS: Final = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip
