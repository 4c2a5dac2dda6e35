"""Op signatures: parsed from one line of text, and the binding of arguments to them.

    "conv2d(input: Tensor, weight: Tensor, bias: Tensor? = None, stride: int[2] = 1) -> Tensor"

`Tensor`, `Tensor?`, `Tensor[]` and `Key` parameters are inputs of a node; every other parameter is a static
attribute. Attribute kinds: `int`, `float`, `number` (int, float or size, kept as given), `bool`, `str`, `dtype`, `size`
(an integer or a symbolic size), each also as `T?`, `T[]` and `T[n]` (one value stands for n). Parameters behind
`*` are keyword-only.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .dtypes import DType
from .errors import ArgumentError
from .sizes import SizeExpr

__all__ = ["REQUIRED", "Parameter", "Schema", "parse_schema"]


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()
_INPUT_KINDS: Final = ("Tensor", "Key")
_ATTRIBUTE_KINDS: Final = ("int", "float", "number", "bool", "str", "dtype", "size", "constant")
_PARAMETER = re.compile(r"(\w+)\s*:\s*(\w+)(\[(\d*)\])?(\?)?\s*(?:=\s*(.+))?$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name, kind and default. `count` is 0 for a list of any length, None for no list."""

    name: str
    kind: str
    count: int | None = None
    optional: bool = False
    default: Any = REQUIRED
    keyword_only: bool = False

    @property
    def is_input(self) -> bool:
        return self.kind in _INPUT_KINDS

    @property
    def is_list(self) -> bool:
        return self.count is not None

    def __str__(self) -> str:
        count = "" if self.count is None else f"[{self.count or ''}]"
        default = "" if self.default is REQUIRED else f" = {self.default!r}"
        return f"{self.name}: {self.kind}{count}{'?' if self.optional else ''}{default}"

    def normalise(self, value: Any, op: str) -> Any:
        """The attribute's value in its stored form, or an ArgumentError that names the parameter."""
        if value is None:
            if self.optional:
                return None
            raise ArgumentError(f"{op}: {self.name} is None", expected=str(self))
        if not self.is_list:
            return self._one(value, op)
        if (isinstance(value, Sequence) and not isinstance(value, str)) or isinstance(value, np.ndarray):
            items = tuple(self._one(item, op) for item in value)
        else:
            items = (self._one(value, op),) * (self.count or 1)
        if self.count and len(items) != self.count:
            raise ArgumentError(f"{op}: {self.name} has {len(items)} entries", expected=str(self))
        return items

    def _one(self, value: Any, op: str) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        # A dynamic size of a program that is being traced stands for its expression.
        value = getattr(value, "__ingot_size__", value)
        kind = self.kind
        if kind == "int" and isinstance(value, (int, SizeExpr)) and not isinstance(value, bool):
            return value
        if kind == "size" and isinstance(value, (int, SizeExpr)) and not isinstance(value, bool):
            return value
        if kind == "float" and isinstance(value, (int, float)):
            return float(value)
        if kind == "number" and isinstance(value, (bool, int, float, SizeExpr)):
            return value
        if kind == "bool" and isinstance(value, (bool, int)) and value in (0, 1):
            return bool(value)
        if kind == "str" and isinstance(value, str):
            return value
        if kind == "dtype":
            return DType.of(value)
        if kind == "constant":
            return value
        if kind in ("int", "size") and hasattr(value, "__index__") and not isinstance(value, bool):
            try:
                return value.__index__()
            except TypeError:  # an array of several elements, or of floats
                pass
        raise ArgumentError(f"{op}: {self.name} is {reprlib.repr(value)}", expected=str(self))


