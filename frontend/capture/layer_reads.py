"""Which options a layer of Ingot's own reads when it is called: the attributes of `self` in the bytecode of `forward`
and of the methods that it calls."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType

from ...ir.locations import is_internal
from .loads import scan

__all__ = ["layer_reads"]


@lru_cache(maxsize=1024)
def layer_reads(layer: type) -> tuple[str, ...]:
    """The names of the attributes, in the order of the code; none for a class that the user wrote from scratch.

    >>> import ingot
    >>> layer_reads(ingot.nn.Dropout)
    ('p', 'training', 'inplace')
    """
    names: dict[str, None] = {}
    left = list(_forwards(layer))
    seen = set()
    while left:
        code = left.pop(0)
        if id(code) in seen:
            continue
        seen.add(id(code))
        for name in _own_names(code):
            found = getattr(layer, name, None)
            function = found.fget if isinstance(found, property) else found
            if not isinstance(function, FunctionType):
                names[name] = None
            elif is_internal(function.__code__.co_filename):
                left.append(function.__code__)
    return tuple(names)


def _forwards(layer: type) -> Iterator[CodeType]:
    """`forward` of the package's classes that the layer derives from: a user's may call it."""
    for base in layer.__mro__:
        forward = vars(base).get("forward")
        if isinstance(forward, FunctionType) and is_internal(forward.__code__.co_filename):
            yield forward.__code__


def _own_names(code: CodeType) -> Iterator[str]:
    own = code.co_varnames[0] if code.co_argcount else ""
    for chains in scan(code).values():
        for chain in chains:
            if chain.root == own and chain.scope == "local" and chain.steps and chain.steps[0].is_attribute:
                yield chain.steps[0].key
