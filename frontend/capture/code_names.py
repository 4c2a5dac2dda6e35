"""What code names, and whose code it is: the user's, or a library's.

Names are what leads from a function to the objects that it reaches: the globals and attributes that its code looks up.
"""

from __future__ import annotations

import dis
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Final

from .watching import is_users

__all__ = ["Named", "is_installed", "is_users_module", "named", "names_in"]

_LIBRARIES: Final = {__name__.split(".")[0], "numpy", "ml_dtypes", "cupy", "_pytest", "pytest"}
_SITE: Final = tuple({sysconfig.get_path(key) for key in ("purelib", "platlib")})
_REFLECTION: Final = frozenset(
    ("getattr", "hasattr", "setattr", "vars", "__dict__", "locals", "eval", "exec", "attrgetter")
)


@lru_cache(maxsize=4096)
def is_users_module(name: str | None) -> bool:
    """Whether a module's code is the user's, and so may hold state of his.

    >>> is_users_module("numpy.linalg"), is_users_module("json.decoder"), is_users_module("model.layers")
    (False, False, True)
    """
    root = (name or "").partition(".")[0]
    if root in _LIBRARIES:
        return False
    if root in sys.stdlib_module_names and root != "__main__":  # one of the user's may have such a name, too
        file = getattr(sys.modules.get(name or ""), "__file__", None)
        return file is not None and is_users(file)
    return True


@lru_cache(maxsize=4096)
def is_installed(name: str | None) -> bool:
    """Whether a module is of a package that was installed, rather than of the program at hand."""
    root = sys.modules.get((name or "").partition(".")[0])
    return str(getattr(root, "__file__", None) or "").startswith(_SITE)


@lru_cache(maxsize=4096)
def names_in(code: CodeType) -> tuple[str, ...]:
    """The names of globals and attributes that code looks up, the code written inside of it included."""
    inner = [name for constant in code.co_consts if isinstance(constant, CodeType) for name in names_in(constant)]
    return tuple(dict.fromkeys((*code.co_names, *inner)))


@dataclass(frozen=True, slots=True)
class Named:
    """What code looks up, the code written inside of it included.

    Attributes:
        attributes: the names of attributes.
        globals: the names of globals, and of the modules that it imports.
        reflects: whether it looks attributes up by computed names.
    """

    attributes: frozenset[str]
    globals: frozenset[str]
    reflects: bool


@lru_cache(maxsize=4096)
def named(code: CodeType) -> Named:
    """What code looks up, attributes and globals told apart, which takes longer than `names_in`."""
    attributes: set[str] = set()
    names: set[str] = set()
    for instruction in dis.get_instructions(code):
        if any(part in instruction.opname for part in ("ATTR", "METHOD", "IMPORT_FROM")):
            attributes.add(instruction.argval)
        elif "GLOBAL" in instruction.opname or ("NAME" in instruction.opname and instruction.opname != "KW_NAMES"):
            names.add(instruction.argval)
    inner = [named(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    reflects = bool((attributes | names) & _REFLECTION) or any(x.reflects for x in inner)
    return Named(
        frozenset(attributes).union(*(x.attributes for x in inner)),
        frozenset(names).union(*(x.globals for x in inner)),
        reflects,
    )