@dataclass(frozen=True, slots=True)
class Schema:
    """An op's signature."""

    name: str
    parameters: tuple[Parameter, ...]
    outputs: tuple[str, ...]
    text: str
    inputs: tuple[Parameter, ...] = ()
    attributes: tuple[Parameter, ...] = ()
    variadic: int | None = None  # the position among the inputs of the Tensor[] parameter

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Sort call arguments into inputs (a `Tensor[]` flattened) and normalised attributes.

        Raises:
            ArgumentError: for a missing, unknown or repeated argument, or one of the wrong kind.
        """
        given = self.match(args, kwargs)
        inputs: list[Any] = []
        attrs: dict[str, Any] = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is REQUIRED:
                raise ArgumentError(f"{self.name}: missing argument '{parameter.name}'", expected=self.text)
            if not parameter.is_input:
                attrs[parameter.name] = parameter.normalise(value, self.name)
            elif parameter.is_list:
                inputs.extend(value)
            else:
                inputs.append(value)
        return inputs, attrs

    def match(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Call arguments by the names of their parameters, as they are; what is left out is not in it.

        Raises:
            ArgumentError: for an unknown or repeated argument.
        """
        positional = [p for p in self.parameters if not p.keyword_only]
        if len(args) > len(positional):
            raise ArgumentError(
                f"{self.name}: takes {len(positional)} positional arguments, not {len(args)}",
                expected=self.text,
            )
        given = {p.name: value for p, value in zip(positional, args, strict=False)}
        names = {p.name for p in self.parameters}
        for name, value in kwargs.items():
            if name not in names:
                close = difflib.get_close_matches(name, names, 1)
                raise ArgumentError(
                    f"{self.name}: no parameter '{name}'",
                    expected=self.text,
                    advice=f"did you mean '{close[0]}'?" if close else "",
                )
            if name in given:
                raise ArgumentError(f"{self.name}: '{name}' given twice", expected=self.text)
            given[name] = value
        return given

    def unflatten(self, inputs: Sequence[Any]) -> list[Any]:
        """Inputs as a node holds them, one entry per input parameter (a `Tensor[]` gathered into a tuple)."""
        if self.variadic is None:
            return list(inputs)
        tail = len(self.inputs) - 1 - self.variadic
        stop = len(inputs) - tail
        return [*inputs[: self.variadic], tuple(inputs[self.variadic : stop]), *inputs[stop:]]

    def check_attrs(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of a stored node, normalised; defaults fill in what is left out.

        Raises:
            ArgumentError: for an unknown or missing attribute, or one of the wrong kind.
        """
        known = {p.name: p for p in self.attributes}
        for name in attrs:
            if name not in known:
                raise ArgumentError(f"{self.name}: no attribute '{name}'", expected=self.text)
        result = {}
        for name, parameter in known.items():
            value = attrs.get(name, parameter.default)
            if value is REQUIRED:
                raise ArgumentError(f"{self.name}: missing attribute '{name}'", expected=self.text)
            result[name] = parameter.normalise(value, self.name)
        return result

    def check_inputs(self, count: int) -> None:
        """Whether a node may have this many inputs.

        Raises:
            ArgumentError: when it may not.
        """
        if count == len(self.inputs) or (self.variadic is not None and count >= len(self.inputs) - 1):
            return
        raise ArgumentError(f"{self.name}: {count} inputs", expected=self.text)


def parse_schema(text: str) -> Schema:
    """Parse a signature.

    >>> schema = parse_schema("pad(input: Tensor, pad: int[], value: float = 0.0) -> Tensor")
    >>> [p.name for p in schema.inputs], [p.name for p in schema.attributes]
    (['input'], ['pad', 'value'])
    """
    match = re.fullmatch(r"\s*(\w+(?:::\w+)?)\((.*)\)\s*->\s*(.+?)\s*", text, re.S)
    if match is None:
        raise ArgumentError(f"not a signature: {text!r}", expected="name(x: Tensor, *, n: int = 1) -> Tensor")
    name, inside, result = match.groups()
    parameters: list[Parameter] = []
    keyword_only = False
    for part in _split(inside):
        if part == "*":
            keyword_only = True
            continue
        parameters.append(_parse_parameter(part, keyword_only, text))
    inputs = tuple(p for p in parameters if p.is_input)
    variadic = [i for i, p in enumerate(inputs) if p.is_list]
    if len(variadic) > 1:
        raise ArgumentError(f"{name}: more than one Tensor[] parameter", found=text)
    outputs = tuple(_split(result[1:-1])) if result.startswith("(") else (result,)
    attributes = tuple(p for p in parameters if not p.is_input)
    return Schema(
        name.split("::")[-1],
        tuple(parameters),
        outputs,
        text.strip(),
        inputs,
        attributes,
        variadic[0] if variadic else None,
    )


def _split(text: str) -> list[str]:
    parts = re.split(r",(?![^\[(]*[\])])", text)
    return [part.strip() for part in parts if part.strip()]


def _parse_parameter(part: str, keyword_only: bool, text: str) -> Parameter:
    match = _PARAMETER.fullmatch(part)
    if match is None:
        raise ArgumentError(f"not a parameter: {part!r}", found=text)
    name, kind, brackets, count, optional, default = match.groups()
    if kind not in _INPUT_KINDS + _ATTRIBUTE_KINDS:
        raise ArgumentError(f"no parameter kind {kind!r}", found=text)
    number = None if brackets is None else int(count or 0)
    bare = Parameter(name, kind, number, bool(optional), REQUIRED, keyword_only)
    if default is None:
        return bare
    value = _DEFAULTS[default] if default in _DEFAULTS else _number(default)
    if not bare.is_input and value is not None:
        value = bare.normalise(value, name)
    return Parameter(name, kind, number, bool(optional), value, keyword_only)


_DEFAULTS: Final[dict[str, Any]] = {"None": None, "True": True, "False": False, "[]": ()}


def _number(text: str) -> Any:
    if text[0] in "'\"":
        return text[1:-1]
    if text[0] in "([":
        return tuple(_number(part) for part in _split(text[1:-1]))
    return float(text) if re.search(r"[.e]|inf|nan", text) else int(text)
