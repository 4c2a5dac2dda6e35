"""`Module`: a tree of layers with parameters, buffers and a `forward`.

What lives here: the call with its hooks, modes and conversions. Registration and the walks over the tree
stand in `module_tree`, what `state_dict` holds and how it is loaded in `module_state`, the printed form in
`module_text`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from ..ir.errors import ArgumentError, IngotError, UnsupportedError
from .hooks import RemovableHandle
from .mode import mode
from .module_state import IncompatibleKeys, load_into, state_of
from .module_text import module_text
from .module_tree import ModuleTree, join_path
from .tensor import Tensor

__all__ = ["Module"]


class Module(ModuleTree):
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

    # ----------------------------------------------------------------------------------------------- the call

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines its own.

        Raises:
            UnsupportedError: here, where there is none.
        """
        raise UnsupportedError(f"{type(self).__name__} has no forward", advice="define forward(self, ...) in the class")

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
            forward = tracer.rewritten(self.forward) if mode.scripting else self.forward
            return forward(*args, **kwargs)
        finally:
            tracer.exit_module()

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run `hook(module, args)` before every `forward`; its answer, unless None, replaces the arguments.

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
        """Run `hook(module, args, result)` after every `forward`; its answer unless None replaces the result.

        With `with_kwargs`, the call is `hook(module, args, kwargs, result)`.
        """
        return self._hooks.add(hook, prepend=prepend, with_kwargs=with_kwargs)

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
        error.path = join_path(name, error.path)
    error.__dict__["module"] = module
