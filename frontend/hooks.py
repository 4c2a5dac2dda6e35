"""Functions that run before or after a module's `forward`, and the handles that take them away again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

__all__ = ["Hooks", "RemovableHandle"]

_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away; so does leaving a `with` block.

    >>> hooks = Hooks()
    >>> with hooks.add(print):
    ...     len(hooks)
    1
    >>> len(hooks)
    0
    """

    __slots__ = ("_hooks", "id")

    def __init__(self, hooks: Hooks, number: int) -> None:
        self._hooks = hooks
        self.id = number

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks(dict[int, tuple[Callable[..., Any], bool]]):
    """Hooks by number, in the order they run; each with whether it is given the keyword arguments too."""

    def add(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """Add a hook behind the others, or before them."""
        number = next(_ids)
        entry = {number: (hook, with_kwargs)}
        others = dict(self) if prepend else {}
        if prepend:
            self.clear()
        self.update(entry | others)
        return RemovableHandle(self, number)
