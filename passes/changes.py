"""Changes under watch: a pass asks before each change, and tells of the rules that it refuses.

`permit` is how `limit` stops a pipeline after so many changes, whichever pass makes them, and `refused` is how
`why` learns the reasons. Without a watcher both cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from ..ir.graph import Node

__all__ = ["Watch", "permit", "refused", "watched"]


@dataclass(frozen=True, slots=True)
class Watch:
    """Whom to ask and to tell.

    Attributes:
        permits: whether a change may be made; called with what it is and the node that it changes.
        refused: told that a rule was refused at a node, and why.
    """

    permits: Callable[[str, Node], bool] | None = None
    refused: Callable[[str, Node, str], None] | None = None


_NOBODY: Final = Watch()
_watch: ContextVar[Watch] = ContextVar("watch", default=_NOBODY)


def permit(what: str, node: Node) -> bool:
    """Whether the running pass may make a change.

    Args:
        what: the change in a few words, such as `"dce"` or the name of a rule.
        node: the node that will change or go.
    """
    permits = _watch.get().permits
    return permits is None or permits(what, node)


def refused(rule: str, node: Node, reason: str) -> None:
    """Tell whoever asks for reasons that a rule matched at a node and was not applied."""
    tell = _watch.get().refused
    if tell is not None:
        tell(rule, node, reason)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Let `watch` be asked and told within the `with` block."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)
