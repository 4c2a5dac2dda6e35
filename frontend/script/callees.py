"""What a rewritten function calls: builtins that know run-time numbers, and the user's functions, rewritten too."""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Callable
from types import CellType, FunctionType, MethodType
from typing import Any, Final

from ...ir.locations import is_internal
from ...ir.sizes import maximum
from ..capture.decisions import truth
from ..capture.grown_list import SymList
from ..capture.symbols import Symbol, SymBool, SymFloat
from ..capture.symint import SymInt, as_size
from ..dispatch import EAGER
from ..mode import mode
from ..module import Module
from ..tensor_base import TensorBase
from .items import Items, enumerate_, items_of, range_, reversed_, size, zip_
from .number_functions import MATH, extreme, number, sum_
from .rewrite import CannotConvert, convert

__all__ = ["callee", "scripted"]

_LIBRARIES: Final = tuple(
    {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {sys.prefix + "/lib/python"}
)


def callee(function: Any) -> Any:
    """What to call in place of a function."""
    if mode.tracer is None:
        return function
    if function.__class__ is type or function.__class__ is _BUILTIN:
        try:
            return _REPLACED.get(function) or _constructor(function)
        except TypeError:  # a bound builtin of something without a hash
            return function
    return scripted(function)


def _constructor(function: Any) -> Any:
    """What makes objects of a class of the user's, its `__init__` rewritten: lists that it makes may grow. Anything
    else as it is."""
    if function.__class__ is not type or issubclass(function, Module) or "__new__" in _defined(function):
        return function
    begin = function.__init__
    found = scripted(begin) if isinstance(begin, FunctionType) else begin
    if found is begin:
        return function

    def made(*args: Any, **kwargs: Any) -> Any:
        instance = function.__new__(function)
        found(instance, *args, **kwargs)
        return instance

    return made


def _defined(cls: type) -> set[str]:
    """The names that a class and its bases define."""
    return {name for base in cls.__mro__[:-1] for name in vars(base)}


def scripted(function: Any) -> Any:
    """A function of the user's with its control flow rewritten; anything else as it is."""
    if isinstance(function, Module):
        return functools.partial(_call_module, function)
    if isinstance(function, MethodType):
        found = scripted(function.__func__)
        return function if found is function.__func__ else MethodType(found, function.__self__)
    if not isinstance(function, FunctionType) or function.__dict__.get("__ingot_script__") is False:
        return function
    if not _is_users(function):
        return _rewrapped(function)
    try:
        return convert(function)
    except CannotConvert:
        return function  # what it decides by data is refused where it does


def _call_module(module: Module, *args: Any, **kwargs: Any) -> Any:
    before, mode.scripting = mode.scripting, True
    try:
        return module(*args, **kwargs)
    finally:
        mode.scripting = before


def _rewrapped(function: FunctionType) -> FunctionType:
    """A wrapper that a library's decorator (`no_grad`, a context manager) has made of a function of the user's, around
    that function with its control flow rewritten; any other function as it is."""
    wrapped = function.__dict__.get("__wrapped__")
    cells = function.__closure__ or ()
    places = [i for i, cell in enumerate(cells) if wrapped is not None and _content(cell) is wrapped]
    found = scripted(wrapped) if places else wrapped
    if found is wrapped:
        return function
    closure = tuple(CellType(found) if i in places else cell for i, cell in enumerate(cells))
    made = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _is_users(function: FunctionType) -> bool:
    file = function.__code__.co_filename
    return not (is_internal(file) or file.startswith(_LIBRARIES))


# ---------------------------------------------------------------------------------------------------------- builtins


def _int(value: Any = 0, *args: Any) -> Any:
    value = number(value)
    if isinstance(value, SymInt):
        return value
    return (
        mode.tracer.integer(EAGER.trunc(value.as_tensor()) if isinstance(value, SymFloat) else value.as_tensor())
        if (isinstance(value, Symbol))
        else int(value, *args)
    )


def _float(value: Any = 0.0) -> Any:
    value = number(value)
    if isinstance(value, SymInt):
        return value.as_float()
    if isinstance(value, SymBool):
        return mode.tracer.integer(value.as_tensor()).as_float()
    return value if isinstance(value, SymFloat) else float(value)


def _bool(value: Any = False) -> Any:
    return truth(value)


def _len(value: Any) -> Any:
    if isinstance(value, TensorBase) and value._array.ndim:
        return value.shape[0]  # type: ignore[attr-defined]
    if isinstance(value, SymList):
        return value.length()
    return value.count if isinstance(value, Items) else len(value)


def _abs(value: Any) -> Any:
    if isinstance(value, SymInt):
        return size(maximum(as_size(value), -as_size(value)))
    return abs(value)


def _any_all(value_if: bool) -> Callable[[Any], Any]:
    from . import runtime

    def find(values: Any) -> Any:
        joined = runtime.either if value_if else runtime.both
        items = list(values)
        return joined(*[lambda x=x: _bool(x) for x in items], lambda: not value_if) if items else not value_if

    return find


def _isinstance(value: Any, kinds: Any) -> bool:
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    for symbol, python in ((SymInt, int), (SymFloat, float), (SymBool, bool)):
        if isinstance(value, symbol):
            return python in wanted or (symbol is SymBool and int in wanted) or isinstance(value, kinds)
    return isinstance(value, kinds)


def _type(*args: Any, **kwargs: Any) -> Any:
    """`type`; of a run-time number, and of a list that may grow, Python's class."""
    for stand_in, python in ((SymInt, int), (SymFloat, float), (SymBool, bool), (SymList, list)):
        if len(args) == 1 and isinstance(args[0], stand_in):
            return python
    return type(*args, **kwargs)


def _list(value: Any = ()) -> Any:
    """`list`; of a length that the run decides, a list that has grown."""
    from . import runtime

    return SymList(value) if items_of(value) is None else runtime.list_comp(value, lambda item: item)


_BUILTIN: Final = type(len)
_REPLACED: Final[dict[Any, Callable[..., Any]]] = {
    int: _int, float: _float, bool: _bool, len: _len, abs: _abs, range: range_, enumerate: enumerate_, zip: zip_,
    reversed: reversed_, sum: sum_, isinstance: _isinstance, list: _list, type: _type,
    max: extreme(max), min: extreme(min),
    any: lambda values: _any_all(True)(values), all: lambda values: _any_all(False)(values),
    **MATH,
}  # fmt: skip
