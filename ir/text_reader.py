"""What the parser's actions share: errors that show the place in the text, numbers, strings, lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

from .errors import IngotError, ParseError
from .locations import Location

__all__ = ["TextReader", "Token"]

P = ParamSpec("P")
T = TypeVar("T")

_MAX_DIGITS: Final = 18
_SHOWN_BEHIND: Final = 119  # how much of a long line errors show behind the place


class Token:
    """A token as lark's automaton wants it, but knowing only its offset: lines are counted when needed."""

    __slots__ = ("start", "text", "type")

    line = column = end_line = end_column = start_pos = end_pos = 0  # lark copies them to the end's token

    def __init__(self, type_: str, text: str, start: int) -> None:
        self.type = type_
        self.text = text
        self.start = start


class TextReader:
    """The text, and how to complain about it.

    The methods that take `parts` are actions: each is given the parts of one rule of the grammar, tokens
    included, and returns what stands for the whole.
    """

    text: str
    file: str

    def fail(self, token: Token, what: str, expected: str = "", advice: str = "", found: str = "") -> NoReturn:
        """Refuse the text because of what a token says."""
        self.fail_at(token.start, len(token.text.partition("\n")[0]), what, expected, found, advice)

    def fail_at(
        self, start: int, width: int, what: str, expected: str = "", found: str = "", advice: str = ""
    ) -> NoReturn:
        """Refuse the text, showing the line with the place marked.

        Raises:
            ParseError: always.
        """
        begin = self.text.rfind("\n", 0, start) + 1
        line = self.text[begin:].partition("\n")[0]
        number = self.text.count("\n", 0, start) + 1
        column = start - begin + 1
        source = line[: column + _SHOWN_BEHIND].replace("\t", " ").ljust(column)
        place = Location(self.file, number, column, number, column + max(1, width), "", source)
        raise ParseError(what, expected=expected, found=found, location=place, advice=advice) from None

    def guarded(self, token: Token, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns; its error becomes one about the token."""
        try:
            return function(*args, **kwargs)
        except IngotError as error:
            notes = "   ".join(filter(None, (error.found, *error.notes)))
            self.fail(token, error.what, error.expected, error.advice, notes)

    def number(self, token: Token, text: str | None) -> int | None:
        """The integer that a text stands for; None for None."""
        if text is not None and len(text) > _MAX_DIGITS:
            self.fail(token, "a number too long", f"at most {_MAX_DIGITS} digits")
        return None if text is None else int(text)

    def unquoted(self, token: Token, text: str) -> str:
        """The string that a text in JSON's notation stands for."""
        try:
            value: str = json.loads(text, strict=False)
        except ValueError as error:
            self.fail(token, f"not a string: {error}", "a string as in JSON")
        return value

    # -- lists

    def ignored(self, parts: list[Any]) -> None:
        """A part that has done its work."""

    def empty_list(self, parts: list[Any]) -> list[Any]:
        return []

    def list_first(self, parts: list[Any]) -> list[Any]:
        return parts

    def list_start(self, parts: list[Any]) -> list[Any]:
        return [parts[1]]

    def list_more(self, parts: list[Any]) -> list[Any]:
        items: list[Any] = parts[0]
        items.append(parts[2])
        return items

    def complete(self, parts: list[Any]) -> Any:
        return parts[0]
