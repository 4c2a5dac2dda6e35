"""`ingot.library`: operators of one's own, declared like Ingot's.

One declaration is the eager operation, the type rule, the gradient, the C, CUDA and NumPy source, and the ONNX form:

- `elementwise` takes a body in the scalar language; `nest`, `scatter`, `scan` and `sort` say how elements are combined;
- `composite` is written in other operators;
- `opaque` is an array kernel with a type rule;
- `custom_op` is a function of tensors, in PyTorch's words.

The names have a namespace of the user's: `"mylib::wave"`. A declared operator is called by what the declaration returns
or as `ingot.ops.mylib.wave`, and stands in traces, texts, files (`ingot.load(path, allow_ops=["mylib::*"])`) and
exports like any other. How a declaration is turned into all that is the subject of `ir/families`.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..backends.numpy.embed import why_not_embedded
from ..ir import families
from ..ir.errors import ArgumentError
from ..ir.locations import here
from ..ir.registry import NamedKernel, NotDifferentiable, NotExportable, Op, StopsGradient, all_ops, find, names
from ..ir.registry import unregister as _unregister
from ..ir.schema import parse_schema
from .custom_op import CustomOp, custom_op
from .dispatch import entry
from .opcheck import opcheck

__all__ = [
    "CustomOp",
    "NotDifferentiable",
    "NotExportable",
    "StopsGradient",
    "composite",
    "custom_op",
    "elementwise",
    "nest",
    "opaque",
    "opcheck",
    "ops",
    "scan",
    "scatter",
    "sort",
    "unregister",
]

_RESERVED: Final = frozenset({"ingot", "prim", "aten", "onnx"})


def elementwise(signature: str, *, scalar: Callable[..., Any], **facts: Any) -> Callable[..., Any]:
    """Declare an operator that computes each element from the elements at the same place.

    Args:
        signature: `"mylib::wave(input: Tensor, *, scale: float = 1.0) -> Tensor"`.
        scalar: the body: `s`, the scalar language, then the operands and the attributes.
        facts: `grad`, a dict from an input's name to its gradient; `onnx`, the ONNX form; `promotion="float"` for a
            result that is always of a floating-point dtype; `doc`; and what else `ir.families.elementwise` takes.

    >>> import ingot
    >>> wave = ingot.library.elementwise(
    ...     "doctest::wave(input: Tensor, *, scale: float = 1.0) -> Tensor",
    ...     scalar=lambda s, x, scale: s.where(x > 0, s.sin(x * scale), -x),
    ...     grad={"input": lambda F, g, input, scale:
    ...           g * F.where(F.gt(input, 0), F.cos(input * scale) * scale, -1.0)},
    ... )
    >>> wave(ingot.tensor([-1.0, 0.0]), scale=2.0)
    tensor([ 1., -0.])
    >>> ingot.library.unregister("doctest::wave")
    """
    _check(signature, facts)
    return _public(families.elementwise(signature, scalar=scalar, **facts))


def nest(signature: str, **facts: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare, as a decorator, an operator by index letters and a combination of elements.

    The function gets `n`, the language of nests, the inputs and the attributes.

    >>> import ingot
    >>> @ingot.library.nest("doctest::row_dot(input: Tensor, other: Tensor) -> Tensor",
    ...     grad={"input": lambda F, g, other: F.unsqueeze(g, -1) * other,
    ...           "other": lambda F, g, input: F.unsqueeze(g, -1) * input})
    ... def row_dot(n, input, other):
    ...     i, k = n.letters(input.sizes)
    ...     return n.out([i], n.sum([k], input[i, k] * other[i, k]))
    >>> row_dot(ingot.ones(2, 3), ingot.ones(2, 3)).tolist()
    [3.0, 3.0]
    >>> ingot.library.unregister("doctest::row_dot")
    """
    _check(signature, facts)
    declare = families.nest(signature, **facts)
    return lambda function: _public(declare(function))


