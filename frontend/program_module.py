"""Programs inside of other things: as a part of an eager module, and called while another program is captured.

A program that is an attribute of a module is there as a `ProgramModule`: its parameters and buffers are those of the
module, and are the memory that the program computes with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir.errors import ArgumentError
from ..ir.locations import here
from .mode import mode
from .module import Module
from .program_modes import has_modes, is_training

if TYPE_CHECKING:
    from .program import Program
    from .program_random import Draws

__all__ = ["ProgramModule", "call_inside"]


class ProgramModule(Module):
    """A program as a module: what a PyTorch user knows as a `ScriptModule`.

    Made by `program.as_module()`, and by assigning a program to an attribute of a module. What it does not have as a
    module (`graph`, `code`, `save`, ...) is the program's. A program that was captured in both modes follows `train()`
    and `eval()` of the module; one that was captured in one of them stays in it.

    >>> import ingot
    >>> program = ingot.jit.trace(ingot.nn.Linear(2, 1), ingot.ones(1, 2))
    >>> model = ingot.nn.Sequential(program, ingot.nn.ReLU())
    >>> [name for name, _ in model.named_parameters()]
    ['0.weight', '0.bias']
    >>> model[0].program is program
    True
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.__dict__["_program"] = program
        places: list[tuple[str, bool, dict[str, Any]]] = []
        for key, parameter in program._own.named_parameters().items():
            places.append((key, True, _place(self, key)._parameters))
            places[-1][2][_last(key)] = parameter
        for key, buffer in program._own.named_buffers().items():
            if buffer._array.dtype != np.uint64:  # keys of the random state are the program's alone
                places.append((key, False, _place(self, key)._buffers))
                places[-1][2][_last(key)] = buffer
        self.__dict__["_places"] = places
        if has_modes(program.record):
            self.training = is_training(program.record)

    @property
    def program(self) -> Program:
        """The program."""
        found: Program = self.__dict__["_program"]
        return found

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the program."""
        self._follow_state()
        if has_modes(self.program.record):  # a module's own mode is that of its program
            kwargs.setdefault("training", self.training)
        return self.program(*args, **kwargs)

    def _follow_state(self) -> None:
        """Let the program compute with the module's tensors, where some have been replaced, and after
        `module.to(dtype)` in their dtype."""
        own = self.program._own
        if not own.parameters or not own.buffers:  # those of a copy, which nobody has asked for yet
            own.named_parameters()
            own.named_buffers()
        moved = {}
        state = own._record.state
        for key, trained, table in self.__dict__["_places"]:
            held = own.parameters if trained else own.buffers
            tensor = table[_last(key)]
            if held[key] is not tensor:
                held[key] = tensor
            if tensor._array is not state[key] and tensor._array.dtype != state[key].dtype:
                moved[key] = tensor
        if moved:
            self.__dict__["_program"] = _in_dtype_of(self.program, moved)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "_program" not in self.__dict__:
                raise
        return getattr(self.program, name)

    def extra_repr(self) -> str:
        return ", ".join(self.program.entry_points)


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _place(module: Module, key: str) -> Module:
    """The module below which a piece of state of that path stands."""
    found: Any = module
    for part in key.split(".")[:-1]:
        if part not in found._modules:
            found._modules[part] = Module()
        found = found._modules[part]
    return found


def _in_dtype_of(program: Program, moved: Mapping[str, Any]) -> Program:
    """The program in the dtype that its state has been moved to, over the same tensors."""
    from ..ir.dtypes import DType
    from .program_convert import in_dtype

    dtypes = {DType.of(tensor._array.dtype) for tensor in moved.values()}
    if len(dtypes) > 1:
        raise ArgumentError(
            "the program's state was moved to several dtypes",
            expected="one floating-point dtype",
            found=", ".join(sorted(dtype.name for dtype in dtypes)),
            location=here(),
        )
    found = in_dtype(program, dtypes.pop())
    found._own.parameters.update(program._own.parameters)
    found._own.buffers.update(program._own.buffers)
    return found


# --------------------------------------------------------------------------------------------- inside of a capture


def call_inside(program: Program, entry: str, leaves: Sequence[Any], draws: Draws | None = None) -> list[Any]:
    """A call of a program while another one is captured: its graph becomes part of that one, its state is read and
    written as that of a module."""
    from .capture.inlining import inline_graph

    tracer = mode.tracer
    state = dict(program.named_state())
    if draws is not None:
        state[draws.name] = draws.key
    for key, tensor in state.items():
        tracer.names.setdefault(id(tensor), (f"{entry}.{key}", tensor))
    return inline_graph(tracer, program.record.graphs[entry], leaves, state, f"the program '{entry}'")
