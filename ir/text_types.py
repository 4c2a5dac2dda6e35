"""The parser's actions for types and the sizes in them."""

from __future__ import annotations

import re
from typing import Any, Final

from .dtypes import by_short
from .sizes import Size, SizeExpr, parse_size, var
from .text_reader import TextReader, Token
from .types import BOOL, FLOAT, INT, KEY, NONE, ListType, OptionalType, TensorType, TupleType, Type

__all__ = ["TypeActions"]

_MAX_NESTING: Final = 64
_PLAIN: Final[dict[str, Type]] = {"int": INT, "float": FLOAT, "bool": BOOL, "key": KEY, "none": NONE}
_TENSOR: Final = re.compile(r"([a-z]+\d*)\[(.*)\](?::(\w+))?")
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BOUNDS: Final = re.compile(r"([A-Za-z_]\w*)\s*(?:>=\s*(-?\d+)|in\s+(-?\d+)?\s*\.\.\s*(-?\d+)?)", re.ASCII)


class TypeActions(TextReader):
    """Types; equal texts give the same object within one graph."""

    def begin_types(self) -> None:
        """Start on a graph: none of its size variables is known."""
        self.variables: dict[str, SizeExpr] = {}
        self.tensor_types: dict[str, TensorType] = {}
        self.nesting: dict[int, tuple[int, Type]] = {}  # how deep types that hold types are, by identity

    def bounds(self, token: Token) -> None:
        """Declare the variables of a clause `sizes {B in 1..2048, T >= 1}`."""
        inside = token.text[token.text.index("{") + 1 : -1]
        for part in inside.split(",") if inside.strip() else ():
            match = _BOUNDS.fullmatch(part.strip())
            if match is None:
                self.fail(token, f"not the bounds of a size: {part.strip()!r}", "such as B in 1..2048, or T >= 1")
            name, least, lo, hi = match.groups()
            if name in self.variables:
                self.fail(token, f"the bounds of size {name} are given twice")
            lowest = self.number(token, least if lo is None else lo)
            self.variables[name] = self.guarded(token, var, name, lowest, self.number(token, hi))

    def tensor_type(self, parts: list[Token]) -> TensorType:
        token = parts[0]
        found = self.tensor_types.get(token.text)
        if found is None:
            found = self.tensor_types[token.text] = self.read_tensor_type(token)
        return found

    def read_tensor_type(self, token: Token) -> TensorType:
        """The type of a text such as `f32[B, 784]:cuda`."""
        match = _TENSOR.fullmatch(token.text)
        assert match is not None
        name, inside, device = match.groups()
        dtype = by_short.get(name)
        if dtype is None:
            self.fail(token, f"no dtype {name}", "one of " + ", ".join(by_short))
        return TensorType(dtype, tuple(self.read_size(token, text) for text in _split(inside)), device)

    def read_size(self, token: Token, text: str) -> Size:
        """One size of a type."""
        if text.isdecimal() and len(text) < 19:
            return int(text)
        self.declare(text)
        size: Size = self.guarded(token, parse_size, text, self.variables)
        if isinstance(size, int) and size < 0:
            self.fail(token, f"size {size} is negative")
        return size

    def declare(self, text: str) -> None:
        """Make the size variables that a text names, where bounds have not made them."""
        for name in _NAME.findall(text):
            if name not in self.variables and name not in ("min", "max"):
                self.variables[name] = var(name)

    def plain_type(self, parts: list[Token]) -> Type:
        found = _PLAIN.get(parts[0].text)
        if found is None:
            self.fail(parts[0], f"no type {parts[0].text}", f"one of {', '.join(_PLAIN)}, or such as f32[2, 3]")
        return found

    def list_type(self, parts: list[Any]) -> Type:
        name, _, item, token = parts
        if name.text != "list":
            self.fail(name, f"no type {name.text}<...>", "list<...>")
        return self.nested(token, ListType(item), [item])

    def optional_type(self, parts: list[Any]) -> Type:
        item, token = parts
        return self.nested(token, OptionalType(item), [item])

    def tuple_type(self, parts: list[Any]) -> Type:
        items: list[Type] = parts[0] if isinstance(parts[0], list) else []
        if len(items) == 1 and len(parts) == 2:  # parentheses without a comma make no tuple
            return items[0]
        return self.nested(parts[-1], TupleType(tuple(items)), items)

    def nested(self, token: Token, type_: Type, items: list[Type]) -> Type:
        """A type that holds others, unless it is deeper than any real one."""
        depth = 1 + max((self.nesting[id(item)][0] for item in items if id(item) in self.nesting), default=0)
        if depth > _MAX_NESTING:
            self.fail(token, f"types lie more than {_MAX_NESTING} deep inside each other")
        self.nesting[id(type_)] = depth, type_
        return type_


def _split(text: str) -> list[str]:
    """The sizes between the brackets of a type."""
    if "(" not in text:
        return [part.strip() for part in text.split(",")] if text.strip() else []
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
