"""The ledger of a capture: each thing that Python read is there with its line, and nothing else."""

import math
import random
import sys
import threading
from dataclasses import dataclass
from types import SimpleNamespace

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import CaptureError
from ingot.jit import frozen_ok
from ingot.nn import functional as F

SCALE = 0.5
CONFIG = {"lr": 0.1, "deep": {"steps": [1, 2]}, "names": ("a", "b")}
GENERATOR = np.random.default_rng(0)


def ledger_of(func, *args, **options):
    options.setdefault("check", False)
    return ingot.jit.trace(func, args or (ingot.ones(2, 3),), **options).ledger


def told(ledger, *kinds):
    """Expression and value of the entries of some kinds."""
    return [(e.expression, e.value) for e in ledger.of(*kinds)]


# ------------------------------------------------------------------------------------------------ frozen values


def test_names_attributes_calls_and_subscripts_are_noted_and_literals_are_not():
    own = SimpleNamespace(p=0.25, dims=(0, 1))
    table = [3.0]

    def power():
        return 2

    def f(x):
        x = x * 2 + 1.5 - (-1)
        x = x.sum(dim=-1, keepdim=True) * own.p
        x = x * table[0]
        x = x ** power()
        return x.sum(own.dims)

    assert told(ledger_of(f), "frozen") == [
        ("own.p", "0.25"),
        ("table[0]", "3.0"),
        ("power()", "2"),
        ("own.dims", "(0, 1)"),
    ]


def test_defaults_are_not_noted():
    assert not ledger_of(lambda x: F.softmax(x.sum(0), 0) + x.mean() + F.dropout(x, training=False)).of("frozen")


def test_arguments_go_by_the_names_of_what_was_called():
    p, training, slope = 0.5, True, 0.125

    def f(x):
        y = F.dropout(x, p, training=training)
        return F.leaky_relu(y, negative_slope=slope) + y.softmax(len(CONFIG) - 3)

    entries = ledger_of(f).of("frozen")
    assert [(e.what, e.expression, e.value) for e in entries if "softmax" not in e.what] == [
        ("p of dropout", "p", "0.5"),
        ("training of dropout", "training", "True"),
        ("negative_slope of leaky_relu", "slope", "0.125"),
    ]
    assert [(e.what, e.expression) for e in entries if "softmax" in e.what] == [("dim of softmax", "len(CONFIG) - 3")]


def test_operands_on_either_side():
    k = 3

    def f(x):
        a = k - x
        b = x - k
        c = k < x
        a *= k
        return a + b + c + (-k) * x

    assert told(ledger_of(f), "frozen") == [("k", "3"), ("k", "3"), ("k", "3"), ("k", "3"), ("-k", "-3")]


def test_indices_and_assigned_values():
    i, stop, fill = 1, 2, 7.0

    def f(x):
        y = x[i, :stop] + x[0, 1]
        z = x.clone()
        z[:, i] = fill
        return y.sum() + z

    entries = ledger_of(f).of("frozen")
    assert [(e.what, e.expression, e.value) for e in entries] == [
        ("index", "i", "1"),
        ("index", "stop", "2"),
        ("index", "i", "1"),
        ("assigned value", "fill", "7.0"),
    ]


def test_star_arguments_and_parts_of_tuples():
    sizes = (3, 2)
    n = 6

    def f(x):
        return x.reshape(*sizes).reshape((n, 1)).permute(*(1, 0)) + ingot.cat(*([x.reshape(1, n)],))

    assert told(ledger_of(f), "frozen") == [("*sizes", "(3, 2)"), ("(n, 1)", "(6, 1)"), ("n", "6")]


def test_the_values_of_a_loop_are_kept_apart_up_to_a_bound():
    def short(x):
        for weight in (1.0, 2.0, 2.0):
            x = x * weight
        return x

    assert told(ledger_of(short), "frozen") == [("weight", "1.0"), ("weight", "2.0")]

    def long(x):
        for i in range(100):
            x = x + i
        return x

    assert 2 < len(ledger_of(long).of("frozen")) < 50


