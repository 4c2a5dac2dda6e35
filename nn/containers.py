"""Modules that hold modules: `Sequential`, `ModuleList`, `ModuleDict`, `ParameterList`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Self, overload

from ..frontend.module import Module
from ..frontend.module_text import nested
from ..frontend.parameter import Parameter
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError, IndexOutOfRange

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]


def _position(holder: Module, index: int, length: int) -> int:
    if not -length <= index < length:
        raise IndexOutOfRange(f"{type(holder).__name__}: no entry {index}", found=f"{length} entries")
    return index % length


class _Numbered(Module):
    """Modules under the names "0", "1", ..."""

    def _fill(self, modules: Iterable[Module]) -> None:
        found = list(modules)
        self._modules.clear()
        for i, module in enumerate(found):
            self.add_module(str(i), module)

    def _all(self) -> list[Any]:
        return list(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._part(index)
        return self._all()[_position(self, index, len(self))]

    def _part(self, index: slice) -> Any:
        return type(self)(self._all()[index])  # type: ignore[call-arg]

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self._modules)[_position(self, index, len(self))]
        setattr(self, name, module)

    def __delitem__(self, index: int | slice) -> None:
        found = self._all()
        del found[index if isinstance(index, slice) else _position(self, index, len(self))]
        self._fill(found)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at `index`."""
        found = self._all()
        found.insert(index, module)
        self._fill(found)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, index: int = -1) -> Any:
        """Remove a module and return it."""
        found = self[index]
        del self[index]
        return found


class Sequential(_Numbered):
    """Modules one after the other: each takes what the one before it returned.

    Args:
        args: the modules, or one dict of modules by name.

    >>> import ingot
    >>> net = Sequential(ingot.nn.Linear(4, 3), ingot.nn.ReLU(), ingot.nn.Linear(3, 2))
    >>> net(ingot.ones(5, 4)).shape
    ingot.Size([5, 2])
    >>> net[0]
    Linear(in_features=4, out_features=3, bias=True)
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self._fill(args)

    def _part(self, index: slice) -> Sequential:
        return Sequential(dict(list(self._modules.items())[index]))

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        numbered = all(name.isdigit() for name in names)
        for name in names[index] if isinstance(index, slice) else [names[_position(self, index, len(self))]]:
            delattr(self, name)
        if numbered:
            self._fill(self._all())

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]  # entries are modules
        return input


class ModuleList(_Numbered):
    """A list of modules, whose parameters are the list's.

    >>> import ingot
    >>> layers = ModuleList(ingot.nn.Linear(2, 2) for _ in range(3))
    >>> layers
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._fill(modules or ())

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        lines = []
        start = 0
        for text, group in groupby(map(repr, self)):
            count = len(list(group))
            name = f"({start})" if count == 1 else f"({start}-{start + count - 1})"
            times = "" if count == 1 else f"{count} x "
            lines.append(f"{name}: {times}{text}".replace("\n", "\n  "))
            start += count
        return nested(type(self).__name__, [], lines)


class ModuleDict(Module):
    """A dict of modules by name, whose parameters are the dict's.

    >>> import ingot
    >>> choices = ModuleDict({"relu": ingot.nn.ReLU(), "tanh": ingot.nn.Tanh()})
    >>> choices["tanh"](ingot.tensor(0.0)).item(), "relu" in choices
    (0.0, True)
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or replace those of the same names."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._modules.items()

    def pop(self, key: str) -> Any:
        """Remove a module and return it."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()


class ParameterList(Module):
    """A list of parameters; tensors become parameters.

    >>> import ingot
    >>> weights = ParameterList([ingot.zeros(2), ingot.ones(3)])
    >>> [name for name, _ in weights.named_parameters()]
    ['0', '1']
    """

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def append(self, value: Tensor) -> Self:
        """Add a parameter at the end."""
        if not isinstance(value, Tensor):
            raise ArgumentError(f"ParameterList: an entry is a {type(value).__name__}", expected="tensors")
        self.register_parameter(str(len(self)), value if isinstance(value, Parameter) else Parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Add several parameters at the end."""
        for value in list(values):
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parameters.values()))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ParameterList(list(self)[index])
        return list(self)[_position(self, index, len(self))]

    def __setitem__(self, index: int, value: Tensor) -> None:
        name = str(_position(self, index, len(self)))
        setattr(self, name, value if isinstance(value, Parameter) else Parameter(value))

    def __iadd__(self, values: Iterable[Tensor]) -> Self:
        return self.extend(values)

    def extra_repr(self) -> str:
        lines = [f"({i}): Parameter containing: [{p.dtype!r} of size {list(p.shape)}]" for i, p in enumerate(self)]
        return "\n".join(lines)
