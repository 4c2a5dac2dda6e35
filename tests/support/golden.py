"""Golden files: a graph, a pipeline, and the exact text that the pipeline makes of it.

    # What the case is about, in words.
    # pipeline: cse,dce
    graph @f(%x : f32[2]) -> (f32[2]):
      ...
    # expect:
    graph @f(%x : f32[2]) -> (f32[2]):
      ...

Running one also executes both graphs on generated inputs and compares them bit by bit (which NaN comes out apart),
checks that a second run of the pipeline changes nothing, and that each pass told the truth about having changed
something. `# tolerance: 1e-5` in the head is for pipelines that round differently: inputs are then plain numbers
between 0.5 and 1.5, and the largest difference, relative to the largest result but at least to 1, is bounded.

The pipeline `differentiate` changes what a graph means: instead, the outputs that the graph had are compared, and the
gradients behind them with central differences.

A wrong graph has `# error: text` behind the line that is at fault, where `text` is part of the message.
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ingot.ir import ops  # noqa: F401  fills the registry
from ingot.ir.errors import IngotError
from ingot.ir.graph import Graph, same_graph
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.sizes import bounds, evaluate
from ingot.ir.types import BOOL, INT, KEY, TensorType, Type
from ingot.ir.verifier import verify
from ingot.passes import Instrument, Pipeline, Stage, parse_pipeline, run_pipeline

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

_EXPECT = "# expect:\n"
_ERROR = re.compile(r"#\s*error:\s*(.+?)\s*$")


@dataclass(frozen=True)
class Case:
    """One golden file."""

    path: Path
    head: str
    pipeline: str
    tolerance: float
    before: str
    expected: str


def read_case(path: Path) -> Case:
    """Read a golden file."""
    text = path.read_text(encoding="utf-8")
    start = text.index("graph @")
    before, separator, expected = text[start:].partition(_EXPECT)
    assert separator, f"{path}: no line '# expect:'"
    settings = dict(re.findall(r"^#\s*(pipeline|tolerance):\s*(.*?)\s*$", text[:start], re.M))
    tolerance = float(settings.get("tolerance", 0.0))
    return Case(path, text[:start], settings["pipeline"], tolerance, before, expected)


class Honest(Instrument):
    """Checks that each pass says truly whether it changed the graph."""

    def before(self, graph: Graph, rest: Pipeline) -> None:
        self.copy = graph.copy()

    def after(self, graph: Graph, stage: Stage, changed: bool) -> None:
        difference = same_graph(self.copy, graph)
        if changed and difference is None:
            raise AssertionError(f"{stage} says that it changed the graph, and did not")
        if not changed and difference is not None:
            raise AssertionError(f"{stage} says that it changed nothing; {difference}")
        verify(graph)


def check_case(path: Path, rng: np.random.Generator, bless: bool) -> None:
    """Run a golden file; with `bless`, write down what comes out instead of comparing the text."""
    case = read_case(path)
    graph = parse(case.before, path.name)
    verify(graph)
    changed = graph.copy()
    run_pipeline(changed, case.pipeline, [Honest()])
    produced = str(changed)
    if bless:
        path.write_text(case.head + case.before + _EXPECT + produced, encoding="utf-8")
    else:
        assert produced == case.expected, "run `pytest --bless` and review the difference"
    assert same_graph(parse(produced), changed) is None
    if parse_pipeline(case.pipeline).stages[0].name == "differentiate":
        for _ in range(3):
            assert_is_derivative(graph, changed, parse_pipeline(case.pipeline).stages[0].options, rng, case.tolerance)
        return
    assert not run_pipeline(changed, case.pipeline, [Honest()]), "a second run changes the graph again"
    assert same_graph(parse(produced), parse(str(changed))) is None
    for _ in range(3):
        assert_same_results(graph, changed, rng, case.tolerance)


def assert_same_results(a: Graph, b: Graph, rng: np.random.Generator, tolerance: float = 0.0) -> None:
    """Execute two graphs of one signature on the same generated inputs and compare what comes out."""
    sizes = choose_sizes(a, rng)
    inputs = [generate(value.type, sizes, rng, tolerance > 0) for value in a.inputs]
    state = {key: generate(value.type, sizes, rng, tolerance > 0) for key, value in a.state.items()}
    outputs, updates = interpret(a, inputs, state)
    other_outputs, other_updates = interpret(b, inputs, {key: state[key] for key in b.state})
    assert updates.keys() == other_updates.keys()
    for x, y in zip([*outputs, *updates.values()], [*other_outputs, *other_updates.values()], strict=True):
        assert_close(x, y, tolerance)


def assert_is_derivative(a: Graph, b: Graph, options: Any, rng: np.random.Generator, tolerance: float) -> None:
    """Check that `b` gives the outputs of `a`, then the gradients of its float64 inputs and state."""
    sizes = choose_sizes(a, rng)
    inputs = [generate(value.type, sizes, rng, True) for value in a.inputs]
    state = {key: generate(value.type, sizes, rng, True) for key, value in a.state.items()}
    outputs, _ = interpret(a, inputs, state)
    seeds = [rng.standard_normal(y.shape) if y.dtype == np.float64 else None for y in outputs]
    found, _ = interpret(b, [*inputs, *(seed for seed in seeds if seed is not None)], state)
    for x, y in zip(outputs, found, strict=False):
        assert_close(x, y, 0.0)

    def total() -> float:
        again, _ = interpret(a, inputs, state)
        return float(sum(np.sum(y * seed) for y, seed in zip(again, seeds, strict=True) if seed is not None))

    named = {**dict(enumerate(inputs)), **state}
    chosen = [*(range(len(inputs)) if options.inputs is None else options.inputs)]
    chosen += state if options.state is None else options.state
    arrays = [x for key in chosen if getattr(x := named[key], "dtype", None) == np.float64]
    for gradient, x in zip(found[len(outputs) :], arrays, strict=True):
        assert_close(central_differences(total, x), gradient, tolerance)


def central_differences(function: Callable[[], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """The gradient of a function by the elements of an array that it reads, which are moved one by one."""
    found = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        middle = x[place]
        x[place] = middle + step
        above = function()
        x[place] = middle - step
        found[place] = (above - function()) / (2 * step)
        x[place] = middle
    return found


def assert_close(x: Any, y: Any, tolerance: float) -> None:
    """Equal bit by bit but for NaN, or within the tolerance."""
    x, y = np.asarray(x), np.asarray(y)
    assert x.dtype == y.dtype and x.shape == y.shape, f"{x.dtype}{x.shape} and {y.dtype}{y.shape}"
    if tolerance and x.size:
        assert not np.isnan(x).any(), "the generated inputs give NaN, which says nothing"
        scale = max(1.0, float(np.abs(x).max()))
        assert float(np.abs(x.astype(np.float64) - y.astype(np.float64)).max()) <= tolerance * scale
        return
    assert bits(x) == bits(y), f"{x} and {y}"


def bits(x: Any) -> bytes:
    """The bytes of an array, with one NaN for all."""
    x = np.array(x)
    if x.dtype.kind not in "biu":
        x[x != x] = np.nan
    return x.tobytes()


def choose_sizes(graph: Graph, rng: np.random.Generator) -> dict[str, int]:
    """Values of a graph's size variables that keep its bounds and assumptions."""
    variables = graph.sizes
    ranges = []
    for variable in variables.values():
        lo, hi = bounds(variable)
        low = max(lo or 0, 0)
        values = list(range(low, min(low + 8, hi if hi is not None else low + 8) + 1))
        rng.shuffle(values)
        ranges.append(sorted(values, key=lambda n: n < 2))
    for values in itertools.product(*ranges):
        found = dict(zip(variables, values, strict=True))
        relations = [a.relation for a in graph.assumptions if a.relation.free_vars <= found.keys()]
        if all(relation.holds(found) for relation in relations) and _not_negative(graph, found):
            return found
    raise AssertionError(f"no sizes fit {[str(a) for a in graph.assumptions]}")


