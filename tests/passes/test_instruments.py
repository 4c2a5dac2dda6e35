"""The pass manager's instruments, and bisection."""

import gc
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from golden import read_case
from ingot.ir.errors import ArgumentError, IngotError, VerifyError
from ingot.ir.graph import Graph
from ingot.ir.parser import parse
from ingot.ir.registry import lookup
from ingot.passes import (
    KEYS,
    Instrument,
    Limit,
    Pipeline,
    Print,
    Reproducer,
    Stage,
    Time,
    Verify,
    Why,
    first_wrong_change,
    register_pass,
    run_pipeline,
    unregister_pass,
)
from ingot.passes.instruments import from_text

TEXT = """
graph @f(%x : f32[4]) -> (f32[4], f32[4]):
  %a : f32[4] = ingot::exp(%x)  @model.py:4:5
  %b : f32[4] = ingot::exp(%x)
  %c : f32[4] = ingot::neg(%a)
  %d : f32[4] = ingot::neg(%c)
  %e : f32[4] = ingot::tanh(%b)
  return (%d, %b)
"""


@pytest.fixture
def temporary_pass() -> Iterator[Callable[[Callable[[Graph, Any], bool]], None]]:
    names: list[str] = []

    def register(run: Callable[[Graph, Any], bool]) -> None:
        register_pass()(run)
        names.append(run.__name__)

    yield register
    for name in names:
        unregister_pass(name)


def break_types(graph: Graph, options: Any) -> bool:
    node = next(iter(graph.nodes()))
    node.op = lookup("isnan")
    return True


def crash(graph: Graph, options: Any) -> bool:
    node = next(iter(graph.nodes()))
    node.attrs["gone"] = 1
    raise ZeroDivisionError("a fault in a pass")


def test_a_pipeline_tells_whether_it_changed_anything() -> None:
    graph = parse(TEXT)
    assert run_pipeline(graph, "cse,canonicalize,dce", [])
    assert not run_pipeline(graph, "cse,canonicalize,dce", [])
    assert [node.op.short for node in graph.nodes()] == ["exp"]


def test_verify_names_the_pass_that_broke_the_graph(temporary_pass: Any) -> None:
    temporary_pass(break_types)
    with pytest.raises(VerifyError) as caught:
        run_pipeline(parse(TEXT), "cse,break_types,dce", [Verify()])
    assert "wrong type of %a" in str(caught.value)
    assert "model.py:4:5" in str(caught.value)
    assert "in pass break_types on @f" in str(caught.value)


def test_print_shows_each_graph_and_what_changed_nothing() -> None:
    out = io.StringIO()
    run_pipeline(parse(TEXT), "cse,cse", [Print(out)])
    shown = out.getvalue()
    assert shown.count("graph @f") == 2
    assert "# before cse,cse\n" in shown
    assert "# after cse\n" in shown
    assert shown.endswith("# cse changed nothing\n")


def test_time_has_a_row_for_each_pass() -> None:
    out = io.StringIO()
    time = Time(out)
    run_pipeline(parse(TEXT), "cse,fuse{max_ops=4},dce", [time])
    rows = [(name, before, after, changed) for name, _, before, after, changed in time.rows]
    assert rows == [("cse", 5, 4, True), ("fuse{max_ops=4}", 4, 5, True), ("dce", 5, 4, True)]
    assert len(out.getvalue().splitlines()) == 4


def test_limit_stops_after_changes_and_after_passes() -> None:
    every = Limit(to=io.StringIO())
    run_pipeline(parse(TEXT), "cse,canonicalize,dce", [every])
    assert every.done == 3
    counts = []
    for changes in range(5):
        graph = parse(TEXT)
        run_pipeline(graph, "cse,canonicalize,dce", [Limit(changes, to=io.StringIO()), Verify()])
        counts.append([node.op.short for node in graph.nodes()])
    assert counts == [
        ["exp", "exp", "neg", "neg", "tanh"],
        ["exp", "neg", "neg", "tanh"],
        ["exp", "tanh"],
        ["exp"],
        ["exp"],
    ]
    graph = parse(TEXT)
    run_pipeline(graph, "cse,canonicalize,dce", [Limit(passes=1)])
    assert graph.node_count == 4


