"""Pipelines as text, and registering passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from ingot.ir.errors import ArgumentError, ParseError
from ingot.ir.graph import Graph
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.verifier import verify
from ingot.passes import INFERENCE, SIMPLIFY, TRAINING, parse_pipeline, register_pass, run_pipeline, unregister_pass
from ingot.passes.fuse import FuseOptions


@dataclass(frozen=True)
class EveryKind:
    number: int = 1
    ratio: float = 0.5
    flag: bool = False
    word: str = "a"
    names: tuple[str, ...] = ()
    maybe: int | None = None
    lists: tuple[int, ...] | None = None


@pytest.fixture(autouse=True)
def every_kind() -> Iterator[None]:
    @register_pass(options=EveryKind)
    def every_kind_of_option(graph: Graph, options: EveryKind) -> bool:
        return False

    yield
    unregister_pass("every_kind_of_option")


def options(text: str) -> Any:
    (stage,) = parse_pipeline(f"every_kind_of_option{{{text}}}")
    return stage.options


def test_a_pipeline_is_passes_with_options_and_prints_as_it_reads() -> None:
    text = "canonicalize,cse,fuse{max_ops=8,max_inputs=4},dce"
    pipeline = parse_pipeline(text)
    assert [stage.name for stage in pipeline] == ["canonicalize", "cse", "fuse", "dce"]
    assert pipeline.stages[2].options == FuseOptions(max_ops=8, max_inputs=4)
    assert str(pipeline) == text
    assert str(parse_pipeline(" cse ,\n fuse { max_inputs = 4 } , dce ")) == "cse,fuse{max_inputs=4},dce"
    assert len(parse_pipeline("")) == 0
    assert str(parse_pipeline("fuse{max_inputs=16}")) == "fuse"  # the default is not printed


@pytest.mark.parametrize("text", [INFERENCE, SIMPLIFY, TRAINING])
def test_the_pipelines_that_come_along_are_pipelines(text: str) -> None:
    assert str(parse_pipeline(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("number=-3,ratio=2,flag=true,word=b.c", EveryKind(-3, 2.0, True, "b.c")),
        ("ratio=1e-3", EveryKind(ratio=1e-3)),
        ("ratio=-inf", EveryKind(ratio=float("-inf"))),
        ("ratio=inf", EveryKind(ratio=float("inf"))),
        ('word="a, \\"b\\"}"', EveryKind(word='a, "b"}')),
        ("word=true", EveryKind(word="true")),
        ("names=[a,b::c]", EveryKind(names=("a", "b::c"))),
        ("names=one", EveryKind(names=("one",))),
        ("names=[]", EveryKind()),
        ("maybe=3", EveryKind(maybe=3)),
        ("maybe=none,lists=[1,2]", EveryKind(lists=(1, 2))),
        ("lists=none", EveryKind()),
    ],
)
def test_values_have_the_kinds_of_the_options(text: str, expected: EveryKind) -> None:
    found = options(text)
    assert found == expected
    assert type(found.ratio) is float
    assert options(str(parse_pipeline(f"every_kind_of_option{{{text}}}")).partition("{")[2][:-1]) == expected


@pytest.mark.parametrize(
    ("text", "message", "more"),
    [
        ("cs", "no pass 'cs'", "cse"),
        ("cse,", "", ""),
        ("cse dce", "'dce' in a pipeline", "','"),
        ("cse;dce", "';' in a pipeline", "   ^"),
        ("fuse{max_input=3}", "no option 'max_input'", "max_inputs"),
        ("fuse{max_inputs=3,max_inputs=4}", "given twice", ""),
        ("fuse{max_inputs=many}", "max_inputs is many", "int"),
        ("fuse{max_inputs=1.5}", "max_inputs is 1.5", "int"),
        ("fuse{max_inputs=true}", "max_inputs is true", "int"),
        ("fuse{max_inputs=none}", "max_inputs is none", "int"),
        ("fuse{max_inputs}", "'}' in a pipeline", "'='"),
        ("fuse{max_inputs=3", "breaks off", "'}'"),
        ("fuse{max_inputs=", "a value is missing", ""),
        ("cse{x=1}", "no option 'x'", "no options"),
        ("every_kind_of_option{names=[a,1]}", "names is 1", "[text, ...]"),
        ("every_kind_of_option{lists=[1.5]}", "lists is 1.5", "or none"),
        ("{", "'{' in a pipeline", "the name of a pass"),
    ],
)
def test_what_is_not_a_pipeline_is_refused_with_the_place(text: str, message: str, more: str) -> None:
    if text == "cse,":  # a comma at the end does no harm
        assert len(parse_pipeline(text)) == 1
        return
    with pytest.raises(ParseError) as caught:
        parse_pipeline(text)
    shown = str(caught.value)
    assert message in shown
    assert more in shown
    assert "^" in shown


def test_the_caret_stands_under_the_fault() -> None:
    with pytest.raises(ParseError) as caught:
        parse_pipeline("cse,\nfuse{max_ops=a},dce")
    lines = str(caught.value).split("\n")
    at = next(i for i, line in enumerate(lines) if "fuse{" in line)
    assert lines[at].index("=a") + 1 == lines[at + 1].index("^")


def test_registering_refuses_a_name_twice_and_options_that_are_none() -> None:
    with pytest.raises(ArgumentError, match="already registered"):

        @register_pass()
        def cse(graph: Graph, options: Any) -> bool:
            return False

    @dataclass
    class Thawed:
        n: int = 1

    with pytest.raises(ArgumentError, match="not a frozen dataclass"):
        register_pass(options=Thawed)

    @dataclass(frozen=True)
    class NoDefault:
        n: int

    with pytest.raises(ArgumentError, match="has no default"):
        register_pass(options=NoDefault)

    @dataclass(frozen=True)
    class Strange:
        n: dict[str, int] | None = None

    with pytest.raises(ArgumentError, match="cannot be an option"):
        register_pass(options=Strange)


def test_passes_know_what_was_asserted_about_sizes() -> None:
    graph = parse("""
    graph @f(%n : int, %m : int) -> (f32[]):
      prim::Bind[N](%n)
      prim::Bind[M](%m)
      %same : bool[] = ingot::eq(%n, %m)
      prim::Assert[message="sizes differ", error="AssertionError"](%same)
      %a : f32[N] = ingot::full[size=[N], value=1.0, dtype=f32]()
      %b : f32[M] = ingot::full[size=[M], value=3.0, dtype=f32]()
      %y : f32[] = ingot::mse_loss[reduction="mean"](%a, %b)
      return (%y)
    """)
    verify(graph)
    assert run_pipeline(graph, "decompose", [])
    verify(graph)
    assert interpret(graph, [2, 2])[0][0] == 4.0
