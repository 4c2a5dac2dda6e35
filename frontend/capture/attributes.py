"""What a traced run assigns to the attributes of modules: found afterwards, and put back.

A buffer that the program replaces (`self.hidden = hidden`) is state that each call updates, as if it had been written
in place. What happens inside of a tensor is the tracer's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..tensor_base import TensorBase

__all__ = ["Attributes"]

_TABLES = ("_parameters", "_buffers")


class Attributes:
    """The attributes of modules as they were before a run.

    Args:
        modules: the modules, each with its path.
    """

    def __init__(self, modules: Iterable[tuple[str, Any]]) -> None:
        self._before = [
            (path, table, dict(table)) for path, module in modules for table in (vars(module), *_tables(module))
        ]

    def replaced(self) -> Iterator[tuple[str, Any, Any]]:
        """Attributes that hold another tensor than before, or hold one now: (path, before, now)."""
        for path, table, before in self._before:
            for key, now in table.items():
                old = before.get(key)
                if now is not old and (isinstance(now, TensorBase) or isinstance(old, TensorBase)):
                    yield f"{path}.{key}" if path else key, old, now

    def restore(self) -> None:
        """Give the modules the attributes back that they had."""
        for _, table, before in self._before:
            if table.keys() != before.keys() or any(table[key] is not value for key, value in before.items()):
                table.clear()
                table.update(before)


def _tables(module: Any) -> list[dict[str, Any]]:
    return [vars(module)[name] for name in _TABLES if name in vars(module)]