def test_limit_says_what_the_last_change_was() -> None:
    out = io.StringIO()
    run_pipeline(parse(TEXT), "cse,canonicalize,dce", [Limit(2, to=out)])
    assert out.getvalue() == "# limit reached at change 2: canonicalize (double negation) at %d = ingot::neg(%c)\n"


@pytest.mark.parametrize("pipeline", ["cse,fold,canonicalize,dce,fuse", "decompose,cse,fuse{max_ops=3},dce"])
def test_every_limit_leaves_a_good_graph(pipeline: str) -> None:
    text = """
    graph @f(%x : f32[B, 4], %c : bool, %n : int) -> (f32[B, 4]):
      %one : f32[] = prim::Constant[value=tensor(f32[], [1.0])]()
      %two : f32[] = ingot::add(%one, %one)
      %s : f32[B, 4] = ingot::softmax[dim=-1](%x)
      %m : f32[B, 4] = ingot::mul(%two, %s)
      %y : f32[B, 4], %u : f32[B, 4] = prim::If(%c)
        block0():
          %p : f32[B, 4] = ingot::neg(%m)
          %q : f32[B, 4] = ingot::neg(%p)
          %r : f32[B, 4] = ingot::tanh(%q)
          -> (%r, %p)
        block1():
          %l : f32[B, 4], %w : f32[B, 4] = prim::Loop(%n, %c, %x, %m)
            block0(%i : int, %l1 : f32[B, 4], %w1 : f32[B, 4]):
              %l2 : f32[B, 4] = ingot::sin(%l1)
              %w2 : f32[B, 4] = ingot::cos(%w1)
              -> (%c, %l2, %w2)
          -> (%l, %m)
      return (%y)
    """
    every = Limit(to=io.StringIO())
    run_pipeline(parse(text), pipeline, [every])
    assert every.done >= 4
    for changes in range(every.done + 1):
        limit = Limit(changes, to=io.StringIO())
        run_pipeline(parse(text), pipeline, [limit, Verify()])
        assert limit.done == changes


def test_bisection_finds_the_first_wrong_change() -> None:
    def is_wrong(graph: Graph) -> bool:
        return all(node.op.short != "neg" for node in graph.nodes())

    graph = parse(TEXT)
    found = first_wrong_change(graph, "cse,canonicalize,dce", is_wrong)
    assert found == "change 2: canonicalize (double negation) at %d = ingot::neg(%c)"
    assert graph.node_count == 5
    assert first_wrong_change(graph, "cse", is_wrong) is None
    assert first_wrong_change(graph, "cse", lambda graph: True) == "the graph shows the fault before any change"


def test_why_tells_refused_rules_with_reasons() -> None:
    out = io.StringIO()
    text = """
    graph @f(%x : f32[4]) -> (f32[4], f32[4]):
      %zero : float = prim::Constant[value=0.0]()
      %a : f32[4] = ingot::add(%x, %zero)  @model.py:3:5
      %b : f32[4] = ingot::add(%a, %zero)
      return (%a, %b)
    """
    run_pipeline(parse(text), "canonicalize", [Why(out)])
    assert out.getvalue() == "# rule 'plus zero' refused: -0.0 + 0 is 0.0 (2x, first at model.py:3:5)\n"


