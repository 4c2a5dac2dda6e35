"""What a module consists of: registration by attribute assignment, and the walks over the tree.

What a module does (its call, modes, conversions, state) is `module`'s subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..ir.errors import ArgumentError
from .hooks import Hooks
from .parameter import Parameter
from .tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

__all__ = ["ModuleTree", "join_path"]

_TABLES = ("_parameters", "_buffers", "_modules")


class ModuleTree:
    """The part of `Module` that holds parameters, buffers and submodules."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent: set[str]
    _pre_hooks: Hooks
    _hooks: Hooks

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent=set(),
            _pre_hooks=Hooks(),
            _hooks=Hooks(),
        )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None holds the place of one that this module goes without.

        Raises:
            ArgumentError: for a name that is taken or holds a dot, or a value that is no `Parameter`.
        """
        self._check_name(name, "register_parameter")
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentError(
                f"register_parameter: '{name}' is a {type(param).__name__}",
                expected="a Parameter or None",
                advice="wrap the tensor in nn.Parameter",
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module's state and is not trained, such as a running mean.

        Args:
            persistent: whether it is part of `state_dict`.

        Raises:
            ArgumentError: for a name that is taken or holds a dot, or a value that is no tensor.
        """
        self._check_name(name, "register_buffer")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentError(f"register_buffer: '{name}' is a {type(tensor).__name__}", expected="a tensor or None")
        self._buffers[name] = tensor
        if not persistent:
            self._non_persistent.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under `name`.

        Raises:
            ArgumentError: for a name that is taken or holds a dot, or a value that is no module.
        """
        self._check_name(name, "add_module")
        module = _as_part(module)
        if module is not None and not isinstance(module, ModuleTree):
            raise ArgumentError(f"add_module: '{name}' is a {type(module).__name__}", expected="a Module or None")
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, name: str, what: str) -> None:
        self._check_initialised()
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(f"{what}: {name!r} is not a name", expected="a non-empty string without a dot")
        taken = any(name in getattr(self, table) for table in _TABLES)
        if not taken and hasattr(self, name):
            raise ArgumentError(f"{what}: attribute '{name}' already exists")

    def _check_initialised(self) -> None:
        if "_modules" not in self.__dict__:
            name = type(self).__name__
            raise ArgumentError(f"{name}.__init__ assigns parameters or submodules before super().__init__()")

    def __setattr__(self, name: str, value: Any) -> None:
        table = _table_for(value)
        if table is None and hasattr(value.__class__, "as_module"):
            value, table = value.as_module(), "_modules"
        if table is not None:
            self._check_initialised()
            self._forget(name, but=table)
            getattr(self, table)[name] = value
            return
        own = self.__dict__
        if "_modules" not in own:
            object.__setattr__(self, name, value)
        elif name in own["_parameters"]:
            self._replace("_parameters", name, value, "a Parameter or None")
        elif name in own["_modules"]:
            self._replace("_modules", name, value, "a Module or None")
        elif name in own["_buffers"]:
            self._replace("_buffers", name, value, "a tensor or None", isinstance(value, Tensor))
        else:
            object.__setattr__(self, name, value)

    def _replace(self, table: str, name: str, value: Any, expected: str, fits: bool = False) -> None:
        if value is not None and not fits:
            what = f"{type(self).__name__}.{name} cannot become a {type(value).__name__}"
            raise ArgumentError(what, expected=expected, advice="delete the attribute first to change what it is")
        getattr(self, table)[name] = value

    def _forget(self, name: str, but: str) -> None:
        """Remove what the name stood for before, in the other tables and among plain attributes."""
        self.__dict__.pop(name, None)
        for table in _TABLES:
            if table != but:
                getattr(self, table).pop(name, None)
        self._non_persistent.discard(name)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for table in _TABLES:
            entries = own.get(table)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for table in _TABLES:
            if name in getattr(self, table):
                del getattr(self, table)[name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    # ------------------------------------------------------------------------------------ walks over the tree

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (under the name `prefix`) and every one below it, parents first, each once."""
        seen = set() if memo is None else memo
        if remove_duplicate and self in seen:
            return
        seen.add(self)
        yield prefix, self  # type: ignore[misc]  # every tree is a Module
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(seen, join_path(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """As `named_modules`, without the names."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, each once."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """As `named_children`, without the names."""
        return (child for _, child in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their paths, each once under the first path it has.

        >>> import ingot
        >>> net = ingot.nn.Sequential(ingot.nn.Linear(2, 3), ingot.nn.ReLU())
        >>> [(name, tuple(p.shape)) for name, p in net.named_parameters()]
        [('0.weight', (3, 2)), ('0.bias', (3,))]
        """
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """As `named_parameters`, without the names."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their paths, each once under the first path it has."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """As `named_buffers`, without the names."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, table: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        modules = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else iter([(prefix, self)])
        seen: set[int] = set()
        for path, module in modules:
            for name, tensor in getattr(module, table).items():
                if tensor is None or (once and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield join_path(path, name), tensor

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as `"encoder.0"`; the empty path is this module.

        Raises:
            ArgumentError: when there is none.
        """
        module: Any = self
        for name in target.split(".") if target else []:
            found = module._modules.get(name)
            if found is None:
                known = ", ".join(module._modules) or "none"
                raise ArgumentError(f"{type(module).__name__} has no submodule '{name}'", found=f"submodules: {known}")
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as `"encoder.0.weight"`.

        Raises:
            ArgumentError: when there is none.
        """
        return self._get("_parameters", target, "parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as `"norm.running_mean"`.

        Raises:
            ArgumentError: when there is none.
        """
        return self._get("_buffers", target, "buffer")

    def _get(self, table: str, target: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = getattr(module, table).get(name)
        if found is None:
            raise ArgumentError(f"{type(module).__name__} has no {what} '{name}'")
        return found


def _table_for(value: Any) -> str | None:
    if isinstance(value, Parameter):
        return "_parameters"
    return "_modules" if isinstance(value, ModuleTree) else None


def _as_part(value: Any) -> Any:
    """A submodule; of a captured program, the module that it is as a part of another one."""
    return value.as_module() if hasattr(type(value), "as_module") else value


def join_path(prefix: str, name: str) -> str:
    """A path within a path; either may be empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name
