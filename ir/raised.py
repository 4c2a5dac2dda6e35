"""The exceptions that a program raises at its run: of the built-in class that its source names, by a closed table.

What lives here: the table, and what a Python exception becomes. `prim::Assert` keeps a name of the table as data;
nothing is ever looked up among Python's names.
"""

from __future__ import annotations

from typing import Any, Final

from .errors import AssertError

__all__ = ["BUILT_IN", "RAISED", "kept_exception"]

BUILT_IN: Final[dict[str, type[Exception]]] = {
    kind.__name__: kind
    for kind in (
        ArithmeticError, AssertionError, AttributeError, EOFError, Exception, FloatingPointError, IndexError, KeyError,
        LookupError, MemoryError, NameError, NotImplementedError, OSError, OverflowError, RuntimeError, TimeoutError,
        TypeError, UnboundLocalError, UnicodeError, ValueError, ZeroDivisionError,
    )
}  # fmt: skip
"""The built-in exceptions that a program can raise, by name."""


def _raised(kind: type[Exception]) -> Any:
    """`AssertError` that is the built-in class as well, so that an `except` of that class catches it."""
    if issubclass(AssertError, kind):
        return AssertError
    text = f"The program raises {kind.__name__}; the message is the program's own."
    return type(f"Raised{kind.__name__}", (AssertError, kind), {"__doc__": text, "__module__": __name__})


RAISED: Final[dict[str, type[AssertError]]] = {name: _raised(kind) for name, kind in BUILT_IN.items()}
"""What is raised for each: an `AssertError` that is of the built-in class, too."""

# Each is an attribute of this module, as a class that is written down is: for pickle, and for emitted source.
globals().update({kind.__name__: kind for kind in RAISED.values()})


def kept_exception(error: Exception) -> tuple[str, str]:
    """An exception as data: the name of its nearest class in the table, and its message.

    The message of a class that is not in the table begins with the name of the class.

    >>> class TooLarge(ValueError): pass
    >>> kept_exception(KeyError("mean")), kept_exception(TooLarge("9 > 3")), kept_exception(TooLarge())
    (('KeyError', 'mean'), ('ValueError', 'TooLarge: 9 > 3'), ('ValueError', 'TooLarge'))
    """
    kind = type(error)
    name = next(base.__name__ for base in kind.__mro__ if BUILT_IN.get(base.__name__) is base)
    only = error.args[0] if len(error.args) == 1 else None
    text = only if isinstance(only, str) else str(error)
    if BUILT_IN[name] is kind:
        return name, text
    return name, f"{kind.__name__}: {text}" if text else kind.__name__
