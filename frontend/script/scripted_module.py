"""Scripted modules: what `jit.script` makes of a module, by itself and as a part of another one.

Parameters, buffers, modes and attributes are those of the original, wherever they are reached from.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from ..module import Module
from .scripted import Scripted

__all__ = ["ScriptedModule", "ScriptedPart"]

_OWN: Final = {"original", "example_inputs", "example_kwarg_inputs", "_numbers", "_compiled", "_first", "_part"}
_TABLES: Final = ("_parameters", "_buffers", "_modules", "_non_persistent")
_GIVE_THE_MODULE: Final = {
    "apply", "bfloat16", "cpu", "cuda", "double", "eval", "float", "half", "requires_grad_", "to", "train",
}  # fmt: skip


class ScriptedModule(Scripted):
    """A module with its control flow captured. Made by `jit.script`; called like the original.

    What it does not have itself (`parameters()`, `state_dict()`, `eval()`, attributes) is the original's. As an
    attribute of another module, or in a container, it is a part of that one, as the original would be.

    >>> import ingot
    >>> scripted = ingot.jit.script(ingot.nn.Linear(2, 1))
    >>> model = ingot.nn.Sequential(scripted, ingot.nn.ReLU())
    >>> [name for name, _ in model.named_parameters()], scripted.eval() is scripted
    (['0.weight', '0.bias'], True)
    """

    def as_module(self) -> ScriptedPart:
        """The module that it is as a part of another one."""
        found = self.__dict__.get("_part")
        if found is None:
            found = self.__dict__["_part"] = ScriptedPart(self)
        assert isinstance(found, ScriptedPart)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or name.startswith("__"):
            object.__setattr__(self, name, value)
        else:
            setattr(self.original, name, value)

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        return self._giving_this(found) if name in _GIVE_THE_MODULE else found

    def _giving_this(self, change: Any) -> Any:
        @functools.wraps(change)
        def changed(*args: Any, **kwargs: Any) -> Any:
            change(*args, **kwargs)
            return self

        return changed


class ScriptedPart(Module):
    """A scripted module as a part of another one: over the tables of the original, so that both are the same state.

    What it does not have as a module (`graph`, `code`, `save`, ...) is the scripted module's.
    """

    def __init__(self, scripted: ScriptedModule) -> None:
        super().__init__()
        own = self.__dict__
        own.update({table: getattr(scripted.original, table) for table in _TABLES})
        own["_scripted"] = scripted
        del own["training"]

    @property
    def scripted(self) -> ScriptedModule:
        """The scripted module."""
        found = self.__dict__["_scripted"]
        assert isinstance(found, ScriptedModule)
        return found

    @property
    def training(self) -> bool:
        """The original's mode."""
        return self.scripted.original.training if "_scripted" in self.__dict__ else True

    @training.setter
    def training(self, value: bool) -> None:
        self.scripted.original.training = value

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the scripted module."""
        return self.scripted(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training" or "_scripted" not in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            setattr(self.scripted.original, name, value)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "_scripted" not in self.__dict__:
                raise
        return getattr(self.scripted, name)

    def extra_repr(self) -> str:
        return f"original={type(self.scripted.original).__name__}"
