"""Dynamic sizes that a capture has fixed all the same: found, and refused unless the user allows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...ir.errors import CaptureError
from ...ir.graph import Assumption, Graph
from ...ir.sizes import SizeContext, bounds, solve
from .dims import DynamicSizes

__all__ = ["fixed_sizes", "refuse_specialised"]


def fixed_sizes(graph: Graph, hints: Mapping[str, int] | None = None) -> dict[str, tuple[int, Assumption]]:
    """The size variables of a graph's inputs that can have one value alone, each with the assumption that did it.

    Args:
        hints: values that they have in an example.

    >>> from ingot.ir.parser import parse
    >>> graph = parse('''
    ... graph @f(%x : f32[B]) -> (f32[B]):
    ...   assume 2*B == 8
    ...   return (%x)''')
    >>> [(name, value) for name, (value, _) in fixed_sizes(graph).items()]
    [('B', 4)]
    """
    if not graph.assumptions:
        return {}
    open_sizes = {name: size for name, size in graph.sizes.items() if len(set(bounds(size))) > 1}
    found: dict[str, tuple[int, Assumption]] = {}
    context = SizeContext()
    for assumption in graph.assumptions:
        context.add(assumption.relation)
        for name, size in list(open_sizes.items()):
            candidates = {*_candidates(assumption), *([hints[name]] if hints and name in hints else [])}
            value = next((n for n in sorted(candidates) if context.known("==", size, n)), None)
            if value is not None:
                found[name] = value, assumption
                del open_sizes[name]
    return found


def _candidates(assumption: Assumption) -> Iterator[int]:
    """Values that a variable may be fixed to by an assumption."""
    yield from (0, 1)
    left, right = assumption.relation.left, assumption.relation.right
    for size, value in ((left, right), (right, left)):
        if isinstance(value, int):
            yield value
            solved = None if isinstance(size, int) else solve(size, value)
            if solved is not None:
                yield solved[1]


def refuse_specialised(tracer: Any, sizes: DynamicSizes, allowed: Sequence[str] | bool) -> None:
    """Refuse a program that takes one value alone of a size that was to be dynamic.

    Raises:
        CaptureError: naming the line that fixed it.
    """
    fixable = sizes.fixable(allowed)
    for name, (value, assumption) in fixed_sizes(tracer.graph, sizes.hints).items():
        if name in fixable:
            continue
        location = assumption.location
        reasons = [e.what for e in tracer.ledger if e.location == location and e.kind in ("size", "assumption")]
        raise CaptureError(
            f"the dynamic size '{name}' was fixed to {value}",
            expected=f"a program that takes other values of {name} as well",
            found="; ".join(dict.fromkeys(reasons)) or str(assumption.relation),
            location=location,
            context=tracer.context,
            advice="keep the size as it is (x.shape[0], -1) instead of making it a plain number; script_branches=True "
            "captures a loop over range(size); an example of size 1 may be taken for one that broadcasts; "
            f'or allow it: specialize_ok=("{name}",)',
        )
