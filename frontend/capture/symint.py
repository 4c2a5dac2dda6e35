"""An integer that only the run knows, as the captured program sees it: a dynamic size, or a number from a tensor.

Arithmetic stays symbolic. A comparison is decided by the bounds of the variables where they settle it; otherwise it is
a `SymBool`, which Python decides by the example (an assumption of the graph, with the user's line) and a scripted
function captures. Where Python insists on a plain integer (`int(n)`, a list index), the size is fixed to the example's
value, recorded likewise; with floats it becomes a run-time float.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import numpy as np

from ...ir import sizes
from ...ir.dtypes import int64
from ...ir.locations import here, is_internal
from ...ir.sizes import Size, SizeExpr
from ..mode import mode
from .symbols import SymBool, SymFloat
from .texts import is_only_shown, who_writes

__all__ = ["LateInt", "SymInt", "as_size", "hint"]


def as_size(value: Any) -> Any:
    """The symbolic expression of a `SymInt`; any other value as it is."""
    return value.__ingot_size__ if isinstance(value, SymInt) else value


class SymInt:
    """A dynamic size in a traced program."""

    __slots__ = ("__ingot_size__", "_tracer")

    def __init__(self, size: SizeExpr, tracer: Any) -> None:
        self.__ingot_size__ = size
        self._tracer = tracer

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # what isinstance asks for, of a class that is not its own
        return type(self) if is_internal(sys._getframe(1).f_code.co_filename) else int

    def _make(self, size: Size) -> Any:
        return size if isinstance(size, int) else SymInt(size, self._tracer)

    def _binary(self, other: Any, op: str, reverse: bool = False) -> Any:
        if isinstance(other, (float, SymFloat)):
            number = self.as_float()
            return _BINARY[op](other, number) if reverse else _BINARY[op](number, other)
        other = as_size(other)
        if not isinstance(other, (int, SizeExpr)):
            return NotImplemented
        mine = self.__ingot_size__
        return self._make(_BINARY[op](other, mine) if reverse else _BINARY[op](mine, other))

    def as_float(self) -> Any:
        """The same number as a run-time float; a plain one where the size has been fixed."""
        size, hints = self.__ingot_size__, self._tracer.hints
        if self._tracer.graph.assumptions and sizes.free_vars(size) <= hints.keys():
            value = hint(size, hints)
            if self._tracer.known("==", size, value) is True:
                return float(value)
        return SymFloat(self._tracer.float_of(self), self._tracer)

    def _compare(self, op: str, other: Any) -> Any:
        if isinstance(other, SymFloat):
            return _BINARY[op](self.as_float(), other)
        other = as_size(other)
        if isinstance(other, float):
            if not math.isfinite(other) or (op in ("==", "!=") and not other.is_integer()):
                return bool(_BINARY[op](0.5, other)) if not math.isfinite(other) else op == "!="
            # n > 2.5 is n > 2, and n < 2.5 is n < 3
            other = math.floor(other) if op in (">", "<=", "==", "!=") else math.ceil(other)
        if not isinstance(other, (int, SizeExpr)):
            return NotImplemented
        known = self._tracer.known(op, self.__ingot_size__, other)
        return SymBool(None, self._tracer, (op, self.__ingot_size__, other)) if known is None else known

    def __add__(self, other: Any) -> Any:
        return self._binary(other, "+")

    def __radd__(self, other: Any) -> Any:
        return self._binary(other, "+", reverse=True)

    def __sub__(self, other: Any) -> Any:
        return self._binary(other, "-")

    def __rsub__(self, other: Any) -> Any:
        return self._binary(other, "-", reverse=True)

    def __mul__(self, other: Any) -> Any:
        return self._binary(other, "*")

    def __rmul__(self, other: Any) -> Any:
        return self._binary(other, "*", reverse=True)

    def __floordiv__(self, other: Any) -> Any:
        return self._binary(other, "//")

    def __rfloordiv__(self, other: Any) -> Any:
        return self._binary(other, "//", reverse=True)

    def __mod__(self, other: Any) -> Any:
        return self._binary(other, "%")

    def __rmod__(self, other: Any) -> Any:
        return self._binary(other, "%", reverse=True)

    def __neg__(self) -> Any:
        return self._make(-self.__ingot_size__)

    def __pos__(self) -> SymInt:
        return self

    def __truediv__(self, other: Any) -> Any:
        return self.as_float() / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.as_float()

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        if modulo is not None:
            return self**other % modulo
        if isinstance(other, int) and 0 <= other <= 8:
            result: Any = 1
            for _ in range(other):
                result = self * result
            return result
        if isinstance(other, SymInt) or (isinstance(other, int) and other > 0):
            return self._power(self, other)
        return self.as_float() ** other

    def __rpow__(self, other: Any) -> Any:
        return self._power(other, self) if isinstance(other, int) else other ** self.as_float()

    def _power(self, base: Any, exponent: Any) -> SymInt:
        """An integer for exponents that are none below zero, of which Python makes a float."""
        call = self._tracer.call
        base, exponent = (call("add", call("full", (), 0, int64), x) for x in (base, exponent))
        what = "an integer to a power below zero is a float"
        self._tracer.require(call("ge", exponent, 0), what, here(), "RuntimeError")
        found: SymInt = self._tracer.integer(call("pow", base, exponent))
        return found

    def _bitwise(self, op: str, other: Any) -> Any:
        if not isinstance(other, (int, SymInt)):
            return NotImplemented
        mine = self._tracer.call("add", self._tracer.call("full", (), 0, int64), self)
        return self._tracer.integer(self._tracer.call(op, mine, other))

    def __and__(self, other: Any) -> Any:
        return self._bitwise("bitwise_and", other)

    def __or__(self, other: Any) -> Any:
        return self._bitwise("bitwise_or", other)

    def __xor__(self, other: Any) -> Any:
        return self._bitwise("bitwise_xor", other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, other: Any) -> Any:
        return self * 2**other

    def __rshift__(self, other: Any) -> Any:
        return self // 2**other

    def __invert__(self) -> Any:
        return -self - 1

    def item(self) -> SymInt:
        """Itself."""
        return self

    real = numerator = property(item)
    imag, denominator = 0, 1
    conjugate = item

    def __getattr__(self, name: str) -> Any:
        """What else an integer has (`bit_length`, `to_bytes`), of the plain number."""
        if name.startswith("_") or not hasattr(int, name):
            raise AttributeError(f"'int' object has no attribute {name!r}", name=name, obj=self)
        return getattr(self._tracer.fix(self, f"{name} needs a plain number"), name)

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

    def __round__(self, digits: int | None = None) -> SymInt:
        return self

    def __trunc__(self) -> SymInt:
        return self

    __floor__ = __ceil__ = __trunc__

    def __hash__(self) -> int:
        return hash(self._tracer.fix(self, "it is hashed"))

    def __int__(self) -> int:
        return self._tracer.fix(self, "int() needs a plain number")

    def __index__(self) -> int:
        return self._tracer.fix(self, "Python needs a plain integer here")

    def __float__(self) -> float:
        return float(self._tracer.fix(self, "float() needs a plain number"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self._tracer.fix(self, "NumPy needs a plain number"), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions: arithmetic with a NumPy number stays symbolic, all else needs a plain number."""
        operation = _UFUNCS.get(ufunc.__name__) if method == "__call__" and not kwargs else None
        if operation is not None and not any(isinstance(x, np.ndarray) for x in inputs):
            return operation(*(x.item() if isinstance(x, np.generic) else x for x in inputs))
        plain = [np.asarray(x) if isinstance(x, SymInt) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __repr__(self) -> str:
        return self._text(sys._getframe(1), "")

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return self._text(sys._getframe(1), spec)

    def _text(self, caller: FrameType, spec: str) -> str:
        """The size's name where people are shown it, or Ingot writes it; the digits, which fix it, for all else."""
        frame = who_writes(caller)
        if frame is None or mode.tracer is not self._tracer:
            return str(self.__ingot_size__)
        if not is_only_shown(frame):
            return format(self._tracer.fix(self, "its text is used, not only shown"), spec)
        text = str(self.__ingot_size__)
        self._tracer.note("text", "a dynamic size, of which the capture shows the name", here(), text)
        try:
            return format(text, spec)
        except ValueError:  # a form for numbers
            return text


class LateInt(SymInt):
    """A run-time integer that a loop has assigned which may have had no iterations: to use it is to assume one."""

    __slots__ = ("_prove", "_size")

    def __init__(self, size: SizeExpr, tracer: Any, prove: Callable[[], None]) -> None:
        self._size = size
        self._tracer = tracer
        self._prove: Callable[[], None] | None = prove

    @property
    def __ingot_size__(self) -> SizeExpr:  # type: ignore[override]
        prove, self._prove = self._prove, None
        if prove is not None:
            prove()
        return self._size


def hint(size: Size, hints: dict[str, int]) -> int:
    """A size at the example's values."""
    return size if isinstance(size, int) else sizes.evaluate(size, hints)


_BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_UFUNCS: Final[dict[str, Callable[..., Any]]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "true_divide": operator.truediv, "floor_divide": operator.floordiv, "remainder": operator.mod,
    "power": operator.pow, "negative": operator.neg, "absolute": abs, "sqrt": lambda n: n**0.5,
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt, "less_equal": operator.le,
    "greater": operator.gt, "greater_equal": operator.ge,
}  # fmt: skip