def test_constants_of_fixed_modules_are_literals():
    assert not ledger_of(lambda x: (x * math.pi + np.pi).to(ingot.float64)).of("frozen", "global")


def test_dynamic_sizes_are_not_frozen():
    def f(x):
        return x.reshape(x.shape[0] * 3) * 2

    ledger = ledger_of(f, dynamic_shapes={"x": {0: "n"}})
    assert not ledger.of("frozen")
    assert told(ledger, "shape") == [("x.shape", "[n, 3]")]


def test_a_multi_line_call_names_its_arguments():
    width = 2

    def f(x):
        return (
            x.relu()
            .sum(
                dim=width - 1,
            )
        )  # fmt: skip

    assert told(ledger_of(f), "frozen") == [("width - 1", "(1,)")]


def test_code_without_source_names_values_but_no_expressions():
    space = {"K": 3.0}
    exec("def f(x):\n    return (x * K).sum(1)", space)
    entries = ledger_of(space["f"]).of("frozen")
    assert [(e.what, e.expression, e.value) for e in entries] == [
        ("other of mul", "", "3.0"),
        ("dim of sum", "", "(1,)"),
    ]


# --------------------------------------------------------------------------------------------------------- reads


@pytest.mark.parametrize(
    ("kind", "expression", "value", "read"),
    [
        ("shape", "x.shape", "[2, 3]", lambda x: x.shape),
        ("shape", "x.size()", "[2, 3]", lambda x: x.size()),
        ("shape", "x.size(1)", "3", lambda x: x.size(1)),
        ("shape", "len(x)", "2", lambda x: len(x)),
        ("shape", "x.ndim", "2", lambda x: x.ndim),
        ("shape", "x.dim()", "2", lambda x: x.dim()),
        ("shape", "x.numel()", "6", lambda x: x.numel()),
        ("dtype", "x.dtype", "float32", lambda x: x.dtype),
        ("dtype", "x.is_floating_point()", "float32", lambda x: x.is_floating_point()),
        ("dtype", "x.element_size()", "4", lambda x: x.element_size()),
        ("device", "x.device", "cpu", lambda x: x.device),
        ("device", "x.is_cuda", "False", lambda x: x.is_cuda),
        ("grad", "x.requires_grad", "False", lambda x: x.requires_grad),
        ("grad", "x.is_leaf", "True", lambda x: x.is_leaf),
        ("layout", "x.is_contiguous()", "True", lambda x: x.is_contiguous()),
        ("layout", "x.stride()", "(3, 1)", lambda x: x.stride()),
        ("layout", "x.data_ptr()", "", lambda x: x.data_ptr()),
    ],
)
def test_reads_of_tensors_by_the_program_are_noted(kind, expression, value, read):
    def f(x):
        read(x)
        return x.relu()

    (entry,) = ledger_of(f)
    assert (entry.kind, entry.expression, entry.value) == (kind, expression, value)
    assert entry.location.function.endswith("<lambda>")


def test_reads_by_the_package_are_not_noted():
    def f(x):
        return F.cross_entropy(x, ingot.tensor([0, 1])) + nn.functional.layer_norm(x, (3,)).sum() + x.T.mean()

    assert not ledger_of(f).of("shape", "dtype", "device", "grad", "layout")


def test_a_read_at_one_place_is_counted():
    def f(x):
        for _ in range(3):
            x = x.to(x.dtype) + 1
        return x

    (entry,) = ledger_of(f).of("dtype")
    assert entry.count == 3


# -------------------------------------------------------------------------------------------- modules and optimizers