def _not_negative(graph: Graph, sizes: dict[str, int]) -> bool:
    types = [value.type for value in graph.block.params if isinstance(value.type, TensorType)]
    return all(evaluate(size, sizes) >= 0 for type_ in types for size in type_.sizes)


SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, 1e-40, 3.4e38)


def generate(type_: Type, sizes: dict[str, int], rng: np.random.Generator, plain: bool) -> Any:
    """A value of a type: small integers from 0 to 3, floats with special values among them unless `plain`."""
    if type_ is KEY:
        return rng.integers(0, 1 << 63, 2, dtype=np.uint64)
    if not isinstance(type_, TensorType):
        number = int(rng.integers(0, 4))
        return bool(number % 2) if type_ is BOOL else number if type_ is INT else number - 1.5
    shape = tuple(evaluate(size, sizes) for size in type_.sizes)
    if type_.dtype.kind != "float":
        return rng.integers(0, 2 if type_.dtype.kind == "bool" else 4, shape).astype(type_.dtype.np)
    if plain:
        return rng.uniform(0.5, 1.5, shape).astype(type_.dtype.np)
    values = np.where(rng.random(shape) < 0.2, rng.choice(SPECIAL, shape), rng.standard_normal(shape) * 2)
    with np.errstate(all="ignore"):
        return values.astype(type_.dtype.np)


# -- wrong graphs


def check_wrong_graph(path: Path) -> None:
    """Check that a wrong graph is refused for the line that says so."""
    lines = path.read_text(encoding="utf-8").split("\n")
    guilty = [(number, match[1]) for number, line in enumerate(lines, 1) if (match := _ERROR.search(line))]
    assert len(guilty) == 1, f"{path}: {len(guilty)} lines are marked '# error:'"
    text = "\n".join(_with_location(line, number) for number, line in enumerate(lines, 1))
    try:
        verify(parse(text, "golden.ir"))
    except IngotError as error:
        found = error
    else:
        raise AssertionError(f"{path.name} was accepted")
    ((line, message),) = guilty
    assert message in str(found), f"expected {message!r} in\n{found}"
    place = found.location.line if found.location is not None else _first_line(lines)
    assert place == line, f"line {line} is marked, line {place} was refused:\n{found}"


def _with_location(line: str, number: int) -> str:
    code = line.partition("#")[0].rstrip()
    if not code.strip() or code.endswith(":") or " @" in code:
        return line
    return f"{code}  @golden.ir:{number}:1"


def _first_line(lines: list[str]) -> int:
    return next(number for number, line in enumerate(lines, 1) if line.startswith("graph @"))
