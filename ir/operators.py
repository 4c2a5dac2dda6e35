"""Python's operators for everything that stands for a tensor: tensors, graph values, patterns, types.

A class that mixes `Operators` in provides `_F`, the algebra its operators call.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Operators"]


class Operators:
    """Arithmetic, comparison and bitwise operators, each as the op of the same name."""

    __slots__ = ()
    # NumPy arrays on the left-hand side leave the operation to this class.
    __array_ufunc__ = None
    _F: Any

    def __add__(self, other: Any) -> Any:
        return self._F.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return self._F.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return self._F.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._F.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return self._F.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._F.mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._F.div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._F.div(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self._F.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._F.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return self._F.remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return self._F.remainder(other, self)

    def __pow__(self, other: Any) -> Any:
        return self._F.pow(self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._F.pow(other, self)

    def __matmul__(self, other: Any) -> Any:
        return self._F.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._F.matmul(other, self)

    def __neg__(self) -> Any:
        return self._F.neg(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self._F.abs(self)

    def __invert__(self) -> Any:
        return self._F.bitwise_not(self)

    def __and__(self, other: Any) -> Any:
        return self._F.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Any:
        return self._F.bitwise_and(other, self)

    def __or__(self, other: Any) -> Any:
        return self._F.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Any:
        return self._F.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Any:
        return self._F.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return self._F.bitwise_xor(other, self)

    def __lt__(self, other: Any) -> Any:
        return self._F.lt(self, other)

    def __le__(self, other: Any) -> Any:
        return self._F.le(self, other)

    def __gt__(self, other: Any) -> Any:
        return self._F.gt(self, other)

    def __ge__(self, other: Any) -> Any:
        return self._F.ge(self, other)

    def __eq__(self, other: object) -> Any:
        return self._F.eq(self, other)

    def __ne__(self, other: object) -> Any:
        return self._F.ne(self, other)

    # Tensors compare element by element, and are still keys of dictionaries by identity, as PyTorch's are.
    def __hash__(self) -> int:
        return id(self)