def test_the_training_mode_is_noted_where_it_is_read():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.25)
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            x = self.norm(self.drop(x))
            return x * 2 if self.training else x

    net = Net().eval()
    entries = ledger_of(net).of("training")
    assert {(e.expression, e.what, e.value) for e in entries} == {
        ("self.drop(x)", "training of Dropout", "False"),
        ("self.norm(self.drop(x))", "training of BatchNorm1d", "False"),
        ("self.training", "training of Net", "False"),
    }


def test_options_of_layers_are_noted_once_for_equal_layers():
    net = nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.1), nn.Dropout(0.3))
    entries = [e for e in ledger_of(lambda x: net(x)).of("attribute") if e.what == "p of Dropout"]
    assert [(e.value, e.count, e.expression) for e in entries] == [("0.1", 2, "net(x)"), ("0.3", 1, "net(x)")]


def test_options_of_a_layer_that_the_user_derives_from_are_noted():
    class Loud(nn.Dropout):
        def forward(self, input):
            return super().forward(input) * 2

    net = Loud(0.125)
    assert ("p of Loud", "0.125") in [(e.what, e.value) for e in ledger_of(lambda x: net(x)).of("attribute")]


def test_options_of_optimizers_are_noted():
    weight = ingot.ones(3, requires_grad=True)
    optimizer = ingot.optim.SGD([weight], lr=0.125, momentum=0.5)

    def step(x):
        optimizer.zero_grad()
        (x * weight).sum().backward()
        optimizer.step()

    found = {e.what: (e.value, e.expression) for e in ledger_of(step).of("attribute")}
    assert found["lr of SGD"] == ("0.125", "optimizer.step()")
    assert found["momentum of SGD"] == ("0.5", "optimizer.step()")


# ------------------------------------------------------------------------------------------------ loaded variables


def test_globals_closures_and_attributes_that_ran_are_noted():
    hidden = 4

    @dataclass
    class Options:
        width: int = 3
        flag: bool = True
        unread: int = 9

    class Net(nn.Module):
        limit = 8

        def __init__(self):
            super().__init__()
            self.options = Options()
            self.bias = None

        def forward(self, x):
            if self.options.flag and self.bias is None and hidden > 2:
                x = x * SCALE + CONFIG["deep"]["steps"][1]
            else:
                x = x * self.options.unread
            return x if self.limit > 5 else -x

    ledger = ledger_of(Net())
    assert told(ledger, "global") == [("SCALE", "0.5"), ("CONFIG['deep']['steps'][1]", "2")]
    assert told(ledger, "closure") == [("hidden", "4")]
    assert told(ledger, "attribute") == [("self.options.flag", "True"), ("self.bias", "None"), ("self.limit", "8")]
    assert ledger.of("global")[0].what == f"SCALE of {__name__}"


def test_functions_that_call_no_operation_are_seen():
    def rate():
        return CONFIG["lr"]

    assert told(ledger_of(lambda x: x * rate()), "global") == [("CONFIG['lr']", "0.1")]


def test_variables_of_the_program_itself_are_not_noted():
    def f(x):
        factor = 2

        def inner(y):
            return y * factor

        numbers = [1.0, 2.0]
        return inner(x) * numbers[0]

    assert not ledger_of(f).of("closure", "attribute", "global")


def test_an_object_made_in_a_loop_is_read_each_time():
    layers = [SimpleNamespace(gain=1.0), SimpleNamespace(gain=2.0)]

    def f(x):
        for layer in layers:
            gain = layer.gain
            x = x * gain
        return x

    assert told(ledger_of(f), "attribute") == [("layer.gain", "1.0"), ("layer.gain", "2.0")]


def test_a_dict_that_is_asked_by_method_is_noted_whole():
    assert told(ledger_of(lambda x: x * CONFIG["deep"].get("gain", 1.0)), "global") == [
        ("CONFIG['deep']", "{'steps': [1, 2]}")
    ]


class _ReadOnly:
    """Holds a function where nothing but a call of it finds what it reaches."""

    __slots__ = ("call",)

    def __init__(self, call):
        self.call = call


