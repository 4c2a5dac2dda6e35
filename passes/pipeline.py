"""Pipelines as text: `canonicalize,cse,fuse{max_inputs=16},dce`, parsed, checked and printed.

A pipeline is passes with commas between them. Options stand in braces behind a pass, `name=value` with commas
between them; a value is a number, `true`, `false`, `none`, a word, a text in double quotes, or several of these in
brackets. Spaces and line breaks may stand between any two of these.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..ir.errors import ParseError, UnsupportedError
from .registered import OptionKind, Pass, find_pass

__all__ = ["INFERENCE", "SIMPLIFY", "TRAINING", "Pipeline", "Stage", "parse_pipeline"]

SIMPLIFY: Final = "drop_user_gradients,fold,canonicalize{inference=true},cse,hoist,fold_batch_norm,dce"
"""For a program that runs and is not differentiated, as far as `partition` wants it."""

INFERENCE: Final = SIMPLIFY + ",fuse"
"""What makes a graph that will not be differentiated quick."""

TRAINING: Final = "drop_user_gradients,fold,canonicalize,cse,hoist,dce,fuse"
"""What makes a graph of a training step quick and leaves its meaning, bit by bit, as it is."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass of a pipeline with its options."""

    pass_: Pass
    options: Any

    @property
    def name(self) -> str:
        return self.pass_.name

    def __str__(self) -> str:
        default = self.pass_.options()
        values = {f.name: getattr(self.options, f.name) for f in dataclasses.fields(self.options)}
        given = [f"{k}={_value_text(v)}" for k, v in values.items() if v != getattr(default, k)]
        return self.name + ("{" + ",".join(given) + "}" if given else "")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Passes to be run one after the other.

    >>> from ingot.passes import parse_pipeline
    >>> str(parse_pipeline("cse, fuse{ max_inputs = 8 }"))
    'cse,fuse{max_inputs=8}'
    """

    stages: tuple[Stage, ...]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def starting_at(self, index: int) -> Pipeline:
        """The same pipeline without the stages in front of `index`."""
        return Pipeline(self.stages[index:])

    def __str__(self) -> str:
        return ",".join(map(str, self.stages))


def _value_text(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ",".join(map(_value_text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value if re.fullmatch(_WORD, value) and value not in _CONSTANTS else json.dumps(value)
    return repr(value)


def parse_pipeline(text: str) -> Pipeline:
    """Read a pipeline.

    Raises:
        ParseError: for what is not a pipeline, an unknown pass or option, or a value of the wrong kind; it shows
            the place, and close names where there are any.
    """
    return _Reader(text).pipeline()


_WORD: Final = r"[A-Za-z_][\w:.]*"
_TOKEN: Final = re.compile(
    rf"""\s*(?: (?P<word>{_WORD})
    | (?P<number>[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf\b))
    | (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<sign>[,={{}}\[\]])
    | (?P<end>\Z) )""",
    re.X,
)
_CONSTANTS: Final[Mapping[str, Any]] = {"true": True, "false": False, "none": None, "inf": float("inf")}


class _Reader:
    """Reads tokens one by one; each method reads one form of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.start = self.stop = 0
        self.kind = self.token = ""
        self.advance()

    def pipeline(self) -> Pipeline:
        stages = []
        while self.kind != "end":
            stages.append(self.stage())
            if self.kind != "end":
                self.sign(",", "',' or the end")
        return Pipeline(tuple(stages))

    def stage(self) -> Stage:
        name = self.word("the name of a pass")
        try:
            found = find_pass(name)
        except UnsupportedError as error:
            raise self.error(error.what, error.expected, error.advice) from None
        self.advance()
        options = found.options()
        return Stage(found, dataclasses.replace(options, **self.options(found)) if self.skip("{") else options)

    def options(self, of: Pass) -> dict[str, Any]:
        kinds = of.kinds
        given: dict[str, Any] = {}
        while not self.skip("}"):
            if given:
                self.sign(",", "',' or '}'")
            name = self.word("the name of an option")
            if name not in kinds:
                close = difflib.get_close_matches(name, kinds, 1)
                known = f"one of {', '.join(kinds)}" if kinds else "no options"
                raise self.error(
                    f"{of.name} has no option {name!r}", known, f"did you mean {close[0]!r}?" if close else ""
                )
            if name in given:
                raise self.error(f"option {name!r} is given twice")
            self.advance()
            self.sign("=", "'='")
            given[name] = self.value(f"{of.name}: {name}", kinds[name])
        return given

    def value(self, what: str, kind: OptionKind) -> Any:
        if not kind.many:
            return self.item(what, kind)
        if kind.optional and self.token == "none":
            return self.item(what, kind)
        if not self.skip("["):
            return (self.item(what, kind),)
        items: list[Any] = []
        while not self.skip("]"):
            if items:
                self.sign(",", "',' or ']'")
            items.append(self.item(what, kind))
        return tuple(items)

    def item(self, what: str, kind: OptionKind) -> Any:
        value = self.literal()
        right = type(value) is kind.item or (kind.item is float and type(value) is int)
        if kind.item is str and self.kind == "word":
            right, value = True, self.token if value is not None or not kind.optional else None
        if not right and not (value is None and kind.optional):
            raise self.error(f"{what} is {self.token or 'missing'}", str(kind))
        self.advance()
        return float(value) if kind.item is float and value is not None else value

    def literal(self) -> Any:
        if self.kind == "word":
            return _CONSTANTS.get(self.token, self.token)
        if self.kind == "text":
            return json.loads(self.token)
        if self.kind != "number":
            raise self.error(f"{self.token!r} is not a value" if self.token else "a value is missing")
        return int(self.token) if re.fullmatch(r"[-+]?\d+", self.token) else float(self.token)

    def word(self, expected: str) -> str:
        if self.kind != "word":
            raise self.error(f"{self.token!r} in a pipeline" if self.token else "the pipeline breaks off", expected)
        return self.token

    def sign(self, sign: str, expected: str) -> None:
        if not self.skip(sign):
            raise self.error(f"{self.token!r} in a pipeline" if self.token else "the pipeline breaks off", expected)

    def skip(self, sign: str) -> bool:
        if self.kind != "sign" or self.token != sign:
            return False
        self.advance()
        return True

    def advance(self) -> None:
        match = _TOKEN.match(self.text, self.stop)
        if match is None:
            self.start = self.stop = len(self.text) - len(self.text[self.stop :].lstrip())
            raise self.error(f"{self.text[self.start]!r} in a pipeline", "passes with commas between them")
        self.kind = match.lastgroup or ""
        self.token = match[self.kind]
        self.start, self.stop = match.span(self.kind)

    def error(self, what: str, expected: str = "", advice: str = "") -> ParseError:
        line = self.text[: self.start].rpartition("\n")[2]
        rest = self.text[self.start :].partition("\n")[0]
        shown = f"{line}{rest}\n            {' ' * len(line)}^"
        return ParseError(what, expected=expected, found=shown, advice=advice)
