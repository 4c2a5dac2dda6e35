"""`ingot.jit`: the names that users of `torch.jit` know, and what each does or says."""

import io
import pathlib
import re

import ingot
import numpy as np
import pytest
from ingot import jit, nn
from ingot.frontend.jit_names import _NOT_HERE
from ingot.ir.errors import CaptureError

TORCH_NAMES = [
    "Attribute", "CompilationUnit", "Error", "Final", "Future", "ONNXTracedModule", "RecursiveScriptClass",
    "RecursiveScriptModule", "ScriptFunction", "ScriptModule", "ScriptWarning", "TopLevelTracedModule",
    "TracedModule", "TracerWarning", "TracingCheckError", "annotate", "enable_onednn_fusion", "export",
    "export_opnames", "fork", "freeze", "fuser", "ignore", "interface", "is_scripting", "is_tracing", "isinstance",
    "jit_module_from_flatbuffer", "last_executed_optimized_graph", "load", "onednn_fusion_enabled",
    "optimize_for_inference", "optimized_execution", "run_frozen_optimizations", "save",
    "save_jit_module_to_flatbuffer", "script", "script_if_tracing", "script_method", "set_fusion_strategy",
    "set_module", "strict_fusion", "trace", "trace_module", "unused", "verify", "wait",
]  # fmt: skip


@pytest.mark.parametrize("name", TORCH_NAMES)
def test_every_name_works_or_says_why_not(name):
    if name in _NOT_HERE:
        with pytest.raises(AttributeError, match=rf"ingot.jit has no {name}: .*; instead: "):
            getattr(jit, name)
    else:
        assert getattr(jit, name).__doc__


def test_every_name_stands_in_the_documentation():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "jit.md").read_text(encoding="utf-8")
    assert [name for name in TORCH_NAMES if not re.search(rf"`(\w+\.)*{name}\b", text)] == []


def test_unknown_names_are_plain_attribute_errors():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = jit.nonsense


def test_unused_functions_are_refused_when_a_program_reaches_them():
    class Net(nn.Module):
        @jit.unused
        def debug(self, x):
            return x * 100

        @property
        def scale(self):
            return 2

        def forward(self, x, flag=False):
            return self.debug(x) if flag else x * self.scale

    net = Net()
    assert net(ingot.ones(1), True).item() == 100.0
    assert jit.trace(net, ingot.ones(1))(ingot.ones(1)).item() == 2.0
    with pytest.raises(CaptureError, match=r"Net.debug is marked as unused[\s\S]*test_jit_names.py"):
        jit.trace(net, (ingot.ones(1), True))
    assert jit.unused(property(lambda self: 3)).fget(None) == 3


def test_ignored_functions_keep_their_control_flow():
    @jit.ignore
    def f(x):
        return x + 1

    assert f.__dict__["__ingot_script__"] is False
    assert jit.trace(lambda x: f(x), ingot.ones(1))(ingot.ones(1)).item() == 2.0
    dropped = jit.ignore(drop=True)(lambda x: x)
    assert dropped(3) == 3
    with pytest.raises(CaptureError, match="unused"):
        jit.trace(lambda x: dropped(x), ingot.ones(1))


def test_marks_that_change_nothing():
    def f(x):
        return x

    assert jit.export(f) is f
    assert jit.annotate(list[int], [1]) == [1]
    assert not jit.is_scripting()
    assert not jit.is_tracing()
    x: jit.Final[int] = 3
    assert x == 3


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        ([1, 2], list[int], True),
        ([1, "a"], list[int], False),
        ({"a": 1}, dict[str, int], True),
        ({1: 1}, dict[str, int], False),
        ((1, "a"), tuple[int, str], True),
        ((1, 2), tuple[int, str], False),
        ((1, 2, 3), tuple[int, ...], True),
        (None, int | None, True),
        ("a", int | None, False),
        (3, int | str, True),
        (3.0, (int, str), False),
        (None, None, True),
    ],
)
def test_isinstance_looks_into_containers(value, type_, expected):
    assert jit.isinstance(value, type_) is expected


