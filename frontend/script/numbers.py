"""Which of a scripted function's number arguments the run decides, as TorchScript's do, and which are constants.

A parameter that is annotated `int`, `float` or `bool`, or `Optional` of one, takes run-time numbers; another one does
from the second number on that it is called with. Where the function cannot be captured so, because a number decides
what only Python can, such as a dimension, that parameter is a constant: one capture for each number.
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Final

import numpy as np

from ..mode import mode
from ..module import Module
from ..tensor_base import TensorBase

__all__ = ["Chosen", "NumberArguments", "WithNumbers"]

Chosen = frozenset[Any]  # positions and keywords
_NUMBERS: Final = {bool: np.bool_, int: np.int64, float: np.float64}
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_WORDS: Final = {"int", "float", "bool"}
_AND_NONE: Final = {"None", "NoneType"}
_UNION: Final = re.compile(r"(?:typing\.)?(?:Optional|Union)\[(.*)\]")


class NumberArguments:
    """What is known about the number parameters of one callable."""

    def __init__(self, original: Any) -> None:
        self._seen: dict[Any, Any] = {}
        self._constants: set[Any] = set()  # parameters that have turned out to have to be constants
        self._parameters = _parameters(original)
        self._annotated = {x.name for x in self._parameters if _is_number(x.annotation)}

    def chosen(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Chosen:
        """The numbers of a call that the run is to decide."""
        numbers: list[tuple[Any, Any]] = [(i, x) for i, x in enumerate(args) if x.__class__ in _NUMBERS]
        numbers += [(key, x) for key, x in kwargs.items() if x.__class__ in _NUMBERS]
        return frozenset([place for place, x in numbers if self._varies(place, x)]) if numbers else frozenset()

    def left_out(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults of annotated parameters that a call leaves out, which other calls may give."""
        found = {}
        for parameter in self._parameters[len(args) :]:
            wanted = parameter.name in self._annotated and parameter.kind in _BY_NAME and parameter.name not in kwargs
            if wanted and parameter.default.__class__ in _NUMBERS:
                found[parameter.name] = parameter.default
        return found

    def keep(self, chosen: Chosen, works: Callable[[Chosen], bool]) -> Chosen:
        """Those of the chosen numbers that the run can decide, asked for one after the other where not all can be; the
        others are constants from now on."""
        kept: Chosen = frozenset()
        for place in sorted(chosen, key=str) if len(chosen) > 1 else ():
            if works(kept | {place}):
                kept |= {place}
        self._constants |= {self._name(place) for place in chosen - kept}
        return kept

    def _name(self, place: Any) -> Any:
        known = isinstance(place, int) and place < len(self._parameters)
        return self._parameters[place].name if known else place

    def _varies(self, place: Any, value: Any) -> bool:
        if value.__class__ is int and not -(2**63) <= value < 2**63:
            return False
        place = self._name(place)
        if place in self._constants:
            return False
        if place in self._annotated:
            return True
        first = self._seen.setdefault(place, value)
        if first.__class__ is value.__class__ and first != value:
            self._annotated.add(place)
            return True
        return False


def _parameters(original: Any) -> list[inspect.Parameter]:
    target = original.forward if isinstance(original, Module) else original
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # no signature to be had
        return []


def _is_number(annotation: Any) -> bool:
    """Whether an annotation, or its text, says `int`, `float` or `bool`, or one of several of these and None."""
    if not isinstance(annotation, str):
        options = typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, UnionType) else ()
        return annotation in _NUMBERS or (bool(options) and all(x in _NUMBERS or x is NoneType for x in options))
    union = _UNION.fullmatch(annotation.strip())
    parts = {part.strip() for part in re.split(r"[|,]", union[1] if union else annotation)}
    return bool(parts & _WORDS) and parts <= _WORDS | _AND_NONE


class WithNumbers:
    """A callable that takes some numbers as tensors without dimensions, and hands them on as run-time numbers."""

    def __init__(self, scripted: Callable[..., Any], original: Any, chosen: Chosen) -> None:
        if isinstance(original, Module):
            self.__name__ = self.__qualname__ = type(original).__name__
        else:
            functools.update_wrapper(self, original, updated=())
        self._scripted = scripted
        self._original = original
        self._chosen = chosen

    @property
    def __ingot_original__(self) -> Any:
        return self._original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._scripted(
            *[_number(x) if i in self._chosen else x for i, x in enumerate(args)],
            **{key: _number(x) if key in self._chosen else x for key, x in kwargs.items()},
        )

    def packed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """A call's arguments with the chosen numbers as arrays."""
        return (
            [_array(x) if i in self._chosen else x for i, x in enumerate(args)],
            {key: _array(x) if key in self._chosen else x for key, x in kwargs.items()},
        )


def _array(value: Any) -> np.ndarray:
    return np.array(value, _NUMBERS[value.__class__])


def _number(value: Any) -> Any:
    if isinstance(value, TensorBase):
        return mode.tracer.item(value) if mode.tracer is not None else value.item()  # type: ignore[attr-defined]
    return value.item()
