"""`Module`: a tree of layers with parameters, buffers and a `forward`.

What lives here: registration by attribute assignment, the walks over the tree, the call with its hooks, modes
and conversions. What `state_dict` holds and how it is loaded is `module_state`'s subject, the printed form
`module_text`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from ..ir.errors import ArgumentError, IngotError, UnsupportedError
from .hooks import Hooks, RemovableHandle
from .mode import mode
from .module_state import IncompatibleKeys, load_into, state_of
from .module_text import module_text
from .parameter import Parameter
from .tensor import Tensor

__all__ = ["Module"]

_TABLES = ("_parameters", "_buffers", "_modules")


class Module:
    """Base class of everything that has parameters.

    A subclass calls `super().__init__()`, assigns parameters and submodules as attributes, and defines
    `forward`.

    >>> import ingot
    >>> class Scale(ingot.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = ingot.nn.Parameter(ingot.ones(2))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> [name for name, _ in scale.named_parameters()]
    ['factor']
    >>> scale(ingot.tensor([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """

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

    # ------------------------------------------------------------------------------------------- registration

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
            raise ArgumentError(
                f"register_buffer: '{name}' is a {type(tensor).__name__}", expected="a tensor or None"
            )
        self._buffers[name] = tensor
        if not persistent:
            self._non_persistent.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under `name`.

        Raises:
            ArgumentError: for a name that is taken or holds a dot, or a value that is no module.
        """
        self._check_name(name, "add_module")
        if module is not None and not isinstance(module, Module):
            raise ArgumentError(
                f"add_module: '{name}' is a {type(module).__name__}", expected="a Module or None"
            )
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, name: str, what: str) -> None:
        self._check_initialised()
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(
                f"{what}: {name!r} is not a name", expected="a non-empty string without a dot"
            )
        taken = any(name in getattr(self, table) for table in _TABLES)
        if not taken and hasattr(self, name):
            raise ArgumentError(f"{what}: attribute '{name}' already exists")

    def _check_initialised(self) -> None:
        if "_modules" not in self.__dict__:
            name = type(self).__name__
            raise ArgumentError(f"{name}.__init__ assigns parameters or submodules before super().__init__()")

    def __setattr__(self, name: str, value: Any) -> None:
        table = _table_for(value)
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
            raise ArgumentError(
                what, expected=expected, advice="delete the attribute first to change what it is"
            )
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

    # ----------------------------------------------------------------------------------------------- the call

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines its own.

        Raises:
            UnsupportedError: here, where there is none.
        """
        raise UnsupportedError(
            f"{type(self).__name__} has no forward", advice="define forward(self, ...) in the class"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, with the hooks around it."""
        try:
            if mode.tracer is None and not self._pre_hooks and not self._hooks:
                return self.forward(*args, **kwargs)
            return self._call_with_hooks(args, kwargs)
        except IngotError as error:
            if mode.tracer is None:
                _add_to_path(error, self)
            raise

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in tuple(self._pre_hooks.values()):
            args, kwargs = _run_pre_hook(self, hook, with_kwargs, args, kwargs)
        result = self._traced_forward(args, kwargs)
        for hook, with_kwargs in tuple(self._hooks.values()):
            given = (args, kwargs, result) if with_kwargs else (args, result)
            changed = hook(self, *given)
            result = result if changed is None else changed
        return result

    def _traced_forward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tracer = mode.tracer
        if tracer is None:
            return self.forward(*args, **kwargs)
        tracer.enter_module(self)
        try:
            return self.forward(*args, **kwargs)
        finally:
            tracer.exit_module()

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run `hook(module, args)` before every `forward`; what it returns, unless None, replaces the
        arguments.

        With `with_kwargs`, the call is `hook(module, args, kwargs)` and the answer a pair of both.

        >>> import ingot
        >>> double = ingot.nn.Identity()
        >>> handle = double.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
        >>> double(ingot.tensor(3.0)).item()
        6.0
        """
        return self._pre_hooks.add(hook, prepend=prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run `hook(module, args, result)` after every `forward`; what it returns, unless None, replaces the
        result.

        With `with_kwargs`, the call is `hook(module, args, kwargs, result)`.
        """
        return self._hooks.add(hook, prepend=prepend, with_kwargs=with_kwargs)

    # ------------------------------------------------------------------------------------ walks over the tree

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (under the name `prefix`) and every one below it, parents first, each once."""
        seen = set() if memo is None else memo
        if remove_duplicate and self in seen:
            return
        seen.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(seen, _join(prefix, name), remove_duplicate)

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
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else iter([(prefix, self)])
        )
        seen: set[int] = set()
        for path, module in modules:
            for name, tensor in getattr(module, table).items():
                if tensor is None or (once and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield _join(path, name), tensor

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as `"encoder.0"`; the empty path is this module.

        Raises:
            ArgumentError: when there is none.
        """
        module: Module = self
        for name in target.split(".") if target else []:
            found = module._modules.get(name)
            if found is None:
                known = ", ".join(module._modules) or "none"
                raise ArgumentError(
                    f"{type(module).__name__} has no submodule '{name}'", found=f"submodules: {known}"
                )
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

    # ---------------------------------------------------------------------------------- modes and conversions

    def train(self, mode: bool = True) -> Self:
        """Set this module and all below it to training mode (or, with False, to evaluation mode)."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"train: mode is {mode!r}", expected="True or False")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and all below it to evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say whether the parameters are trained."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set them to 0."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach() * 0

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, children before their parents; used to initialise weights."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move parameters and buffers to a device, or (the floating-point ones) to a dtype, in place.

        >>> import ingot
        >>> ingot.nn.Linear(2, 2).to(ingot.float64).weight.dtype
        ingot.float64
        """
        return self._convert(lambda tensor: _moved(tensor, args, kwargs))

    def float(self) -> Self:
        """Floating-point parameters and buffers to float32."""
        return self.to("float32")

    def double(self) -> Self:
        """Floating-point parameters and buffers to float64."""
        return self.to("float64")

    def half(self) -> Self:
        """Floating-point parameters and buffers to float16."""
        return self.to("float16")

    def bfloat16(self) -> Self:
        """Floating-point parameters and buffers to bfloat16."""
        return self.to("bfloat16")

    def cpu(self) -> Self:
        """Parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """Parameters and buffers to the GPU."""
        return self.to("cuda")

    def _convert(self, convert: Callable[[Tensor], Tensor]) -> Self:
        """Every parameter (the object stays, its data change), gradient and buffer through `convert`."""
        for parameter in self.parameters():
            parameter.data = convert(parameter.detach())
            if parameter.grad is not None:
                parameter.grad = convert(parameter.grad.detach())
        done: dict[int, Tensor] = {}
        for module in self.modules():
            for name, buffer in module._buffers.items():
                if buffer is None:
                    continue
                if id(buffer) not in done:
                    done[id(buffer)] = convert(buffer)
                module._buffers[name] = done[id(buffer)]
        return self

    # ----------------------------------------------------------------------------------------- state and text

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Parameters and persistent buffers by path. The tensors share the module's memory.

        Args:
            prefix: put before every path.
            keep_vars: give the parameters themselves, not detached tensors.
        """
        return state_of(self, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers by path: all of them or, on an error, none.

        Args:
            state_dict: tensors or arrays by path, each of its parameter's sizes; dtypes are converted.
            strict: whether paths must agree exactly.
            assign: let parameters and buffers become the given tensors, dtype included, in place of a copy.

        Returns:
            the paths that were missing and those that were not expected.

        Raises:
            ArgumentError: lists every missing and unexpected path (when `strict`) and every size that
                differs.
        """
        return load_into(self, state_dict, strict, assign)

    def extra_repr(self) -> str:
        """What the printed form says between the parentheses, such as `"in_features=2"`."""
        return ""

    def __repr__(self) -> str:
        return module_text(self)


def _table_for(value: Any) -> str | None:
    if isinstance(value, Parameter):
        return "_parameters"
    return "_modules" if isinstance(value, Module) else None


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _moved(tensor: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    moved = tensor.to(*args, **kwargs)
    if moved.dtype is tensor.dtype or (tensor.dtype.is_floating_point and moved.dtype.is_floating_point):
        return moved
    if not moved.dtype.is_floating_point:
        if tensor.dtype.is_floating_point:
            raise ArgumentError(f"Module.to: dtype is {moved.dtype.name}", expected="a floating-point dtype")
        return moved
    return tensor.to(moved.device)


def _run_pre_hook(
    module: Module, hook: Callable[..., Any], with_kwargs: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not with_kwargs:
        changed = hook(module, args)
        if changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
        return args, kwargs
    changed = hook(module, args, kwargs)
    if changed is None:
        return args, kwargs
    if not isinstance(changed, tuple) or len(changed) != 2:
        raise ArgumentError("a forward pre-hook with keywords returned neither None nor (args, kwargs)")
    return changed


def _add_to_path(error: IngotError, module: Module) -> None:
    """Name in the error the module it comes from, one level of calls at a time."""
    inner = error.__dict__.get("module")
    if inner is not None and inner is not module:
        name = next((name for name, found in module.named_modules() if found is inner), "")
        error.path = _join(name, error.path) if error.path else name
    error.__dict__["module"] = module