def test_programs_are_script_modules():
    program = jit.trace(nn.Linear(2, 1), ingot.ones(1, 2))
    model = nn.Sequential(program)
    for name in ("ScriptModule", "ScriptFunction", "RecursiveScriptModule", "TopLevelTracedModule"):
        assert isinstance(program, getattr(jit, name))
        assert isinstance(model[0], getattr(jit, name))
        assert not isinstance(nn.Linear(2, 1), getattr(jit, name))
    assert isinstance(program.as_module(), nn.Module)
    assert jit.as_module(program) is program.as_module()
    with pytest.raises(AttributeError, match="capture an ordinary module"):

        class Old(jit.ScriptModule):
            pass


def test_trace_module_shares_state_between_methods():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return self.encode(x).relu()

        def encode(self, x):
            return self.layer(x)

    net = Net()
    program = jit.trace_module(net, {"forward": ingot.ones(1, 2), "encode": ingot.ones(1, 2)})
    x = ingot.tensor([[1.0, -2.0]])
    assert ingot.allclose(program.run("encode", x), net.encode(x))
    assert sorted(program.state) == ["layer.bias", "layer.weight"]


def test_script_if_tracing_is_plain_python_elsewhere():
    seen = []

    @jit.script_if_tracing
    def f(x):
        seen.append(jit.is_tracing())
        return x * 2 if x.shape[0] > 1 else x

    assert f(ingot.ones(2)).tolist() == [2.0, 2.0]
    assert jit.trace(lambda x: f(x) + 1, ingot.ones(2), check=False)(ingot.ones(2)).tolist() == [3.0, 3.0]
    assert seen == [False, True]


def test_freeze_and_optimize_for_inference(rng):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    x = ingot.tensor(rng.standard_normal((2, 1, 5, 5)).astype(np.float32))
    program = jit.trace(net, x)
    frozen = jit.freeze(program)
    assert not frozen.state
    assert ingot.allclose(frozen(x), net(x), atol=1e-5)
    assert list(jit.freeze(program, ["0.weight"]).state) == ["0.weight"]
    with pytest.raises(CaptureError, match="no state 'nothing'"):
        jit.freeze(program, ["nothing"])
    quick = jit.optimize_for_inference(program)
    assert ingot.allclose(quick(x), net(x), atol=1e-4)
    assert not any("batch_norm" in name for name in jit.export_opnames(quick))
    assert any("batch_norm" in name for name in jit.export_opnames(program))
    training = jit.trace(net.train(), x)
    assert set(jit.freeze(training).state) == set(training.graph.updates)
    with pytest.raises(CaptureError, match="no captured program"):
        jit.freeze(net)


def test_saving_and_loading_with_extra_files_and_buffers(tmp_path):
    program = jit.trace(lambda x: x * 2, ingot.ones(2))
    jit.save(program, tmp_path / "p.ingot", _extra_files={"notes.txt": "hello", "raw": b"\xff\x00"})
    extra = {"notes.txt": "", "raw": "", "missing": "as it was"}
    loaded = jit.load(tmp_path / "p.ingot", map_location="cpu", _extra_files=extra)
    assert extra == {"notes.txt": b"hello", "raw": b"\xff\x00", "missing": "as it was"}
    assert loaded(ingot.ones(2)).tolist() == [2.0, 2.0]
    buffer = io.BytesIO()
    jit.save(nn.Sequential(program)[0], buffer)
    buffer.seek(0)
    assert jit.load(buffer)(ingot.ones(2)).tolist() == [2.0, 2.0]
    assert jit.load(tmp_path / "p.ingot", backend="reference").backend == "reference"


def test_fork_and_wait():
    future = jit.fork(lambda a, b=1: a + b, 1, b=2)
    assert future.done()
    assert jit.wait(future) == future.value() == 3
    assert future.then(lambda f: f.wait() * 2).wait() == 6
    program = jit.trace(lambda x: jit.wait(jit.fork(lambda y: y * 3, x)), ingot.ones(1))
    assert program(ingot.ones(1)).item() == 3.0
