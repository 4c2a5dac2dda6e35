"""Finding the change that breaks a graph: bisection over the number of changes that a pipeline may make."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

from ..ir.graph import Graph
from .instruments import Limit
from .manager import run_pipeline

__all__ = ["first_wrong_change"]


def first_wrong_change(graph: Graph, pipeline: str, is_wrong: Callable[[Graph], bool]) -> str | None:
    """Which of a pipeline's changes makes a graph wrong.

    Args:
        graph: the graph before the pipeline; it stays as it is.
        is_wrong: whether a graph shows the fault; called with changed copies, about log2(changes) times.

    Returns:
        The first change without which the fault is gone, in words, or None when the whole pipeline shows none.
    """

    def limited(changes: int | None) -> tuple[bool, Limit]:
        limit = Limit(changes, to=StringIO())
        copy = graph.copy()
        run_pipeline(copy, pipeline, [limit])
        return is_wrong(copy), limit

    wrong, every = limited(None)
    if not wrong:
        return None
    good, bad = -1, every.done  # with `bad` changes the fault shows, with `good` ones it does not
    while bad - good > 1:
        middle = (good + bad) // 2
        if limited(middle)[0]:
            bad = middle
        else:
            good = middle
    return limited(bad)[1].last if bad else "the graph shows the fault before any change"
