"""Compiled functions: which variant serves a call, what a new one is made for, and what is told about it."""

import re

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, CaptureError

SCALE = 2.0


def times_scale(x):
    return x * SCALE


def test_a_compiled_function_gives_what_the_original_gives(rng):
    def f(x, y, *, flip=False):
        z = x @ y
        return {"sum": z.sum(), "rows": [z[0], -z[1]] if flip else (z[0], z[1])}

    compiled = ingot.compile(f)
    x, y = (ingot.tensor(rng.standard_normal((3, 3))) for _ in range(2))
    for flip in (False, True, False):
        found, expected = compiled(x, y, flip=flip), f(x, y, flip=flip)
        assert found["sum"].item() == expected["sum"].item()
        assert type(found["rows"]) is type(expected["rows"])
        for a, b in zip(found["rows"], expected["rows"], strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert [v.calls for v in compiled.variants] == [2, 1]
    assert compiled.variants[1].why == "argument 'flip' was False, is now True"


def test_decorator_with_and_without_options():
    @ingot.compile
    def one(x):
        "The doc."
        return x + 1

    @ingot.compile(dynamic=False, max_variants=1)
    def two(x):
        return x + 2

    assert one(ingot.zeros(2)).tolist() == [1, 1] and two(ingot.zeros(2)).tolist() == [2, 2]
    assert one.__doc__ == "The doc." and one.__wrapped__ is one.original
    assert two.max_variants == 1


@pytest.mark.parametrize("options", [{"dynamic": 3}, {"max_variants": 0}, {"backend": "tpu"}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises((ArgumentError, ingot.ir.errors.UnsupportedError)):
        ingot.compile(lambda x: x, **options)


def test_a_module_is_compiled_with_its_live_parameters(rng):
    model = nn.Linear(3, 2)
    compiled = ingot.compile(model)
    x = ingot.tensor(rng.standard_normal((4, 3)), dtype=ingot.float32)
    with ingot.no_grad():
        np.testing.assert_array_equal(compiled(x).numpy(), model(x).numpy())
        model.weight.mul_(3.0)
        np.testing.assert_array_equal(compiled(x).numpy(), model(x).numpy())
        model.weight.data = ingot.ones(2, 3)  # other memory
        np.testing.assert_array_equal(compiled(x).numpy(), model(x).numpy())
        model.weight.detach().numpy()[...] = 5.0  # behind Ingot's back
        np.testing.assert_array_equal(compiled(x).numpy(), model(x).numpy())
    assert len(compiled.variants) == 1
    assert compiled.in_features == 3  # the module's attributes are there


def test_a_replaced_layer_is_noticed(rng):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    compiled = ingot.compile(model)
    x = ingot.tensor(rng.standard_normal((2, 3)), dtype=ingot.float32)
    with ingot.no_grad():
        compiled(x)
        model[1] = nn.Tanh()
        np.testing.assert_array_equal(compiled(x).numpy(), model(x).numpy())
    assert "another" in compiled.variants[1].why or "was" in compiled.variants[1].why


def test_training_flags_make_a_variant_and_are_told():
    model = nn.Sequential(nn.Dropout(0.5))
    compiled = ingot.compile(model)
    x = ingot.ones(64)
    assert (compiled(x) == 0).any()
    model.eval()
    assert compiled(x).tolist() == x.tolist()
    assert len(compiled.variants) == 2
    assert re.fullmatch(r".*training was True, is now False", compiled.variants[1].why)


def test_globals_closures_attributes_and_class_attributes_are_guarded(monkeypatch):
    factor = 2.0

    class Base:
        shift = 1.0

        def __init__(self):
            self.scale = 3

        def apply(self, x):
            return times_scale(x) * self.scale * factor + self.shift

    thing = Base()
    compiled = ingot.compile(lambda x: thing.apply(x))
    x = ingot.ones(1)
    assert compiled(x).item() == 13
    monkeypatch.setitem(globals(), "SCALE", 1.0)
    assert compiled(x).item() == 7
    assert "SCALE was 2.0, is now 1.0" in compiled.variants[-1].why
    thing.scale = 1
    assert compiled(x).item() == 3
    assert "thing.scale was 3, is now 1" in compiled.variants[-1].why
    factor = 5.0
    assert compiled(x).item() == 6
    assert "factor was 2.0, is now 5.0" in compiled.variants[-1].why
    monkeypatch.setattr(Base, "shift", 0.0)
    assert compiled(x).item() == 5
    assert "Base.shift was 1.0, is now 0.0" in compiled.variants[-1].why
    assert len(compiled.variants) == 5


def test_attributes_that_are_looked_up_by_name():
    class Thing:
        pass

    thing = Thing()
    name = "factor"
    compiled = ingot.compile(lambda x: x * getattr(thing, name) if hasattr(thing, name) else x)
    assert compiled(ingot.ones(1)).item() == 1
    thing.factor = 3.0
    assert compiled(ingot.ones(1)).item() == 3
    thing.factor = 4.0
    assert compiled(ingot.ones(1)).item() == 4


def test_objects_with_slots_and_tensors_in_containers():
    class Slotted:
        __slots__ = ("scale",)

    thing, held = Slotted(), [ingot.ones(1), {"w": ingot.ones(1)}]
    thing.scale = 2.0
    compiled = ingot.compile(lambda x: x * thing.scale * held[0] + held[1]["w"])
    assert compiled(ingot.ones(1)).item() == 3
    thing.scale = 3.0
    held[0].mul_(2.0)
    held[1]["w"] = ingot.tensor([5.0])
    assert compiled(ingot.ones(1)).item() == 11


def test_a_constant_of_another_type_is_another_constant():
    compiled = ingot.compile(lambda x, n: x * n)
    x = ingot.tensor([2])
    assert compiled(x, 1).dtype is ingot.int64
    assert compiled(x, 1.0).dtype is ingot.float32
    assert compiled.variants[1].why == "argument 'n' was 1, is now 1.0"


def test_lists_and_dicts_that_the_function_reads_are_guarded():
    config = {"weights": [1.0, 2.0]}
    compiled = ingot.compile(lambda x: sum(x * w for w in config["weights"]))
    x = ingot.ones(1)
    assert compiled(x).item() == 3
    config["weights"].append(4.0)
    assert compiled(x).item() == 7
    config["weights"] = [1.0]
    assert compiled(x).item() == 1


def test_numpy_arrays_that_the_function_reads_are_guarded_by_their_contents():
    table = np.array([1.0, 2.0], np.float32)
    compiled = ingot.compile(lambda x: x * ingot.tensor(table))
    x = ingot.ones(2)
    assert compiled(x).tolist() == [1, 2]
    table[0] = 7
    assert compiled(x).tolist() == [7, 2]


def test_gradient_mode_dtype_and_requires_grad_make_variants():
    w = ingot.ones(2, requires_grad=True)
    compiled = ingot.compile(lambda x: x * w)
    x = ingot.ones(2)
    assert compiled(x).requires_grad
    with ingot.no_grad():
        assert not compiled(x).requires_grad
    assert "recorded" in compiled.variants[1].why
    compiled(x.double())
    assert compiled.variants[2].why == "argument 'x': dtype was float32, now float64"
    compiled(ingot.ones(2, requires_grad=True))
    assert compiled.variants[3].why == "argument 'x': did not require a gradient, now it does"
    w.requires_grad_(False)
    assert not compiled(x).requires_grad
    assert "required a gradient, now it does not" in compiled.variants[4].why


def test_the_default_dtype_is_guarded():
    compiled = ingot.compile(lambda x: x / 2)
    x = ingot.tensor([1, 2])
    assert compiled(x).dtype is ingot.float32
    ingot.set_default_dtype(ingot.float64)
    try:
        assert compiled(x).dtype is ingot.float64
    finally:
        ingot.set_default_dtype(ingot.float32)
    assert "default dtype" in compiled.variants[1].why


# ----------------------------------------------------------------------------------------------------- dynamic sizes


def test_a_second_size_makes_the_dimension_dynamic(rng):
    compiled = ingot.compile(lambda x, y: (x * 2).sum(0) + y.sum())
    for n in (8, 5, 7, 31):
        x = ingot.tensor(rng.standard_normal((n, 3)))
        y = ingot.tensor(rng.standard_normal(n))
        np.testing.assert_allclose(compiled(x, y).numpy(), ((x * 2).sum(0) + y.sum()).numpy(), rtol=1e-12)
    first, second = compiled.variants
    assert first.dynamic == [] and first.calls == 1
    assert second.why == "argument 'x': size of dimension 0 was 8, now 5" and second.calls == 3
    assert {(i, dim) for i, dim, _ in second.dynamic} == {(0, 0), (1, 0)}
    assert "any size from 2: dimension 0 of 'x'" in compiled.explain()


def test_sizes_that_were_equal_and_differ_now_get_another_variant():
    compiled = ingot.compile(lambda x, y: x.sum() + y.sum())
    for a, b in ((3, 3), (4, 4), (5, 6), (7, 8)):
        assert compiled(ingot.ones(a), ingot.ones(b)).item() == a + b
    assert len(compiled.variants) == 3


def test_a_size_of_one_is_never_taken_for_any_size():
    compiled = ingot.compile(lambda x: x + ingot.zeros(4))
    assert compiled(ingot.ones(4)).shape == (4,)
    assert compiled(ingot.ones(1)).shape == (4,)
    with pytest.raises(ingot.ir.errors.IngotError):
        compiled(ingot.ones(3))


def test_a_function_that_fixes_a_size_is_captured_for_each(rng):
    compiled = ingot.compile(lambda x: x.reshape(2, 3) if x.shape[0] == 6 else x * x.shape[0])
    for n in (6, 4, 5, 6):
        found = compiled(ingot.ones(n))
        assert found.tolist() == (ingot.ones(2, 3) if n == 6 else ingot.ones(n) * n).tolist()


def test_dynamic_can_be_asked_for_and_forbidden():
    eager = lambda x: x * 2  # noqa: E731
    always, never = ingot.compile(eager, dynamic=True), ingot.compile(eager, dynamic=False)
    for n in (3, 4, 5):
        always(ingot.ones(n, n))
        never(ingot.ones(n, n))
    assert len(always.variants) == 1 and len(never.variants) == 3


# ------------------------------------------------------------------------------------------------- state and effects


def test_a_buffer_that_is_rebound_is_followed():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("hidden", ingot.zeros(2))

        def forward(self, x):
            self.hidden = self.hidden * 0.5 + x
            return self.hidden

    cell = Cell()
    compiled = ingot.compile(cell)
    x = ingot.ones(2)
    found = compiled(x)
    assert found is cell.hidden and found.tolist() == [1, 1]
    compiled(x)
    assert cell.hidden.tolist() == [1.5, 1.5]
    cell(x)  # eager goes on from there
    assert cell.hidden.tolist() == [1.75, 1.75]
    cell.hidden = ingot.zeros(2)
    assert compiled(x).tolist() == [1, 1]
    assert found.tolist() == [1, 1]  # what was handed out is not written to
    assert len(compiled.variants) == 1


def test_a_tensor_that_appears_at_the_first_call():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.cache = None

        def forward(self, x):
            self.cache = x if self.cache is None else self.cache + x
            return self.cache * 1

    cell, other = Cell(), Cell()
    compiled = ingot.compile(cell)
    for _ in range(4):
        assert compiled(ingot.ones(2)).tolist() == other(ingot.ones(2)).tolist()
    assert [v.calls for v in compiled.variants] == [1, 3]


def test_python_values_that_the_function_sets_are_set_again():
    class Once(nn.Module):
        def __init__(self):
            super().__init__()
            self.ready = False
            self.notes = []

        def forward(self, x):
            if not self.ready:
                self.ready = True
                self.notes.append("made")
                return x
            return x * 2

    once = Once()
    compiled = ingot.compile(once)
    compiled.warmup(ingot.ones(1))
    assert not once.ready and once.notes == []
    assert [compiled(ingot.ones(1)).item() for _ in range(3)] == [1, 2, 2]
    assert once.ready and once.notes == ["made"]


def test_global_variables_that_the_function_sets_are_set_again(monkeypatch):
    monkeypatch.setitem(globals(), "_calls", 0)

    @ingot.compile(max_variants=3)
    def step(x):
        global _calls, _last
        _calls = min(_calls + 1, 2)
        _last = x.sum()
        return x * _calls

    monkeypatch.delitem(globals(), "_last", raising=False)
    step.warmup(ingot.ones(1))
    assert globals()["_calls"] == 0 and "_last" not in globals()
    assert [step(ingot.ones(1)).item() for _ in range(4)] == [1, 2, 2, 2]
    assert globals()["_calls"] == 2 and globals().pop("_last").item() == 1


def test_a_counter_in_python_runs_into_the_limit_with_the_guard_named():
    state = {"count": 0}

    @ingot.compile(max_variants=3)
    def step(x):
        state["count"] += 1
        return x * state["count"]

    assert [step(ingot.ones(1)).item() for _ in range(3)] == [1, 2, 3]
    with pytest.raises(CaptureError) as error:
        step(ingot.ones(1))
    assert "state['count'] was 2, is now 3" in str(error.value) and "max_variants" in str(error.value)
    assert state["count"] == 3


def test_results_that_are_arguments_or_state_are_those_objects():
    w = ingot.ones(2)
    compiled = ingot.compile(lambda x: (x, w, x + 1))
    x = ingot.zeros(2)
    a, b, c = compiled(x)
    assert a is x and b is w and c.tolist() == [1, 1]


def test_memory_that_is_written_is_the_tensors_own():
    buffer = ingot.zeros(3)
    view = buffer[1:]

    @ingot.compile
    def add(x):
        buffer.add_(x)
        return view.sum()

    assert add(ingot.ones(3)).item() == 2
    assert add(ingot.ones(3)).item() == 4
    assert view.tolist() == [2, 2] and buffer._version == 2


def test_swapped_buffers():
    a, b = ingot.zeros(2), ingot.ones(2)

    @ingot.compile
    def swap():
        old = a.clone()
        a.copy_(b)
        b.copy_(old)

    for i in range(3):
        swap()
        assert a.tolist() == [(i + 1) % 2] * 2 and b.tolist() == [i % 2] * 2


def test_memory_that_an_argument_shares_with_what_is_written_is_refused():
    buffer = ingot.zeros(3)

    @ingot.compile
    def add(x):
        buffer.add_(1.0)
        return x * 2

    add(ingot.ones(3))
    with pytest.raises(CaptureError, match="shares memory"):
        add(buffer.detach())
    assert buffer.tolist() == [1, 1, 1]


def test_a_known_tensor_as_argument_is_that_tensor():
    buffer = ingot.zeros(3)

    @ingot.compile
    def add(x):
        buffer.add_(1.0)
        return x * 2

    assert add(buffer).tolist() == [2, 2, 2]
    assert add(buffer).tolist() == [4, 4, 4]
    assert add(ingot.ones(3)).tolist() == [2, 2, 2]
    assert len(add.variants) == 2


def test_random_numbers_go_on_from_the_default_generator():
    compiled = ingot.compile(lambda: ingot.rand(3))
    ingot.manual_seed(3)
    expected = [ingot.rand(3).tolist() for _ in range(4)]
    ingot.manual_seed(3)
    assert [compiled().tolist(), ingot.rand(3).tolist(), compiled().tolist(), compiled().tolist()] == expected


def test_foreign_random_numbers_are_refused():
    generator = np.random.default_rng(0)
    for draw in (lambda x: x * np.random.rand(), lambda x: x * float(generator.random())):
        with pytest.raises(CaptureError, match="random"):
            ingot.compile(draw)(ingot.ones(1))


def test_tensors_made_of_numbers_within_the_function_are_constants():
    @ingot.compile
    def f(x):
        total = ingot.tensor([1.0, 2.0])
        total.add_(x)
        return total

    assert [f(ingot.ones(2)).tolist() for _ in range(2)] == [[2, 3], [2, 3]]
    assert f.variants[0].graph.state == {}


def test_tensors_made_of_numbers_within_a_loop_are_constants():
    @ingot.compile(script=True)
    def f(n, x):
        rows = []
        for _ in range(n):
            x = x + ingot.tensor([1.0, 2.0])
            rows.append(x)
        return ingot.stack(rows)

    assert f(ingot.tensor(2), ingot.zeros(2)).tolist() == [[1, 2], [2, 4]]
    assert f.variants[0].graph.state == {}


def test_modules_and_other_objects_as_arguments():
    compiled = ingot.compile(lambda model, x: model(x))
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    x = ingot.ones(1, 2)
    for model in (one, two, one):
        np.testing.assert_array_equal(compiled(model, x).detach().numpy(), model(x).detach().numpy())
    assert [v.calls for v in compiled.variants] == [2, 1]


def test_a_compiled_method():
    class Thing:
        def __init__(self, scale):
            self.scale = ingot.tensor(scale)

        @ingot.compile
        def apply(self, x):
            return x * self.scale

    a, b = Thing(2.0), Thing(3.0)
    assert (a.apply(ingot.ones(1)).item(), b.apply(ingot.ones(1)).item()) == (2, 3)
    assert len(a.apply.variants) == 1 and a.apply is a.apply


# --------------------------------------------------------------------------------------------------- failures, texts


def branches_on_data(x):
    if x.sum() > 0:
        return x
    return -x


def test_a_failing_capture_names_the_line_and_leaves_nothing():
    compiled = ingot.compile(branches_on_data)
    with pytest.raises(CaptureError) as error:
        compiled(ingot.ones(2))
    assert "if x.sum() > 0" in str(error.value)
    assert ingot.jit.is_tracing() is False and compiled.variants == []


def test_control_flow_that_the_data_decide_is_captured_with_script():
    compiled = ingot.compile(branches_on_data, script=True)
    assert compiled(ingot.ones(2)).tolist() == [1, 1] and compiled(-ingot.ones(2)).tolist() == [1, 1]
    assert len(compiled.variants) == 1


def test_numbers_out_of_tensors_stay_run_time_numbers():
    compiled = ingot.compile(lambda x: (x.sum().item() * 2, x * x.max().item()))
    for values in ([1.0, 2.0], [3.0, 5.0]):
        number, scaled = compiled(ingot.tensor(values))
        assert type(number) is float and number == 2 * sum(values)
        assert scaled.tolist() == [v * max(values) for v in values]
    assert len(compiled.variants) == 1
    with pytest.raises(CaptureError):
        ingot.compile(lambda x: x * float(x.sum()))(ingot.ones(2))


def test_a_look_at_the_memory_layout_is_refused():
    with pytest.raises(CaptureError, match="lies in memory"):
        ingot.compile(lambda x: x + 1 if x.is_contiguous() else x)(ingot.ones(2, 2))


def test_fallback_only_where_allowed_and_said_once():
    compiled = ingot.compile(branches_on_data, fullgraph=False)
    with pytest.warns(UserWarning, match=r"branches_on_data runs eagerly: .*branch"):
        assert compiled(-ingot.ones(2)).tolist() == [1, 1]
    assert compiled(ingot.ones(2)).tolist() == [1, 1]  # filterwarnings is "error": no second warning
    assert re.search(r"2 calls ran eagerly: .*branch", compiled.explain())


def test_over_the_limit_with_fallback():
    compiled = ingot.compile(lambda x, n: x * n, max_variants=2, fullgraph=False)
    assert [compiled(ingot.ones(1), n).item() for n in (1, 2)] == [1, 2]
    with pytest.warns(UserWarning, match="2 variants"):
        assert compiled(ingot.ones(1), 3).item() == 3
    assert compiled(ingot.ones(1), 2).item() == 2


def test_an_error_of_the_functions_own_passes_through():
    def f(x):
        raise KeyError("mine")

    compiled = ingot.compile(f)
    with pytest.raises(KeyError, match="mine"):
        compiled(ingot.ones(1))
    assert ingot.jit.is_tracing() is False


def test_warmup_changes_nothing_and_the_call_is_served():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    optimizer = ingot.optim.AdamW(model.parameters())

    @ingot.compile
    def step(x):
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    drawn = ingot.get_rng_state().tolist()
    variant = step.warmup(ingot.ones(4, 2))
    assert {k: v.tolist() for k, v in before.items()} == {k: v.tolist() for k, v in model.state_dict().items()}
    assert optimizer.state_dict()["state"] == {} and all(p.grad is None for p in model.parameters())
    assert ingot.get_rng_state().tolist() == drawn and variant.calls == 0
    step(ingot.ones(4, 2))
    assert step.variants == [variant] and variant.calls == 1
    assert step.warmup(ingot.ones(4, 2)) is variant


def test_explain_and_reset():
    compiled = ingot.compile(times_scale)
    compiled(ingot.ones(2))
    text = compiled.explain()
    assert text.startswith("times_scale: 1 variant of at most 8, on numpy\n  1. the first call\n     1 call; ")
    compiled.reset()
    assert compiled.variants == []
    assert compiled(ingot.ones(2)).tolist() == [2, 2]


def test_a_compiled_function_within_a_capture_is_part_of_it():
    inner = ingot.compile(lambda x: x + 1)
    outer = ingot.compile(lambda x: inner(x) * 2)
    assert outer(ingot.ones(1)).item() == 4 and inner.variants == []
    assert ingot.jit.trace(lambda x: inner(x) * 3, ingot.ones(1))(ingot.ones(1)).item() == 6


def test_the_reference_backend_serves_too():
    buffer = ingot.zeros(2)

    @ingot.compile(backend="reference")
    def f(x):
        buffer.add_(x)
        return buffer * 2

    assert [f(ingot.ones(2)).tolist() for _ in range(2)] == [[2, 2], [4, 4]]
    assert buffer.tolist() == [2, 2]


def test_python_s_own_functions_bring_no_guards():
    import copy

    held = ingot.ones(2)

    @ingot.compile
    def f(x):
        return copy.copy(x) + copy.deepcopy(held)

    assert f(ingot.ones(2)).tolist() == [2.0, 2.0]
    held.add_(1)
    assert f(ingot.ones(2)).tolist() == [3.0, 3.0] and len(f.variants) == 1
