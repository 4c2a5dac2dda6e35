"""An op's signature, read from the annotations of a Python function."""

from __future__ import annotations

import inspect
import types as _types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from ..ir.errors import ArgumentError
from .tensor_base import TensorBase

__all__ = ["signature_text"]

_PLAIN: dict[Any, str] = {int: "int", float: "float", bool: "bool", str: "str"}


def signature_text(name: str, function: Callable[..., Any]) -> str:
    """An op's signature from a function's annotations, without its name.

    Args:
        name: the op's, for messages.

    Raises:
        ArgumentError: for annotations that are missing, or that no op can have.

    >>> import ingot
    >>> def scale(x: ingot.Tensor, by: float = 2.0) -> ingot.Tensor: ...
    >>> signature_text("mylib::scale", scale)
    '(x: Tensor, by: float = 2.0) -> Tensor'
    """
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise ArgumentError(
            f"custom_op: {name}: an annotation cannot be read: {error}", advice="pass schema="
        ) from None
    parts, starred = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise ArgumentError(f"custom_op: {name}: *{parameter.name}", expected="named parameters")
        if parameter.name not in hints:
            raise ArgumentError(
                f"custom_op: {name}: parameter {parameter.name!r} has no annotation",
                advice="annotate it, or pass schema=",
            )
        text = f"{parameter.name}: {_kind(name, hints[parameter.name])}"
        parts.append(text if parameter.default is inspect.Parameter.empty else f"{text} = {parameter.default!r}")
    return f"({', '.join(parts)}) -> {_result(name, hints.get('return'))}"


def _kind(name: str, hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, TensorBase):
        return "Tensor"
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin in (typing.Union, _types.UnionType):
        kinds = [a for a in args if a is not type(None)]
        if len(kinds) == 1 and len(args) == 2:
            return _kind(name, kinds[0]) + "?"
        if set(kinds) <= {int, float, bool} and len(kinds) == len(args):
            return "number"
    if origin is not None and origin in (list, Sequence, typing.get_origin(Sequence[int])) and len(args) == 1:
        return _kind(name, args[0]) + "[]"
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _kind(name, args[0]) + "[]"
    raise ArgumentError(
        f"custom_op: {name}: a parameter of type {hint}",
        expected="Tensor, int, float, bool, str, and Optional or Sequence of them",
        advice="pass schema=",
    )


def _result(name: str, hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, TensorBase):
        return "Tensor"
    args = typing.get_args(hint)
    if (
        typing.get_origin(hint) is tuple
        and args
        and all(isinstance(a, type) and issubclass(a, TensorBase) for a in args)
    ):
        return f"({', '.join(['Tensor'] * len(args))})"
    raise ArgumentError(f"custom_op: {name}: its result is annotated {hint}", expected="Tensor, or a tuple of Tensor")
