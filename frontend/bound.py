"""An object that stands for a function, such as a compiled one, as a method: one such object for each instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["kept_with"]


def kept_with(instance: Any, name: str, original: Any, make: Callable[[Any], Any]) -> Any:
    """What stands for a function where it is a method of `instance`, made once and kept there.

    Args:
        name: of the attribute that keeps it.
        original: the function.
        make: from the bound method to what stands for it, which has the method as its `original`.
    """
    found = instance.__dict__.get(name)
    if found is None or found.original.__self__ is not instance:  # a copy has the original's attributes
        found = instance.__dict__[name] = make(original.__get__(instance, type(instance)))
    return found
