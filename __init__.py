"""Ingot: a tensor compiler. Eager in, solid out.

Models are written and trained in PyTorch's vocabulary (`import ingot as torch` carries an ordinary script), captured
into a typed graph (`ingot.jit.trace`), and saved as one data-only file that runs without the model's code.

This module is the face: it gathers names. Functions that are ops come from the registry when first asked for.
"""

from __future__ import annotations

import importlib as _importlib
import importlib.abc as _abc
import importlib.machinery as _machinery
import math as _math
import sys as _sys
from typing import Any as _Any

from .frontend import derived as _derived
from .frontend import functions as _functions
from .frontend.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .frontend.control import cond, scan, while_loop
from .frontend.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    from_numpy,
    full,
    full_like,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .frontend.devices import device
from .frontend.dispatch import EAGER as _EAGER
from .frontend.dispatch import with_out as _with_out
from .frontend.random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from .frontend.sizes import Size
from .frontend.tensor import Tensor
from .ir import ops as _ops
from .ir import registry as _registry
from .ir.dtypes import (
    DType,
    bfloat16,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
)
from .ir.dtypes import bool_ as bool
from .ir.dtypes import promote as promote_types

__version__ = "0.1.0"

float = float32
double = float64
half = float16
long = int64
int = int32
short = int16
inf = _math.inf
nan = _math.nan
pi = _math.pi
e = _math.e
dtype = DType

# Public names of what lives deeper: `import ingot.jit` and `ingot.jit` find these, loaded when first asked for.
_DEEPER = {
    "autograd": "frontend.autograd",
    "autograd.function": "frontend.function",
    "cuda": "frontend.devices",
    "jit": "frontend.jit",
    "library": "frontend.library",
    "onnx": "serialize.onnx",
}
# Single names of what lives deeper, loaded likewise.
_ELSEWHERE = {
    "Program": "frontend.program",
    "compile": "frontend.compile",
    "get_num_threads": "frontend.threads",
    "load": "frontend.program",
    "ops": "frontend.library",
    "set_num_threads": "frontend.threads",
}
# Functions of several ops that take `out=`; single ops all do.
_OUT = frozenset(
    [
        "absolute",
        "addcdiv",
        "addcmul",
        "addmm",
        "arccos",
        "arcsin",
        "arctan",
        "clamp",
        "clamp_max",
        "clamp_min",
        "clip",
        "diag",
        "div",
        "divide",
        "dot",
        "frac",
        "ger",
        "greater",
        "greater_equal",
        "hstack",
        "less",
        "less_equal",
        "lerp",
        "masked_select",
        "max",
        "min",
        "mm",
        "multiply",
        "mv",
        "nan_to_num",
        "negative",
        "norm",
        "not_equal",
        "scatter",
        "sgn",
        "sort",
        "std",
        "subtract",
        "topk",
        "true_divide",
        "var",
        "vstack",
        "where",
    ]
)
_FOLDERS = ("cli", "nn", "optim", "utils")


class _PublicNames(_abc.MetaPathFinder, _abc.Loader):
    """Finds `ingot.jit` and its like as the modules that they stand for."""

    def find_spec(self, name: str, path: _Any = None, target: _Any = None) -> _machinery.ModuleSpec | None:
        package, _, short = name.partition(".")
        return _machinery.ModuleSpec(name, self) if package == __name__ and short in _DEEPER else None

    def create_module(self, spec: _machinery.ModuleSpec) -> _Any:
        module = _importlib.import_module(f"{__name__}.{_DEEPER[spec.name.partition('.')[2]]}")
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: _Any) -> None:
        module.__spec__ = self._own_spec  # importlib has put the public name's there


_sys.meta_path.append(_PublicNames())


def __getattr__(name: str) -> _Any:
    if name in _DEEPER or name in _FOLDERS:
        return _importlib.import_module(f"{__name__}.{name}")
    if name in _ELSEWHERE:
        found = getattr(_importlib.import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    else:
        found = _function(name)
    globals()[name] = found
    return found


def _function(name: str) -> _Any:
    """A function of PyTorch's name: one of ours, or an op's entry."""
    found = _functions.FUNCTIONS.get(name) or _derived.FUNCTIONS.get(name)
    if found is not None:
        return _with_out(found) if name in _OUT else found
    if name.startswith("_") or _registry.find(f"ingot::{name}") is None:
        guess = "" if name.startswith("_") else _functions.close_match(name, __dir__())
        raise AttributeError(f"module 'ingot' has no attribute {name!r}{guess}")
    return getattr(_EAGER, name)


def __dir__() -> list[str]:
    ops = [op.short for op in _registry.all_ops() if op.name.startswith("ingot::")]
    return sorted(
        {
            *globals(),
            *(n for n in _DEEPER if "." not in n),
            *_FOLDERS,
            *_ELSEWHERE,
            *_functions.FUNCTIONS,
            *_derived.FUNCTIONS,
            *ops,
        }
    )


__all__ = [
    "DType",
    "Generator",
    "Size",
    "Tensor",
    "arange",
    "as_tensor",
    "bfloat16",
    "bool",
    "default_generator",
    "device",
    "double",
    "dtype",
    "empty",
    "empty_like",
    "enable_grad",
    "float",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "full_like",
    "get_default_dtype",
    "get_rng_state",
    "half",
    "inference_mode",
    "initial_seed",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "long",
    "manual_seed",
    "no_grad",
    "ones",
    "ones_like",
    "promote_types",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_default_dtype",
    "set_grad_enabled",
    "set_rng_state",
    "short",
    "tensor",
    "uint8",
    "zeros",
    "zeros_like",
]
