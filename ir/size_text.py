"""Reading sizes and relations of sizes from text.

The language is what `str` of a size prints: integers, variables, `+ - * // %`, unary minus, parentheses,
`min(...)` and `max(...)`, with Python's precedence. The text may come from a stranger: its length, its
numbers and everything computed on the way are bounded, and nesting costs no recursion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from .errors import ParseError, ShapeError
from .size_algebra import OPERATIONS
from .size_bounds import COMPARISONS
from .size_expr import Size, SizeExpr

__all__ = ["MAX_TOKENS", "parse_comparison", "parse_size"]

MAX_TOKENS: Final = 1000
_MAX_DIGITS: Final = 19
_MAX_BITS: Final = 256  # of any coefficient on the way

_TOKEN: Final = re.compile(r"\s*(?:([0-9]+)|([A-Za-z_][A-Za-z0-9_]*)|(//|[<>=!]=|[-+*%(),<>]))")
_CLOSING_SPACE: Final = re.compile(r"\s*\Z")

_NEGATE: Final = "negate"
_BINDING: Final = {"+": 1, "-": 1, "*": 2, "//": 2, "%": 2, _NEGATE: 3}
_APPLY: Final[dict[str, Callable[..., Any]]] = OPERATIONS | {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    _NEGATE: lambda a: -a,
}


def parse_size(text: str, variables: Mapping[str, SizeExpr]) -> Size:
    """The size that a text stands for; `parse_size(str(e), ...) == e`.

    Args:
        variables: the variables that the text may name.

    Raises:
        ParseError: naming the text and the column, for anything that is not a size.

    >>> from .size_expr import var
    >>> parse_size("(H - 3)//2 + 1", {"H": var("H")})
    (H - 3)//2 + 1
    """
    return _Parser(text, _tokens(text), variables).size()


def parse_comparison(text: str, variables: Mapping[str, SizeExpr]) -> tuple[str, Size, Size]:
    """The op and the two sides of a text such as `H % 2 == 0`."""
    tokens = _tokens(text)
    places = [i for i, (token, _) in enumerate(tokens) if token in COMPARISONS]
    if len(places) != 1:
        raise ParseError(f"not a relation of two sizes: {_shown(text)}", expected="such as H % 2 == 0")
    place = places[0]
    left = _Parser(text, tokens[:place], variables).size()
    right = _Parser(text, tokens[place + 1 :], variables).size()
    return tokens[place][0], left, right


def _tokens(text: str) -> list[tuple[str, int]]:
    """Tokens with their columns, counted from 1."""
    tokens: list[tuple[str, int]] = []
    position = 0
    while not _CLOSING_SPACE.match(text, position):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ParseError(f"not a size: {_shown(text)}", found=f"{text[position:].strip()[:1]!r}")
        if len(tokens) == MAX_TOKENS:
            raise ParseError("size expression too long", expected=f"at most {MAX_TOKENS} tokens")
        tokens.append((match[match.lastindex or 0], match.start(match.lastindex or 0) + 1))
        position = match.end()
    return tokens


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


class _Parser:
    """Operator precedence with two explicit stacks (Dijkstra's shunting yard)."""

    def __init__(self, text: str, tokens: list[tuple[str, int]], variables: Mapping[str, SizeExpr]) -> None:
        self.text = text
        self.tokens = tokens
        self.variables = variables
        self.values: list[Size] = []
        self.pending: list[str] = []  # operators, "(" and the names of open calls
        self.counts: list[int] = []  # arguments so far, for each open parenthesis

    def size(self) -> Size:
        operand_next = True
        for index, (token, column) in enumerate(self.tokens):
            try:
                operand_next = self._take(token, index, operand_next)
            except (ShapeError, ZeroDivisionError) as error:
                raise self._error(f"column {column}: {error}") from None
            except _Unexpected:
                self._fail(f"{token!r} at column {column}")
        if operand_next:
            self._fail("the end of the text")
        return self._finish()

    def _take(self, token: str, index: int, operand_next: bool) -> bool:
        """Take one token; returns whether an operand has to come next."""
        if operand_next:
            return self._take_operand(token, index)
        if token in _BINDING:
            self._reduce(_BINDING[token])
            self.pending.append(token)
            return True
        if token in (",", ")") and self.counts:
            self._close(token)
            return token == ","
        raise _Unexpected

    def _take_operand(self, token: str, index: int) -> bool:
        if token == "-":
            self.pending.append(_NEGATE)
            return True
        if token == "(":
            self._open("(")
            return True
        if token in ("min", "max"):
            if index + 1 == len(self.tokens) or self.tokens[index + 1][0] != "(":
                raise _Unexpected
            self.pending.append(token)
            return True
        if not (token[0].isalnum() or token[0] == "_"):
            raise _Unexpected
        self.values.append(self._leaf(token))
        return False

    def _leaf(self, token: str) -> Size:
        if not token[0].isdigit():
            found = self.variables.get(token)
            if found is None:
                known = ", ".join(sorted(self.variables)[:8])
                raise self._error(f"no variable {token}", f"one of {known}" if known else "no variables")
            return found
        if len(token) > _MAX_DIGITS:
            raise self._error("a number too long", f"at most {_MAX_DIGITS} digits")
        return int(token)

    def _open(self, token: str) -> None:
        self.pending.append(token)
        self.counts.append(1)

    def _close(self, token: str) -> None:
        """At a comma or a closing parenthesis: finish the argument, and the call or the parenthesis."""
        self._reduce(0)
        called = len(self.pending) > 1 and self.pending[-2] in ("min", "max")
        if token == ",":
            if not called:
                raise _Unexpected
            self.counts[-1] += 1
            return
        self.pending.pop()
        count = self.counts.pop()
        if called:
            self._apply(self.pending.pop(), count)

    def _reduce(self, binding: int) -> None:
        """Apply the pending operators that bind at least as tightly."""
        while self.pending and _BINDING.get(self.pending[-1], -1) >= binding:
            op = self.pending.pop()
            self._apply(op, 1 if op == _NEGATE else 2)

    def _apply(self, op: str, count: int) -> None:
        operands = self.values[-count:]
        del self.values[-count:]
        result = _APPLY[op](*operands)
        largest = max(map(abs, result.poly.values())) if isinstance(result, SizeExpr) else abs(result)
        if largest.bit_length() > _MAX_BITS:
            raise ShapeError("coefficients too large", expected=f"at most {_MAX_BITS} bits")
        self.values.append(result)

    def _finish(self) -> Size:
        try:
            self._reduce(0)
        except (ShapeError, ZeroDivisionError) as error:
            raise self._error(str(error)) from None
        if self.pending or len(self.values) != 1:
            self._fail("the end of the text", "a closing parenthesis")
        return self.values[0]

    def _fail(self, found: str, expected: str = "") -> NoReturn:
        raise ParseError(f"not a size: {_shown(self.text)}", expected=expected, found=found)

    def _error(self, what: str, expected: str = "") -> ParseError:
        return ParseError(f"size {_shown(self.text)}: {what}", expected=expected)


class _Unexpected(Exception):
    """The token cannot stand where it does."""
