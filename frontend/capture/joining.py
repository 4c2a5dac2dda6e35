"""Elements of lists brought into one tensor: what two lists of different lengths have in common.

Both sides of a branch, and all iterations of a loop, must leave lists of one structure behind. Where they differ in
the number of elements, the elements become one `Run`, whose size the run decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.dtypes import bool_, float64, int64
from ...ir.locations import Location, here
from ...ir.sizes import free_vars
from ...ir.types import TensorType
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase
from .run import Run, as_row, list_refused
from .structured import describe, leaf_kind, place_of

__all__ = ["check_alike", "note_kin", "run_of"]

_NUMBERS = {"int": int64, "float": float64, "bool": bool_}


def run_of(
    items: Sequence[Any],
    like: Sequence[Any] = (),
    outside: set[str] | None = None,
    line: Location | None = None,
) -> Run:
    """Elements as one run. It is known to share the memory of its elements, as the list does.

    Args:
        items: elements, and runs.
        like: others that stand in the same list at other times: all have one type.
        outside: the size variables that an element's sizes may have; None for any.
        line: where an element was appended.

    Raises:
        CaptureError: for elements of different types.
    """
    tracer, known = mode.tracer, [*items, *like]
    kind, type_ = _element_type(known[0], line)
    for other in known[1:]:
        _agree(kind, type_, known[0], other, line)
    names = {name for size in type_.sizes if not isinstance(size, int) for name in free_vars(size)}
    if outside is not None and not names <= outside:
        raise list_refused(
            "a list whose length the run decides gets elements of changing sizes",
            "elements of one size, which is known outside of the branch or loop",
            "pad the elements to one size, or join them with ingot.cat along the changing dimension",
            line or _location_of(known[0]),
            [f"{type_} at {_line_of(known[0])}"],
        )
    if len(items) == 1 and isinstance(items[0], Run):
        return items[0]
    parts = [item.tensor if isinstance(item, Run) else EAGER.unsqueeze(as_row(item), 0) for item in items]
    if not parts:
        return Run(EAGER.full((0, *type_.sizes), 0, type_.dtype), kind, line or _location_of(known[0]))
    found = Run(parts[0] if len(parts) == 1 else EAGER.cat(parts, dim=0), kind, line or _location_of(known[0]))
    note_kin(found.tensor, items)
    assert tracer is not None
    return found


def check_alike(first: Any, other: Any, line: Location | None) -> None:
    """Check that an element, appended at `line`, is of another one's type.

    Raises:
        CaptureError: when it is not.
    """
    kind, type_ = _element_type(first, line)
    _agree(kind, type_, first, other, line)


def note_kin(tensor: Any, items: Sequence[Any]) -> None:
    """Note that a tensor stands for elements that may be other tensors' memory, and perhaps one memory many times."""
    sharing, seen = mode.tracer.regions.sharing, set[int]()
    for item in items:
        owner = item.tensor if isinstance(item, Run) else item
        if not isinstance(owner, TensorBase):
            continue
        sources = sharing.sources(owner)
        if not seen.isdisjoint(map(id, sources)) or sharing.is_one_memory(owner):
            sharing.one_memory(tensor, here())
        seen.update(map(id, sources))
        for source in sources:
            sharing.perhaps(tensor, source, here())


def _element_type(item: Any, line: Location | None) -> tuple[str, TensorType]:
    tracer = mode.tracer
    if isinstance(item, Run):
        type_ = tracer.value_of(item.tensor).type
        return item.kind, type_.with_(sizes=type_.sizes[1:])
    kind = leaf_kind(item)
    if kind == "tensor":
        return kind, tracer.value_of(item).type
    if kind is None:
        raise list_refused(
            f"a list whose length the run decides gets an element of type {type(item).__name__}",
            "tensors or numbers of one type",
            "append to one list for each part",
            line,
            [describe(tracer, item)],
        )
    return kind, TensorType(_NUMBERS[kind], ())


def _agree(kind: str, type_: TensorType, first: Any, other: Any, line: Location | None) -> None:
    """Check that an element is of the type of the first."""
    tracer = mode.tracer
    its_kind, its_type = _element_type(other, line)
    sizes = its_type.sizes
    if (
        its_kind == kind
        and its_type.dtype is type_.dtype
        and len(sizes) == len(type_.sizes)
        and all(
            a == b or tracer.known("==", a, b) or tracer.taken_to_be_equal(a, b)
            for a, b in zip(type_.sizes, sizes, strict=True)
        )
    ):
        return
    both = (kind, type_, first), (its_kind, its_type, other)
    shown = [f"{type_ if kind == 'tensor' else kind} at {_line_of(item)}" for kind, type_, item in both]
    raise list_refused(
        "a list whose length the run decides gets elements of different types",
        "tensors of one type and size, or numbers of one type",
        "append to one list for each, or make them one type",
        _location_of(other) or line,
        shown,
    )


def _location_of(item: Any) -> Any:
    if isinstance(item, Run):
        return item.location
    tensor = item.as_tensor() if hasattr(item, "as_tensor") else item
    node = tensor._trace[1].node if isinstance(tensor, TensorBase) and mode.tracer.is_traced(tensor) else None
    return None if node is None else node.location


def _line_of(item: Any) -> str:
    return place_of(mode.tracer, item, 0, _location_of(item))
