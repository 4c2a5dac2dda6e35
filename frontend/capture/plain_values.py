"""Plain Python values: which ones a capture freezes, how they are shown, and how they are reached without running code.

Reading must have no effects: no property, no `__getattr__` and no `__eq__` of the user's is called. What only such code
could tell is not found.
"""

from __future__ import annotations

import enum
import sys
import types
import zlib
from typing import Any, Final

import numpy as np

from ...ir.dtypes import DType
from ..devices import device

__all__ = ["MISSING", "attribute", "element", "is_fixed", "is_plain", "show", "shown_elements"]

MISSING: Final = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
_SCALARS: Final = (bool, int, float, complex, str, bytes, DType, device, np.generic, enum.Enum)
_BASIC: Final = (bool, int, float, complex, str, bytes)
_CONTAINERS: Final = (dict, tuple, list, set, frozenset)
_MOST: Final = 1000  # elements of a container that is taken for a value
_FEW: Final = 8  # elements of a tensor that are worth showing
_SHOWN: Final = 120  # characters of a value
_TABLES: Final = ("_parameters", "_buffers", "_modules")
_FIXED: Final = frozenset({*sys.stdlib_module_names, "numpy", "ingot"} - {"__main__"})


def is_plain(value: Any, most: int = _MOST) -> bool:
    """Whether a value is a number, a string, a dtype, None, or a container of such.

    >>> is_plain((1, "a", None)), is_plain([object()])
    (True, False)
    """
    kind = type(value)
    if value is None or issubclass(kind, _SCALARS):
        return True
    if kind in (slice, range):
        return all(is_plain(part) for part in (value.start, value.stop, value.step))
    base = next((base for base in _CONTAINERS if issubclass(kind, base)), None)
    if base is None or any(getattr(kind, name) is not getattr(base, name) for name in ("__len__", "__iter__")):
        return False
    if len(value) > most:
        return False
    parts = [part for item in dict.items(value) for part in item] if base is dict else value
    return all(is_plain(part, most // 10) for part in parts)


def show(value: Any) -> str:
    """A plain value as text: the same for equal values, and never long.

    >>> show({"b": 0.5}), show({2, 1})
    ("{'b': 0.5}", '{1, 2}')
    """
    text = _text(value)
    if len(text) <= _SHOWN:
        return text
    # The checksum tells values apart whose difference is not shown.
    return f"{text[: _SHOWN - 20]}... ({len(text)} characters, {zlib.crc32(text.encode(errors='replace')):08x})"


def shown_elements(tensor: Any) -> str:
    """A tensor's elements as text, where they are few."""
    array = tensor._array
    return show(array.tolist()) if array.size <= _FEW and array.dtype.kind in "biuf" else ""


def _text(value: Any) -> str:
    kind = type(value)
    if issubclass(kind, enum.Enum):
        return f"{kind.__name__}.{value.name}"
    if issubclass(kind, np.generic):
        return repr(value.item())
    if issubclass(kind, DType):
        return str(value.name)
    if issubclass(kind, dict):
        return "{" + ", ".join(f"{_text(k)}: {_text(v)}" for k, v in dict.items(value)) + "}"
    if issubclass(kind, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_text, value))) + "}" if value else "set()"
    if issubclass(kind, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if issubclass(kind, tuple):
        return "(" + ", ".join(map(_text, value)) + (",)" if len(value) == 1 else ")")
    if issubclass(kind, device):
        return str(value)
    # A subclass of the user's has a `__repr__` of its own.
    base = next((base for base in _BASIC if issubclass(kind, base)), None)
    return repr(value) if base is None else base.__repr__(value)


def is_fixed(value: Any) -> bool:
    """Whether a value is a module of Python's own, of NumPy or of Ingot: what stands in it does not change."""
    return type(value) is types.ModuleType and value.__name__.partition(".")[0] in _FIXED


def attribute(owner: Any, name: str) -> Any:
    """An attribute as it stands in the object, its class or a module's tables; MISSING where code computes it."""
    kind = type(owner)
    if kind is types.ModuleType:
        return vars(owner).get(name, MISSING)
    mro = owner.__mro__ if issubclass(kind, type) else kind.__mro__
    inherited = next((vars(base)[name] for base in mro if name in vars(base)), MISSING)
    if issubclass(kind, type):
        return MISSING if hasattr(type(inherited), "__get__") else inherited
    if type(inherited) is types.MemberDescriptorType or type(inherited).__name__ == "_tuplegetter":
        try:
            return inherited.__get__(owner, kind)
        except AttributeError:  # a slot that is not filled
            return MISSING
    if hasattr(type(inherited), "__set__"):
        return MISSING  # a property, or the like
    own = _dict_of(owner)
    if name in own:
        return own[name]
    for table in _TABLES:
        found = own.get(table)
        if isinstance(found, dict) and name in found:
            return found[name]
    return MISSING if hasattr(type(inherited), "__get__") else inherited


def _dict_of(owner: Any) -> dict[str, Any]:
    """An object's own table of attributes, past any `__getattribute__`; an empty one where it has slots alone."""
    try:
        found = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def element(owner: Any, key: Any) -> Any:
    """An element of a dict, list or tuple."""
    kind = type(owner)
    if issubclass(kind, dict):
        return dict.get(owner, key, MISSING)
    if kind in (list, tuple) and type(key) is int and -len(owner) <= key < len(owner):
        return owner[key]
    return MISSING