def test_a_reproducer_is_a_golden_file_that_fails_again(temporary_pass: Any, tmp_path: Path) -> None:
    temporary_pass(crash)
    reproducer = Reproducer(tmp_path / "crashes")
    with pytest.raises(ZeroDivisionError) as caught:
        run_pipeline(parse(TEXT), "cse,crash,dce", [reproducer])
    (path,) = reproducer.written
    assert f"reproducer: {path}" in caught.value.__notes__
    assert "in pass crash on @f" in caught.value.__notes__
    case = read_case(path)
    assert case.pipeline == "crash,dce"
    assert "ZeroDivisionError: a fault in a pass" in case.head
    graph = parse(case.before)
    assert graph.node_count == 4  # the graph behind cse, as it was in front of the pass that failed
    with pytest.raises(ZeroDivisionError):
        run_pipeline(graph, case.pipeline, [])


def test_a_reproducer_is_named_by_the_error_and_overwrites_nothing(temporary_pass: Any, tmp_path: Path) -> None:
    temporary_pass(break_types)
    reproducer = Reproducer(tmp_path)
    for _ in range(2):
        with pytest.raises(VerifyError, match="reproducer: "):
            run_pipeline(parse(TEXT), "break_types", [Verify(), reproducer])
    assert len({path.name for path in reproducer.written}) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_instruments_are_called_in_order() -> None:
    calls: list[str] = []

    class Recording(Instrument):
        def begin(self, graph: Graph, pipeline: Pipeline) -> None:
            calls.append(f"begin {pipeline}")

        def may_run(self, stage: Stage) -> bool:
            calls.append(f"may_run {stage}")
            return stage.name != "fuse"

        def before(self, graph: Graph, rest: Pipeline) -> None:
            calls.append(f"before {rest}")

        def after(self, graph: Graph, stage: Stage, changed: bool) -> None:
            calls.append(f"after {stage} {changed}")

        def end(self, graph: Graph) -> None:
            calls.append("end")

    run_pipeline(parse(TEXT), "cse,fuse,cse", [Recording()])
    assert calls == [
        "begin cse,fuse,cse",
        "may_run cse",
        "before cse,fuse,cse",
        "after cse True",
        "may_run fuse",
        "may_run cse",
        "before cse",
        "after cse False",
        "end",
    ]


def test_the_collector_pauses_while_a_pipeline_runs(temporary_pass: Any) -> None:
    seen: list[bool] = []

    def look(graph: Graph, options: Any) -> bool:
        seen.append(gc.isenabled())
        return False

    temporary_pass(look)
    before = gc.isenabled()
    run_pipeline(parse(TEXT), "look", [])
    assert seen == [False]
    assert gc.isenabled() == before


def test_the_variable_puts_instruments_on_every_pipeline(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("INGOT_DEBUG", "verify, print,limit=1")
    graph = parse(TEXT)
    run_pipeline(graph, "cse,dce")
    assert graph.node_count == 4
    assert "# limit reached at change 1: cse at %b" in capsys.readouterr().err
    monkeypatch.setenv("INGOT_DEBUG", "")
    assert run_pipeline(graph, "dce")


def test_every_key_makes_its_instrument(tmp_path: Path) -> None:
    made = from_text(f"verify,print,time,why,limit=3,repro={tmp_path}")
    kinds = [Verify, Print, Time, Why, Limit, Reproducer]
    assert [type(instrument) for instrument in made] == kinds
    assert set(KEYS) == {"verify", "print", "time", "why", "limit", "repro"}
    (limit,) = from_text("limit=pass:2")
    assert isinstance(limit, Limit)
    assert (limit.changes, limit.passes) == (None, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("verfy", "did you mean 'verify'"),
        ("limit", "limit=N"),
        ("limit=", "limit=N"),
        ("limit=many", "limit=N or limit=pass:N"),
        ("verify=1", "expected  verify"),
        ("repro", "repro=DIR"),
    ],
)
def test_a_wrong_key_is_refused(text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        from_text(text)
    assert message in str(caught.value)


def test_errors_of_a_pass_say_which_pass(temporary_pass: Any) -> None:
    def refuse(graph: Graph, options: Any) -> bool:
        raise IngotError("no")

    temporary_pass(refuse)
    with pytest.raises(IngotError, match="in pass refuse on @f"):
        run_pipeline(parse(TEXT), "refuse", [])
