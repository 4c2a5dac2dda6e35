"""The arguments of a compiled function's call: their structure, the tensors in them, and how two calls differ.

Tensors and arrays are what varies. Numbers, strings and the like are constants of a variant; modules, optimizers and
other objects are known by identity.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from ..ir.arrays import is_array
from .compile_reach import PLAIN
from .module import Module
from .tensor_base import TENSORS, TensorBase

__all__ = [
    "Arguments",
    "Leaf",
    "Shown",
    "arguments_of",
    "differences",
    "entries_of",
    "is_changed",
    "names_of",
    "rebuilt",
]

TENSOR = "tensor"


class Leaf(NamedTuple):
    """What a variant knows of a tensor argument."""

    dtype: Any
    shape: tuple[int, ...]
    with_grad: bool
    has_gradient: bool


@dataclass(slots=True)
class Arguments:
    """A call's arguments.

    Attributes:
        structure: everything about them but the tensors, hashable.
        leaves: the tensors and arrays, in order.
        objects: what is known by identity, in order.
        facts: of each leaf.
        same: for each leaf, the first leaf that is the same object.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    structure: Any
    leaves: list[Any]
    objects: list[Any]
    facts: tuple[Leaf, ...]
    same: tuple[int, ...]


def arguments_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """Take a call's arguments apart."""
    leaves: list[Any] = []
    objects: list[Any] = []
    structure: Any
    if kwargs or not TENSORS.issuperset([x.__class__ for x in args]):
        structure = (
            tuple([_structure(x, leaves, objects) for x in args]),
            tuple([(key, _structure(x, leaves, objects)) for key, x in kwargs.items()]),
        )
    else:
        leaves.extend(args)
        structure = ((TENSOR,) * len(leaves), ())
    same = tuple(range(len(leaves)))
    if len(leaves) > 1 and len(set(map(id, leaves))) != len(leaves):
        first: dict[int, int] = {}
        same = tuple([first.setdefault(id(x), i) for i, x in enumerate(leaves)])
    return Arguments(args, kwargs, structure, leaves, objects, tuple([_facts(x) for x in leaves]), same)


_leaf: Final[Callable[[Any], Leaf]] = partial(
    tuple.__new__, Leaf
)  # half the time of `Leaf(...)`, which each call takes for each tensor


def _facts(leaf: Any) -> Leaf:
    kind: type = leaf.__class__
    if kind in TENSORS or isinstance(leaf, TensorBase):
        array = leaf._array
        if leaf._node is None:
            return _leaf((array.dtype, array.shape, False, False))
        return _leaf((array.dtype, array.shape, True, leaf._grad is not None))
    return Leaf(leaf.dtype, leaf.shape, False, False)


def _structure(value: Any, leaves: list[Any], objects: list[Any]) -> Any:
    if isinstance(value, TensorBase) or is_array(value):
        leaves.append(value)
        return TENSOR
    if isinstance(value, PLAIN):
        return (type(value).__name__, repr(value))
    if isinstance(value, (tuple, list)):
        return (type(value), tuple([_structure(x, leaves, objects) for x in value]))
    if isinstance(value, dict):
        return (type(value), tuple([(key, _structure(x, leaves, objects)) for key, x in value.items()]))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(f.name, _structure(getattr(value, f.name), leaves, objects)) for f in dataclasses.fields(value)]
        return (type(value), tuple(fields))
    if isinstance(value, slice):
        parts = tuple([_structure(x, leaves, objects) for x in (value.start, value.stop, value.step)])
        return (slice, parts)
    objects.append(value)
    return ("object", id(value))


def rebuilt(value: Any, leaf: Callable[[Any], Any], made: Callable[[Any], None] = lambda container: None) -> Any:
    """A copy of a nested value with every tensor or array replaced.

    Args:
        made: is called with every list, dict and dataclass in it.
    """
    if isinstance(value, TensorBase) or is_array(value):
        return leaf(value)
    if isinstance(value, slice):
        return slice(*[rebuilt(x, leaf, made) for x in (value.start, value.stop, value.step)])
    found: Any
    if isinstance(value, (tuple, list)):
        items = [rebuilt(x, leaf, made) for x in value]
        found = type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    elif isinstance(value, dict):
        found = {} if type(value) is dict else copy.copy(value)  # another kind of dict has more to it than its entries
        for key, x in value.items():
            found[key] = rebuilt(x, leaf, made)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: rebuilt(getattr(value, f.name), leaf, made) for f in dataclasses.fields(value) if f.init}
        found = dataclasses.replace(value, **changed)
    else:
        return value
    if not isinstance(found, tuple):
        made(found)
    return found


def entries_of(container: Any) -> list[tuple[Any, Any]]:
    """What a list, dict or dataclass holds."""
    if isinstance(container, dict):
        return list(container.items())
    if isinstance(container, list):
        return list(enumerate(container))
    return [(f.name, getattr(container, f.name, None)) for f in dataclasses.fields(container)]