def test_reading_runs_no_code_of_the_user():
    calls = []

    class Odd:
        __slots__ = ("slot",)
        shared = 5

        def __init__(self):
            self.slot = 1.5

        @property
        def gain(self):
            calls.append("gain")
            return 2.0

        def __eq__(self, other):
            raise AssertionError("compared")

        def __getattr__(self, name):
            calls.append(name)
            raise AttributeError(name)

        def __call__(self):
            return 1.0

        __hash__ = None

    class Loud(int):
        def __repr__(self):
            calls.append("repr")
            return "loud"

    class Lengthy(list):
        def __len__(self):
            calls.append("len")
            return 1

    odd, loud, lengthy = Odd(), Loud(7), Lengthy([1])
    f = lambda x: x * odd.gain * odd.slot * odd.shared * odd() * (loud + 1) * (1 if lengthy is None else 2)  # noqa: E731
    seen = _ReadOnly(f)
    ledger = ledger_of(lambda x: seen.call(x))
    assert calls == ["gain"]
    assert ("odd.slot", "1.5") in told(ledger, "closure") and ("odd.shared", "5") in told(ledger, "closure")
    assert ("loud", "7") in told(ledger, "closure")


def test_the_value_is_that_before_the_program_changes_it():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x

    ledger = ledger_of(Net())
    assert told(ledger, "attribute") == [("self.calls", "0")]
    assert ["calls was set to 1" in e.what for e in ledger.of("state")] == [True]


def test_a_debugger_keeps_its_place():
    def tracer(frame, event, arg):
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        found = ledger_of(lambda x: x * SCALE)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert told(found, "global") == [("SCALE", "0.5")]


def test_nothing_is_left_behind_by_a_capture_that_fails():
    before = sys.gettrace()

    def f(x):
        raise KeyError(SCALE)

    with pytest.raises(KeyError):
        ledger_of(f)
    assert sys.gettrace() is before
    assert told(ledger_of(lambda x: x * SCALE), "global") == [("SCALE", "0.5")]


