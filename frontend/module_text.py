"""The printed form of a module tree, as PyTorch prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .module import Module

__all__ = ["module_text", "nested"]


def module_text(module: Module) -> str:
    """The module's class, its `extra_repr`, and its children indented below."""
    extra = module.extra_repr().split("\n") if module.extra_repr() else []
    children = [f"({name}): {_indent(repr(child))}" for name, child in module._modules.items()]
    return nested(type(module).__name__, extra, children)


def nested(name: str, extra: list[str], children: list[str]) -> str:
    """`Name(...)` on one line where there are no children, else one line for each.

    >>> print(nested("Sequential", [], ["(0): ReLU()"]))
    Sequential(
      (0): ReLU()
    )
    """
    if len(extra) == 1 and not children:
        return f"{name}({extra[0]})"
    lines = extra + children
    if not lines:
        return f"{name}()"
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)"


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
