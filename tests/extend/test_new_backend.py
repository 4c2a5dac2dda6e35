"""A new backend is one class and one registration: programs run on it, and it says what it cannot do."""

import ingot
import numpy as np
import pytest
from ingot.backends.backend import Backend, Executable, Source, register_backend
from ingot.ir.errors import UnsupportedError
from ingot.ir.registry import lookup
from ingot.jit import trace


class Script(Executable):
    """Runs lines of `result = op(operands)`."""

    def __init__(self, source):
        self.lines = source.facts["lines"]
        self.inputs, self.outputs = source.facts["inputs"], source.facts["outputs"]

    def __call__(self, inputs, state, sizes):
        values = dict(zip(self.inputs, inputs, strict=True))
        for result, op, operands, attrs in self.lines:
            values[result] = lookup(op).kernel(*[values[x] for x in operands], **attrs)
        return [np.array(values[x]) for x in self.outputs], {}


class Toy(Backend):
    """Takes straight lines of element-wise ops and constants."""

    name = "toy"

    def refuses(self, node):
        plain = node.op.kind in ("elementwise", "prim") and node.op.name not in ("prim::If", "prim::Loop")
        return None if plain else f"the toy has no {node.op.kind} ops"

    def emit(self, graph):
        lines = []
        for node in graph.nodes():
            if node.op.name in ("prim::Return", "prim::Yield", "prim::FusionGroup"):
                continue
            lines.append((node.output.name, node.op.name, [v.name for v in node.inputs], dict(node.attrs)))
        lines = self._flat(graph, lines)
        text = "\n".join(f"{r} = {op}({', '.join(xs)}) {attrs}" for r, op, xs, attrs in lines)
        facts = {
            "lines": lines,
            "inputs": [v.name for v in graph.inputs],
            "outputs": [self._names.get(v.name, v.name) for v in graph.outputs],
        }
        return Source("toy", text, graph.name, facts=facts)

    def _flat(self, graph, lines):
        """Fusion groups opened: their parameters and results are other names of values outside."""
        self._names = {}
        for node in graph.nodes():
            for block in node.blocks:
                self._names.update(zip((p.name for p in block.params), (v.name for v in node.inputs), strict=True))
                self._names.update(zip((v.name for v in node.outputs), (v.name for v in block.returns), strict=True))
        return [(r, op, [self._names.get(x, x) for x in xs], attrs) for r, op, xs, attrs in lines]

    def load(self, source):
        return Script(source)


@pytest.fixture(scope="module", autouse=True)
def toy():
    return register_backend(Toy())


def test_a_program_runs_on_it():
    program = trace(lambda x: (x * 2 + 1).relu().exp(), ingot.ones(3), dynamic_shapes={0: "n"})
    x = ingot.tensor([-1.0, 0.5, 2.0, 3.0])
    assert ingot.allclose(program.to("toy")(x), program(x))
    assert "ingot::exp" in program.code("toy")


def test_what_it_refuses_is_told_at_once_with_the_line():
    program = trace(lambda x: ingot.softmax(x, 0) @ x, ingot.ones(3))
    with pytest.raises(UnsupportedError) as caught:
        program.to("toy")(ingot.ones(3))
    text = str(caught.value)
    assert "the toy backend cannot run @forward" in text
    assert "ingot::softmax: the toy has no composite ops" in text
    assert "ingot::matmul: the toy has no nest ops" in text
    assert "test_new_backend.py" in text


def test_an_unknown_backend_lists_those_there_are():
    program = trace(lambda x: x, ingot.ones(1))
    with pytest.raises(UnsupportedError, match="numpy"):
        program.to("tpu")
