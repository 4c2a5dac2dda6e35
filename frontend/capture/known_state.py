"""The modules and named tensors that functions reach: what a program's state is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from ..module import Module
from ..random import Generator, default_generator
from ..tensor_base import TensorBase

__all__ = ["known_state", "roots"]

Modules = dict[int, tuple[str, Module]]
Names = dict[int, tuple[str, Any]]


def known_state(functions: Iterable[Callable[..., Any]]) -> tuple[Modules, Names]:
    """Modules by id with their paths, and named tensors by id.

    What several functions reach is named by how the first of them does.
    """
    modules: Modules = {}
    names: Names = {}
    found = [root for function in functions for root in roots(function)]
    for prefix, root in found:
        if isinstance(root, Module):
            for path, module in root.named_modules(prefix=prefix):
                modules.setdefault(id(module), (path, module))
            for path, tensor in (*root.named_parameters(prefix=prefix), *root.named_buffers(prefix=prefix)):
                names.setdefault(id(tensor), (path, tensor))
    for prefix, root in found:
        if isinstance(root, TensorBase):
            names.setdefault(id(root), (prefix, root))
        elif isinstance(root, Generator):
            names.setdefault(id(root._key), (prefix if root is not default_generator else "rng", root._key))
        elif hasattr(root, "named_state"):
            known = {key: path for key, (path, _) in names.items()}
            for path, tensor in root.named_state(known):
                names.setdefault(id(tensor), (f"{prefix}.{path}", tensor))
    return modules, _owners(names)


def _owners(names: Names) -> Names:
    """Named tensors without the views whose memory has another name: those follow the tensor that they view."""
    views = Counter(id(tensor._base) for _, tensor in names.values())
    found = dict(names)
    for key, (path, tensor) in names.items():
        base = tensor._base
        if base is not None and (id(base) in names or views[id(base)] > 1):
            del found[key]
            found.setdefault(id(base), (f"{path}.base", base))
    return found


def roots(func: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """What a function reaches: itself if it is a module, `self`, its closure, the globals that it names; what a
    `functools.partial` holds, and the attributes of an object that can be called."""
    if isinstance(func, Module):
        yield "", func
        return
    if isinstance(func, partial):
        yield from roots(func.func)
        yield from ((f"args.{i}", value) for i, value in enumerate(func.args))
        yield from func.keywords.items()
        return
    owner = getattr(func, "__self__", None)
    if owner is not None:
        if isinstance(owner, Module):
            yield "", owner
        elif hasattr(owner, "__dict__"):
            yield from vars(owner).items()
    code = getattr(func, "__code__", None)
    if code is None:
        yield from getattr(func, "__dict__", {}).items() if owner is None else ()
        return
    cells = func.__closure__ or ()
    for key, cell in zip(code.co_freevars, cells, strict=True):
        try:
            yield key, cell.cell_contents
        except ValueError:  # a variable that is not bound yet
            continue
    for key in code.co_names:
        if key in func.__globals__:
            yield key, func.__globals__[key]
