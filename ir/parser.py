"""Reading graphs from text.

What lives here: cutting text into tokens, and the automaton. The language is defined in `grammar.lark`, the
printer writes it, and the actions that build the graph are in `text_graphs`, `text_attributes` and
`text_types`. The LALR automaton is lark's, loaded when the first text is parsed; tokens are cut by one
regular expression made of the grammar's terminals, since lark's own lexer would take most of the time.
Parsing takes one pass, time in proportion to the text and no recursion on its depth.

What is checked is only what is needed to have a graph at all: names are defined before they are used, ops and
dtypes exist, the header tells what is returned. All other rules are the verifier's.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .errors import ParseError
from .gc_pause import paused_gc
from .graph import Graph
from .text_graphs import GraphActions
from .text_reader import Token

if TYPE_CHECKING:
    from lark import Lark

__all__ = ["parse", "parse_all"]


def parse(text: str, file: str = "<text>") -> Graph:
    """The graph that a text stands for; `parse(print_graph(g))` equals g.

    Args:
        file: what to call the text in errors.

    Raises:
        ParseError: naming the line and the column, when the text is not exactly one graph.

    >>> graph = parse("graph @same(%x : f32[B, 2]) -> (f32[B, 2]): return (%x)")
    >>> graph.outputs
    (%x : f32[B, 2],)
    """
    graphs = parse_all(text, file)
    if len(graphs) != 1:
        raise ParseError(f"{file}: {len(graphs)} graphs", expected="one graph", advice="read it with parse_all")
    return graphs[0]


@paused_gc()
def parse_all(text: str, file: str = "<text>") -> list[Graph]:
    """All graphs of a text, in order; it holds at least one.

    Raises:
        ParseError: naming the line and the column, when the text is not graphs.
    """
    with _lock:
        lark, actions = _machine()
        actions.begin(text, file)
        try:
            _run(lark, actions)
            return actions.graphs
        finally:
            actions.begin("", "")  # let go of the graphs


# The automaton and its actions are made once and used by one thread at a time.
_lock: Final = threading.Lock()
_made: list[tuple[Lark, GraphActions]] = []


def _machine() -> tuple[Lark, GraphActions]:
    if not _made:
        from lark import Lark
        from lark.lexer import Lexer

        class OneExpressionLexer(Lexer):
            """Cuts tokens, for lark's automaton."""

            def __init__(self, conf: Any) -> None:
                self.expression = _token_expression(conf)

            def lex(self, text: str) -> Iterator[Token]:  # type: ignore[override]
                return _tokens(self.expression, text)

        grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
        actions = GraphActions()
        lark = Lark(grammar, parser="lalr", lexer=OneExpressionLexer, transformer=actions, keep_all_tokens=True)
        _made.append((lark, actions))
    return _made[0]


def _run(lark: Lark, actions: GraphActions) -> None:
    from lark.exceptions import UnexpectedToken

    try:
        lark.parse(actions.text)
    except UnexpectedToken as error:
        _refuse(actions, error.token, error.accepts or error.expected)


_END: Final = "end_of_text"
_UNKNOWN: Final = "unknown_character"


def _token_expression(conf: Any) -> re.Pattern[str]:
    """One expression for what is ignored and the token behind it; the name of the group is the token's."""
    terminals = sorted(conf.terminals, key=lambda t: (-t.priority, -len(t.pattern.value)))
    ignored = "|".join(t.pattern.to_regexp() for t in terminals if t.name in conf.ignore)
    tokens = "|".join(f"(?P<{t.name}>{t.pattern.to_regexp()})" for t in terminals if t.name not in conf.ignore)
    return re.compile(rf"(?:{ignored})*+(?:{tokens}|(?P<{_END}>\Z)|(?P<{_UNKNOWN}>[\s\S]))", re.ASCII)


def _tokens(expression: re.Pattern[str], text: str) -> Iterator[Token]:
    for match in expression.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        if kind == _END:
            return
        yield Token(kind, match[kind], match.start(kind))


# What tokens are called in errors.
_DESCRIPTIONS: Final = {
    "ARROW": "'->'",
    "ASSUME": "'assume'",
    "ATTR": "an attribute such as dim=",
    "BASE64": "'base64'",
    "BLOCK": "a block such as block0(",
    "COLON": "':'",
    "COMMA": "','",
    "EQUAL": "'='",
    "FLOAT": "a number",
    "GRAPH": "'graph @name'",
    "IN": "a path such as in fc1",
    "INT": "a number",
    "LESSTHAN": "'<'",
    "LOCATION": "a location such as @model.py:12:8",
    "LPAR": "'('",
    "LSQB": "'['",
    "MORETHAN": "'>'",
    "NAME": "a word",
    "OP": "an op such as ingot::add",
    "OPERATOR": "an operator of sizes",
    "QMARK": "'?'",
    "RBRACE": "'}'",
    "RETURN": "'return'",
    "RPAR": "')'",
    "RSQB": "']'",
    "SIZES": "'sizes {...}'",
    "SOURCES": "'sources {'",
    "STATE": "'state {'",
    "STRING": "a string",
    "TENSOR": "a type such as f32[2, 3]",
    "TENSOR_OF": "'tensor('",
    "UPDATE": "'update {'",
    "VALUE": "a value such as %x",
    "$END": "the end of the text",
}


def _refuse(actions: GraphActions, token: Any, names: set[str]) -> NoReturn:
    expected = " or ".join(sorted({_DESCRIPTIONS[name] for name in names}))
    if not isinstance(token, Token):
        end = len(actions.text.rstrip())
        actions.fail_at(end, 1, "the text ends too early", expected, "the end of the text")
    found = repr(token.text if len(token.text) <= 40 else token.text[:37] + "...")
    actions.fail(token, "syntax error", expected, found=found)
