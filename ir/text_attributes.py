"""The parser's actions for attributes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .attributes import array_from_bytes, array_from_items, why_not_attribute
from .dtypes import by_short
from .printer import bare_attribute
from .registry import Op
from .sizes import Size, parse_size
from .text_reader import Token
from .text_types import TypeActions

__all__ = ["AttributeActions"]

_MAX_DIGITS: Final = 4000  # Python reads no longer ones
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "none": None, **by_short}


class AttributeActions(TypeActions):
    """Attribute values of every kind, and a node's attributes together."""

    def attr(self, parts: list[Any]) -> tuple[Token | None, Any]:
        return parts[0], parts[1]

    def bare_attr(self, parts: list[Any]) -> tuple[Token | None, Any]:
        return None, parts[0]

    def attributes(self, op: Op, token: Token, entries: list[tuple[Token | None, Any]]) -> dict[str, Any]:
        """A node's attributes; one without a name is the only one that the op has.

        Args:
            token: the op's name.
        """
        found: dict[str, Any] = {}
        for label, value in entries:
            name = bare_attribute(op) if label is None else label.text[:-1]
            if name is None:
                self.fail(token, f"an attribute of {op.name} has no name", op.schema.text)
            if name in found:
                self.fail(label or token, f"attribute {name} of {op.name} is given twice")
            if isinstance(value, tuple) and (why := why_not_attribute(value)):
                self.fail(label or token, f"attribute {name} of {op.name}: {why}")
            found[name] = value
        return found

    # -- values

    def integer(self, parts: list[Token]) -> int:
        token = parts[0]
        if len(token.text) > _MAX_DIGITS:
            self.fail(token, "a number too long", f"at most {_MAX_DIGITS} digits")
        return int(token.text)

    def float_value(self, parts: list[Token]) -> float:
        return float(parts[0].text)

    def string(self, parts: list[Token]) -> str:
        return self.unquoted(parts[0], parts[0].text)

    def word(self, parts: list[Token]) -> Any:
        text = parts[0].text
        return _WORDS[text] if text in _WORDS else self.read_size(parts[0], text)

    def empty_tuple(self, parts: list[Any]) -> tuple[Any, ...]:
        return ()

    def tuple_value(self, parts: list[Any]) -> tuple[Any, ...]:
        return tuple(parts[0])

    def tensor_of_items(self, parts: list[Any]) -> np.ndarray[Any, Any]:
        _, head, _, items, _ = parts
        return self.guarded(head, array_from_items, head.text, items)

    def tensor_of_bytes(self, parts: list[Any]) -> np.ndarray[Any, Any]:
        _, head, _, _, text, _ = parts
        return self.guarded(head, array_from_bytes, head.text, text.text[1:-1])

    # -- size expressions: the tokens from the first to the last one

    def size_start(self, parts: list[tuple[Token, Token]]) -> tuple[Token, Token]:
        return parts[0][0], parts[1][1]

    def size_more(self, parts: list[tuple[Token, Token]]) -> tuple[Token, Token]:
        return parts[0][0], parts[1][1]

    def leaf(self, parts: list[Token]) -> tuple[Token, Token]:
        return parts[0], parts[0]

    def group(self, parts: list[Any]) -> tuple[Token, Token]:
        return parts[0], parts[2]

    def size_value(self, parts: list[tuple[Token, Token]]) -> Size:
        first, last = parts[0]
        text = self.text[first.start : last.start + len(last.text)]
        whole = Token("SIZE", text, first.start)
        self.declare(text)
        return self.guarded(whole, parse_size, text, self.variables)