def is_changed(container: Any, before: list[tuple[Any, Any]]) -> bool:
    """Whether a container holds something else than `entries_of` gave."""
    now = entries_of(container)
    return len(now) != len(before) or any(a[0] != b[0] or a[1] is not b[1] for a, b in zip(now, before, strict=True))


def walk_tree(path: str, value: Any, visit: Callable[[str, Any], None]) -> None:
    """Call `visit` with every part of a nested value that is not a container, and its path."""
    if isinstance(value, (tuple, list)):
        names = getattr(value, "_fields", None)
        for i, x in enumerate(value):
            walk_tree(f"{path}.{names[i]}" if names else f"{path}[{i}]", x, visit)
    elif isinstance(value, dict):
        for key, x in value.items():
            walk_tree(f"{path}[{key!r}]", x, visit)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for f in dataclasses.fields(value):
            walk_tree(f"{path}.{f.name}", getattr(value, f.name), visit)
    elif isinstance(value, slice):
        for name in ("start", "stop", "step"):
            walk_tree(f"{path}.{name}", getattr(value, name), visit)
    else:
        visit(path, value)


def parts_of(func: Any, given: Arguments) -> list[tuple[str, Any]]:
    """The parts of a call's arguments, each with its path: `x`, `batch[0]`."""
    target = func.forward if isinstance(func, Module) else func
    named: list[tuple[str, Any]] = []
    try:
        signature = inspect.signature(target)
        for key, value in signature.bind(*given.args, **given.kwargs).arguments.items():
            kind = signature.parameters[key].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                named.extend(value.items())
            else:
                named.append((key, value))
    except (TypeError, ValueError):  # the call itself will say so, or the function has no signature
        named = [(f"args[{i}]", x) for i, x in enumerate(given.args)] + list(given.kwargs.items())
    found: list[tuple[str, Any]] = []
    for name, value in named:
        walk_tree(name, value, lambda path, part: found.append((path, part)))
    return found


def names_of(func: Any, given: Arguments) -> tuple[list[str], list[str]]:
    """The paths of a call's leaves and objects, in their order."""
    parts = parts_of(func, given)
    paths: dict[int, list[str]] = {}
    for path, part in parts:
        paths.setdefault(id(part), []).append(path)

    def next_path(value: Any, i: int) -> str:
        found = paths.get(id(value)) or [f"argument {i}"]
        return found.pop(0) if len(found) > 1 else found[0]

    return (
        [next_path(x, i) for i, x in enumerate(given.leaves)],
        [next_path(x, i) for i, x in enumerate(given.objects)],
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """What is kept of a call's arguments to tell later how another call differs: path and words of each part."""

    parts: tuple[tuple[str, str], ...]

    @staticmethod
    def of(func: Any, given: Arguments) -> Shown:
        return Shown(tuple([(path, _words(part)) for path, part in parts_of(func, given)]))


def _words(value: Any) -> str:
    if isinstance(value, TensorBase) or is_array(value):
        return "a tensor"
    if isinstance(value, PLAIN):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    return f"the {type(value).__name__} at {id(value):#x}"


def differences(
    before: tuple[Shown, Sequence[str], tuple[Leaf, ...], tuple[int, ...]],
    now: tuple[Shown, Sequence[str], tuple[Leaf, ...], tuple[int, ...]],
) -> list[str]:
    """How a call's arguments differ from those of an earlier one, in words."""
    shown = _differences_of_parts(before[0].parts, now[0].parts)
    if shown:
        return shown
    found: list[str] = []
    for path, a, b in zip(now[1], before[2], now[2], strict=True):
        found += [f"argument '{path}': {words}" for words in _differences_of_leaves(a, b)]
    if before[3] != now[3]:
        found.append("other arguments are the same tensor")
    return found


def _differences_of_parts(before: tuple[tuple[str, str], ...], now: tuple[tuple[str, str], ...]) -> list[str]:
    old, new = dict(before), dict(now)
    found = []
    for path, words in now:
        if path not in old:
            found.append(f"argument '{path}' was not given before")
        elif old[path] != words:
            found.append(f"argument '{path}' was {old[path]}, is now {words}")
    return found + [f"argument '{path}' is not given any more" for path in old if path not in new]


def _differences_of_leaves(a: Leaf, b: Leaf) -> list[str]:
    found = []
    if a.dtype != b.dtype:
        found.append(f"dtype was {np.dtype(a.dtype).name}, now {np.dtype(b.dtype).name}")
    if len(a.shape) != len(b.shape):
        found.append(f"had {len(a.shape)} dimensions, now {len(b.shape)}")
    else:
        sizes = enumerate(zip(a.shape, b.shape, strict=True))
        found += [f"size of dimension {dim} was {x}, now {y}" for dim, (x, y) in sizes if x != y]
    if a.with_grad != b.with_grad:
        found.append(
            "required a gradient, now it does not" if a.with_grad else "did not require a gradient, now it does"
        )
    elif a.has_gradient != b.has_gradient:
        found.append("had a gradient, now it has none" if a.has_gradient else "had no gradient, now it has one")
    return found