def scatter(signature: str, **facts: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare, as a decorator, an operator that combines values into computed places of a tensor (`n.scatter`)."""
    _check(signature, facts)
    declare = families.scatter(signature, **facts)
    return lambda function: _public(declare(function))


def scan(signature: str, *, combiner: str, **facts: Any) -> Callable[..., Any]:
    """Declare running combinations along `dim`; `combiner` is `"sum"` or `"prod"`."""
    _check(signature, facts)
    return _public(families.scan(signature, combiner=combiner, **facts))


def sort(signature: str, **facts: Any) -> Callable[..., Any]:
    """Declare a stable sort along `dim` with outputs (values, indices)."""
    _check(signature, facts)
    return _public(families.sort(signature, **facts))


def composite(signature: str, **facts: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare, as a decorator, an operator that is written in other operators, over the algebra `F`.

    Without `grad=` its gradient is that of what it is written in.

    >>> import ingot
    >>> @ingot.library.composite("doctest::rms(input: Tensor, *, dim: int) -> Tensor")
    ... def rms(F, input, dim):
    ...     return F.sqrt(F.mean(input * input, dim=dim, keepdim=True))
    >>> rms(ingot.tensor([3.0, 4.0]) * 2 ** 0.5, dim=0)
    tensor([5.])
    >>> ingot.library.unregister("doctest::rms")
    """
    _check(signature, facts)
    declare = families.composite(signature, **facts)
    return lambda function: _public(declare(function))


def opaque(
    signature: str, *, infer: Callable[..., Any], kernel: Callable[..., Any], **facts: Any
) -> Callable[..., Any]:
    """Declare an operator by a type rule and an array kernel alone.

    Args:
        infer: input types and attributes to a tuple of output types.
        kernel: arrays (or Python numbers) and attributes by name to an array, or a tuple of them. Emitted source holds
            a copy of it where its text can stand alone, else calls it by the operator's name.

    >>> import ingot, numpy as np
    >>> triangle = ingot.library.opaque(
    ...     "doctest::triangle(input: Tensor) -> Tensor",
    ...     infer=lambda types, attrs: (types[0],),
    ...     kernel=lambda x: np.tril(x),
    ... )
    >>> triangle(ingot.ones(2, 2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    >>> ingot.library.unregister("doctest::triangle")
    """
    _check(signature, facts)
    if why_not_embedded(kernel) is not None:
        kernel = NamedKernel(_name_of(signature), kernel)
    return _public(families.opaque(signature, infer=infer, kernel=kernel, **facts))


def unregister(name: str) -> None:
    """Take back a declaration, so that a notebook can declare it again. Programs that use it can no longer be loaded.

    Raises:
        ArgumentError: for one of Ingot's own.
    """
    _unregister(name)


# ------------------------------------------------------------------------------------------------------------ checks


def _name_of(signature: str) -> str:
    return signature.split("(")[0].strip()


def check_name(name: str) -> None:
    """Whether a user may declare an operator of this name.

    Raises:
        ArgumentError: when it has no namespace or one that is reserved, or is taken.
    """
    space, _, short = name.rpartition("::")
    if not space or not re.fullmatch(r"[A-Za-z_]\w*", space) or not re.fullmatch(r"[A-Za-z_]\w*", short):
        raise ArgumentError(
            f"{name!r} is no name for an operator", expected='a namespace and a name: "mylib::wave"', location=here()
        )
    if space in _RESERVED or keyword.iskeyword(space):
        raise ArgumentError(f"the namespace {space!r} is reserved", location=here(), advice="choose one of your own")
    found = find(name)
    if found is not None:
        raise ArgumentError(
            f"operator {name} is already declared",
            found=f"at {found.extras['declared']}" if found.extras.get("declared") else "",
            location=here(),
            advice=f'ingot.library.unregister("{name}") takes the first declaration back',
        )


def _check(signature: str, facts: Mapping[str, Any]) -> None:
    check_name(_name_of(signature))
    schema = parse_schema(signature)
    inputs = [p.name for p in schema.inputs]
    grad = facts.get("grad")
    if grad is None or isinstance(grad, NotDifferentiable):
        return
    known = {"F", "g", "y", "T", *inputs, *(p.name for p in schema.attributes)}
    for key, function in grad.items():
        for wanted in key if isinstance(key, tuple) else (key,):
            if wanted not in inputs:
                raise ArgumentError(
                    f"{schema.name}: a gradient for {wanted!r}, which is no input", expected=", ".join(inputs)
                )
        unknown = [name for name in inspect.signature(function).parameters if name not in known]
        if unknown:
            raise ArgumentError(
                f"{schema.name}: the gradient of {key!r} reads {unknown[0]!r}",
                expected=", ".join(sorted(known)),
                location=here(),
            )


def _public(op: Op) -> Callable[..., Any]:
    op.extras["declared"] = here()
    found = entry(op)
    found.__dict__["op"] = op
    return found


# --------------------------------------------------------------------------------------------------------- ingot.ops


class _Namespace:
    """The operators of one namespace, as attributes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, short: str) -> Callable[..., Any]:
        op = find(f"{self._name}::{short}")
        if op is None:
            raise AttributeError(f"no operator {self._name}::{short} is declared")
        found: Callable[..., Any] = op.extras.get("public") or entry(op)
        return found

    def __dir__(self) -> Sequence[str]:
        return [op.short for op in all_ops() if op.name.startswith(f"{self._name}::")]

    def __repr__(self) -> str:
        return f"<operators {self._name}::*>"


class _Operators:
    """`ingot.ops`: operators by namespace and name, as `ingot.ops.mylib.wave`."""

    def __getattr__(self, name: str) -> _Namespace:
        if name.startswith("__") or not any(found.startswith(f"{name}::") for found in names()):
            raise AttributeError(f"no operator of a namespace {name!r} is declared")
        return _Namespace(name)

    def __dir__(self) -> Sequence[str]:
        return sorted({name.partition("::")[0] for name in names()})

    def __repr__(self) -> str:
        return "<ingot.ops>"


ops: Final = _Operators()
