"""The algebra of all operators, `F`, and two of its interpreters: types alone, and raw arrays.

A decomposition, a gradient or a rule is a function over `F`: it calls ops by name (`F.exp(x)`) and uses Python's
operators on what they return. An interpreter is a subclass of `Algebra` with one method, `apply`. Eager tensors
(`frontend`), the graph builder and patterns are further interpreters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from .arrays import namespace, quiet_reset, quiet_set
from .dtypes import DType
from .operators import Operators
from .registry import Op, lookup
from .sizes import SizeExpr
from .types import INT, KEY, NONE, TensorType, Type, of_number

__all__ = ["RAW", "TYPES", "Algebra", "Proxy", "RawArrays", "TypesOnly", "run_raw", "type_of"]


_KEY_WORD: Final = np.dtype(np.uint64)  # which no tensor has, only keys


class Algebra:
    """Calls ops by name; `apply` says what a call means."""

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        """Meaning of one op call: a value, or a tuple of values for several outputs."""
        raise TypeError(f"{type(self).__name__} does not define apply")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        op = lookup(name)
        bind = op.schema.bind

        def call(*args: Any, **kwargs: Any) -> Any:
            inputs, attrs = bind(args, kwargs)
            return self.apply(op, inputs, attrs)

        call.__name__ = name
        self.__dict__[name] = call
        return call


class Proxy(Operators):
    """A tensor as an algebra sees it: a type, and the value that the algebra computes with."""

    __slots__ = ("_F", "_type", "value")

    def __init__(self, algebra: Algebra, value: Any, type: Type | None) -> None:
        self._F = algebra
        self.value = value
        self._type = type

    @property
    def type(self) -> Any:
        if self._type is None:
            self._type = type_of(self.value)
        return self._type

    @property
    def shape(self) -> Any:
        return self.type.sizes

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.type.sizes)

    def __repr__(self) -> str:
        return f"<{self.type}>"


def type_of(value: Any) -> Type:
    """The type of an array, a key, a Python number, None, or anything that has a `type`."""
    if value is None:
        return NONE
    if isinstance(value, (bool, int, float)):
        return of_number(value)
    if isinstance(value, Proxy):
        return value.type
    if isinstance(value, SizeExpr):
        return INT
    if value.dtype == _KEY_WORD:
        return KEY
    return TensorType(DType.of(value.dtype), tuple(value.shape))


class TypesOnly(Algebra):
    """Computes types and nothing else."""

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        results = op.infer([type_of(x) for x in inputs], attrs)
        proxies = tuple(Proxy(self, None, t) for t in results)
        return proxies[0] if len(proxies) == 1 else proxies


class RawArrays(Algebra):
    """Computes on NumPy or CuPy arrays through the ops' kernels."""

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        arrays = [x.value if isinstance(x, Proxy) else x for x in inputs]
        result = op.kernel(*arrays, **attrs)
        if isinstance(result, tuple):
            return tuple(Proxy(self, item, None) for item in result)
        return Proxy(self, result, None)


TYPES: Final = TypesOnly()
RAW: Final = RawArrays()


def run_raw(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
    """Run a decomposition over raw arrays; arrays in, arrays out."""
    assert op.body is not None
    token = quiet_set()
    try:
        result = op.body(RAW, *op.schema.unflatten([_wrap(x) for x in inputs]), **attrs)
    finally:
        quiet_reset(token)
    if isinstance(result, tuple):
        return tuple(_unwrap(item, inputs) for item in result)
    return _unwrap(result, inputs)


def _wrap(value: Any) -> Any:
    return Proxy(RAW, value, None) if hasattr(value, "dtype") else value


def _unwrap(value: Any, inputs: Sequence[Any]) -> Any:
    return value.value if isinstance(value, Proxy) else namespace(*inputs).asarray(value)
