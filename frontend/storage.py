"""Memory with an identity and a version: what views share, and what in-place operations change."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Storage", "storage_of"]


class Storage:
    """One piece of memory. `version` counts in-place changes; `aliases` are the views on it that are alive; `exposed`
    tells that NumPy has been given the memory too, so that it may change without being counted.

    A tensor gets its storage when something first asks for it, so that plain arithmetic does not pay for it.
    """

    __slots__ = ("_prune_at", "_views", "exposed", "version")

    def __init__(self) -> None:
        self.version = 0
        self.exposed = False
        self._views: list[weakref.ref[Tensor]] = []
        self._prune_at = 16

    def add_view(self, view: Tensor) -> None:
        """Remember a view, weakly."""
        self._views.append(weakref.ref(view))
        if len(self._views) > self._prune_at:
            self._views = [ref for ref in self._views if ref() is not None]
            self._prune_at = max(16, 2 * len(self._views))

    def forget_views(self, views: set[int]) -> None:
        """Leave out the views with these `id`s."""
        self._views = [ref for ref in self._views if (view := ref()) is not None and id(view) not in views]

    @property
    def aliases(self) -> list[Tensor]:
        """The live views."""
        return [view for ref in self._views if (view := ref()) is not None]


def storage_of(tensor: Tensor) -> Storage:
    """The tensor's storage, made on first use."""
    found = tensor._storage
    if found is None:
        found = tensor._storage = Storage()
    return found
