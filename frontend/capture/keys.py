"""The names of a program's state: one for each tensor, the same in all entry points."""

from __future__ import annotations

from typing import Any

__all__ = ["Keys"]


class Keys:
    """Which name is whose.

    Attributes:
        changed: the names of tensors that some entry point changes.
        gradients: the tensors whose `.grad` an entry point leaves behind, by `id`.
        appeared: names that an entry point has set to a tensor and that stood for none: `crossings.Appeared`, by place.
        lost: state that an entry point has replaced by what is none: the path, the entry point and the line.
        read: the `id`s of tensors that entry points have found and used.
        written: the lines that change tensors in place, by the `id`s of these.
        moved: the `id`s of tensors in whose place an entry point puts others: these may get any of their names.
        parted: what names stood for one tensor and do not after an entry point: the error, and the tensor.
        joined: what names stand for one tensor after an entry point and did not before: `Attributes.joined`.
    """

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.gradients: dict[int, Any] = {}
        self.appeared: dict[tuple[int, Any], Any] = {}
        self.lost: dict[str, tuple[str, str, Any]] = {}
        self.read: set[int] = set()
        self.written: dict[int, Any] = {}
        self.moved: set[int] = set()
        self.parted: list[tuple[Exception, Any]] = []
        self.joined: list[tuple[str, Any, Any, str, Any]] = []
        self._shared: dict[int, Any] = {}
        self._keys: dict[int, tuple[str, Any]] = {}  # with the tensor, so that its id stays its own
        self._owners: dict[str, int] = {}
        self._gradient_keys: dict[int, str] = {}
        self._anonymous = 0

    def claim(self, tensor: Any, wanted: str) -> str:
        """A tensor's name: `wanted`, unless it has one or another tensor has that.

        >>> keys, a, b = Keys(), object(), object()
        >>> keys.claim(a, "w"), keys.claim(b, "w"), keys.claim(a, "v")
        ('w', 'w.1', 'w')
        """
        known = self._keys.get(id(tensor))
        if known is not None:
            return known[0]
        key, number = wanted, 1
        while key in self._owners:
            key, number = f"{wanted}.{number}", number + 1
        self._owners[key] = id(tensor)
        self._keys[id(tensor)] = (key, tensor)
        return key

    def claim_anonymous(self, tensor: Any, path: str = "") -> str:
        """The name of a tensor that is no known state: the path that leads to it, where there is one."""
        if path:
            return self.claim(tensor, path)
        if id(tensor) not in self._keys:
            self._anonymous += 1
        return self.claim(tensor, f"state.{self._anonymous - 1}")

    def claim_gradient(self, owner: Any, gradient: Any) -> str:
        """The name of a tensor's `.grad`, whichever tensor stands there."""
        key = self._gradient_keys.get(id(owner))
        if key is None:
            key = self._gradient_keys[id(owner)] = self.claim(gradient, f"{self._keys[id(owner)][0]}.grad")
        self._keys[id(gradient)] = (key, gradient)
        return key

    def share(self, gradient: Any) -> None:
        """Let entry points have a gradient in common: zeros in the place of one that is not there at first."""
        self._shared[id(gradient)] = gradient

    def shares(self, gradient: Any) -> bool:
        """Whether it is a gradient that entry points have in common."""
        return id(gradient) in self._shared

    def release(self, tensor: Any) -> None:
        """Give a name back: the tensor is no state after all."""
        key, _ = self._keys.pop(id(tensor), ("", None))
        self._owners.pop(key, None)

    def gradient_names(self) -> set[str]:
        """The names of gradients that entry points have in common."""
        return {self._keys[found][0] for found in self._shared if found in self._keys}