def test_captures_in_threads_see_their_own_program():
    def program(scale):
        own = SimpleNamespace(scale=scale)
        return lambda x: x * own.scale

    found = {}

    def run(scale):
        found[scale] = ledger_of(program(scale), ingot.ones(3))

    threads = [threading.Thread(target=run, args=(scale,)) for scale in (1.5, 2.5, 3.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {scale: told(ledger, "closure") for scale, ledger in found.items()} == {
        scale: [("own.scale", str(scale))] for scale in (1.5, 2.5, 3.5)
    }


# -------------------------------------------------------------------------------------------- random and frozen_ok


def use_python(x):
    return x * random.random()


def use_numpy(x):
    return x * float(np.random.rand())


def use_generator(x):
    return x * GENERATOR.normal()


@pytest.mark.parametrize(
    ("func", "source", "name"),
    [
        (use_python, "random.random()", "Python's"),
        (use_numpy, "np.random.rand()", "NumPy's"),
        (use_generator, "GENERATOR.normal()", "GENERATOR"),
    ],
)
def test_random_numbers_of_others_are_refused_with_the_line(func, source, name):
    with pytest.raises(CaptureError, match="draws random numbers") as caught:
        ledger_of(func)
    assert name in str(caught.value)
    assert source in caught.value.location.source
    assert "ingot.rand" in str(caught.value) and "frozen_ok" in str(caught.value)


@pytest.mark.parametrize("func", [use_python, use_numpy, use_generator])
def test_random_numbers_may_be_frozen(func):
    (entry,) = ledger_of(func, frozen_ok="noise").of("random")
    assert "noise" in entry.what and entry.location.function == func.__name__
    assert len(ledger_of(func, frozen_ok=True).of("frozen")) == 1


def test_random_numbers_of_ingot_are_no_business_of_the_ledger():
    assert not ledger_of(lambda x: x * ingot.rand(3) + F.dropout(x, 0.5)).of("random")


def test_frozen_ok_holds_inside_alone():
    def f(x):
        with frozen_ok("once"):
            a = random.random()
        return x * a * random.random()

    with pytest.raises(CaptureError, match="draws random numbers"):
        ledger_of(f)

    def g(x):
        a = random.random()
        with frozen_ok("once"):
            return x * a

    with pytest.raises(CaptureError, match="draws random numbers"):
        ledger_of(g)


def test_frozen_ok_names_what_leaves_the_program():
    def f(x):
        with frozen_ok("calibration"):
            scale = float(x.max())
            array = np.asarray(x)
            items = x.flatten().tolist()
            positive = bool(x.sum() > 0)
        return x * scale * float(array[0, 0]) * items[1] * positive

    ledger = ledger_of(f)
    assert [(e.expression, e.value) for e in ledger.of("item")] == [("float(x.max())", "1.0")]
    assert [e.expression for e in ledger.of("array")] == ["np.asarray(x)"]
    assert [e.expression for e in ledger.of("tolist")] == ["x.flatten().tolist()"]
    assert len(ledger.of("value")) == 1
    assert all("calibration" in e.what for e in ledger.of("item", "array", "tolist", "value"))


def test_frozen_ok_is_a_decorator_and_does_nothing_without_a_capture():
    @frozen_ok("shown")
    def f(x):
        return x * float(x.sum())

    assert f(ingot.ones(2)).tolist() == [2.0, 2.0]
    assert len(ledger_of(f, ingot.ones(2)).of("item")) == 1
    with pytest.raises(CaptureError):
        ledger_of(lambda x: f(x) * float(x.sum()), ingot.ones(2))


# -------------------------------------------------------------------------------------------- programs and files


def test_the_ledger_is_saved(tmp_path):
    program = ingot.jit.trace(lambda x: x.to(x.dtype) * SCALE, ingot.ones(3), check=False)
    program.save(tmp_path / "m.ingot")
    loaded = ingot.load(tmp_path / "m.ingot")
    assert loaded.ledger == program.ledger
    assert str(loaded.ledger) == str(program.ledger)
    loaded.save(tmp_path / "again.ingot")
    assert (tmp_path / "again.ingot").read_bytes() == (tmp_path / "m.ingot").read_bytes()


def test_expressions_are_source_text(tmp_path):
    program = ingot.jit.trace(lambda x: x * CONFIG["lr"], ingot.ones(3), check=False)
    program.save(tmp_path / "m.ingot", sources=False)
    ledger = ingot.load(tmp_path / "m.ingot").ledger
    assert b"CONFIG" not in (tmp_path / "m.ingot").read_bytes()
    assert [(e.kind, e.expression, e.value) for e in ledger] == [("global", "", "0.1"), ("frozen", "", "0.1")]


def test_entries_carry_their_entry_point():
    class Net(nn.Module):
        def encode(self, x):
            return x * SCALE

        def decode(self, x):
            return x + SCALE

    x = ingot.ones(3)
    program = ingot.jit.trace(Net(), {"encode": (x,), "decode": (x,)}, check=False)
    assert {e.entry for e in program.ledger} == {"encode", "decode"}
    assert {e.location.function.rsplit(".")[-1] for e in program.ledger.at("decode")} == {"decode"}


def test_a_second_capture_of_the_same_program_has_no_difference(monkeypatch):
    def f(x):
        return x.to(x.dtype) * SCALE + CONFIG["lr"]

    before = ledger_of(f)
    assert not before.diff(ledger_of(f))
    monkeypatch.setitem(globals(), "SCALE", 0.75)
    changes = before.diff(ledger_of(f))
    assert {(c.word, c.after.kind, c.before.value, c.after.value) for c in changes} == {
        ("changed", "global", "0.5", "0.75"),
        ("changed", "frozen", "0.5", "0.75"),
    }
