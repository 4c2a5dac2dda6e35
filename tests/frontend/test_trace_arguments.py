"""Arguments and results of every structure: nested containers, records, constants, run-time numbers, defaults."""

import dataclasses
from typing import NamedTuple

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, CaptureError, ShapeError
from ingot.jit import runtime, trace

ONE, TWO = ingot.ones(2), ingot.full((2,), 2.0)


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Batch:
    image: object
    scale: float = 2.0


@pytest.fixture(params=["captured", "loaded"])
def via(request, tmp_path):
    """Gives a program as it is, or saved and loaded."""

    def pass_on(program):
        if request.param == "captured":
            return program
        program.save(tmp_path / "p.ingot")
        first = (tmp_path / "p.ingot").read_bytes()
        found = ingot.load(tmp_path / "p.ingot")
        found.save(tmp_path / "q.ingot")
        assert (tmp_path / "q.ingot").read_bytes() == first
        return found

    pass_on.loaded = request.param == "loaded"
    return pass_on


def test_nested_containers_go_in_and_out(via):
    def f(batch, more):
        a, (b, c) = batch
        return {"sum": a + b["x"], "rest": [c, (more["k"] * 2, None)], "name": "f", "n": 3}

    program = via(trace(f, ((ONE, ({"x": TWO}, ONE)), {"k": TWO})))
    found = program((TWO, ({"x": ONE}, ONE)), {"k": TWO})
    assert found["sum"].tolist() == [3.0, 3.0]
    assert found["rest"][1][0].tolist() == [4.0, 4.0]
    assert (found["rest"][1][1], found["name"], found["n"]) == (None, "f", 3)
    assert isinstance(found["rest"], list)
    with pytest.raises(
        ArgumentError, match=r"argument 'batch'\[1\] has another structure[\s\S]*\(\{'x': tensor\}, tensor\)"
    ):
        program((TWO, [{"x": ONE}, ONE]), {"k": TWO})
    with pytest.raises(ArgumentError, match=r"argument 'batch'\[0\][\s\S]*ingot.tensor\(3\)"):
        program((3, ({"x": ONE}, ONE)), {"k": TWO})


def test_named_tuples_and_dataclasses(via):
    def f(batch, pair):
        return Pair(batch.image * batch.scale, Batch(pair.first + pair.second, 7.0))

    program = via(trace(f, (Batch(ONE), Pair(ONE, TWO))))
    calls = [
        (Batch(TWO), Pair(ONE, ONE)),
        ({"image": TWO, "scale": 2.0}, (ONE, ONE)),
        ({"scale": 2.0, "image": TWO}, {"second": ONE, "first": ONE}),
    ]
    for batch, pair in calls:
        found = program(batch, pair)
        assert found.first.tolist() == [4.0, 4.0]
        assert found.second.image.tolist() == [2.0, 2.0]
        assert found.second.scale == 7.0
        assert found[0] is found.first
        assert type(found).__name__ == "Pair"
        assert type(found.second).__name__ == "Batch"
        assert isinstance(found, Pair) is not via.loaded
        assert isinstance(found.second, Batch) is not via.loaded
    with pytest.raises(
        ArgumentError, match=r"argument 'batch'\.scale is a constant[\s\S]*2.0[\s\S]*3.0[\s\S]*runtime\(2.0\)"
    ):
        program(Batch(TWO, 3.0), Pair(ONE, ONE))

    class Other(NamedTuple):
        left: object
        right: object

    with pytest.raises(ArgumentError, match="another structure"):
        program(Batch(TWO), Other(ONE, ONE))


def test_results_of_a_loaded_program_can_be_passed_on(tmp_path):
    program = trace(lambda b: Batch(b.image + 1, b.scale), Batch(ONE))
    program.save(tmp_path / "p.ingot")
    loaded = ingot.load(tmp_path / "p.ingot")
    once = loaded(Batch(ONE))
    assert loaded(once).image.tolist() == [3.0, 3.0]
    assert repr(loaded(once)).startswith("Batch(image=tensor([3., 3.])")


def test_records_of_another_type_are_refused(via):
    class Negative(Batch):
        def total(self):
            return -self.image

    class Turned(NamedTuple):
        second: object
        first: object

    program = via(trace(lambda batch, pair: batch.image + pair.first - pair.second, (Batch(ONE), Pair(ONE, TWO))))
    assert program(Batch(TWO), Pair(ONE, ONE)).tolist() == [2.0, 2.0]
    for args in ((Negative(TWO), Pair(ONE, ONE)), (Batch(TWO), Turned(ONE, ONE))):
        with pytest.raises(ArgumentError, match="has another structure"):
            program(*args)


def test_a_named_tuple_alone_is_one_argument():
    program = trace(
        lambda pair: pair.first - pair.second, Pair(ONE, TWO), dynamic_shapes={"pair": [{0: "n"}, {0: "n"}]}
    )
    assert program(Pair(ingot.ones(3), ingot.ones(3))).tolist() == [0.0] * 3


def test_two_types_of_one_name_and_fields_are_refused():
    def make():
        @dataclasses.dataclass
        class Item:
            x: object

        return Item

    a, b = make(), make()
    with pytest.raises(ArgumentError, match="two types are named Item"):
        trace(lambda p, q: p.x + q.x, (a(ONE), b(ONE)))


def test_constants_refuse_other_values(via):
    def f(x, factor, mode, flag):
        return x * factor if mode == "double" and flag else x

    program = via(trace(f, (ONE, 2, "double", True)))
    assert program(TWO, 2, "double", True).tolist() == [4.0, 4.0]
    for args, text in (
        ((3, "double", True), r"'factor' is a constant[\s\S]*2[\s\S]*3[\s\S]*ingot.jit.runtime\(2\)"),
        ((2.0, "double", True), r"'factor' is a constant"),
        ((2, "other", True), r"'mode' is a constant[\s\S]*'double'[\s\S]*'other'[\s\S]*an entry point for each"),
        ((2, "double", 1), r"'flag' is a constant"),
        ((2, "double", None), r"'flag' has another structure"),
    ):
        with pytest.raises(ArgumentError, match=text):
            program(ONE, *args)


def test_runtime_numbers(via):
    def f(x, n, scale, flag):
        return x[:n] * scale, n + 1, scale * 2, x * flag

    program = via(trace(f, (ingot.arange(12).float(), runtime(3), runtime(0.5), runtime(True))))
    x = ingot.arange(12).float()
    for n, scale, flag in ((3, 0.5, True), (4, 2.0, False), (np.int64(6), np.float32(0.25), np.bool_(True))):
        rows, more, twice, signed = program(x, n, scale, flag)
        assert rows.tolist() == [i * float(scale) for i in range(int(n))]
        assert (more, twice) == (int(n) + 1, 2 * float(scale))
        assert type(more) is int
        assert type(twice) is float
        assert signed[1].item() == (1 if flag else 0)
    for args, text in (
        ((3.0, 0.5, True), "'n' is 3.0, which is no int"),
        ((True, 0.5, True), "which is no int"),
        ((3, 2, True), r"'scale' is 2, which is no float[\s\S]*pass 2.0"),  # the function would compute integers
        ((3, 0.5, 1), "which is no bool"),
        ((3, ingot.tensor(0.5), True), r"which is no float[\s\S]*item\(\)"),
    ):
        with pytest.raises(ArgumentError, match=text):
            program(x, *args)
    with pytest.raises(ShapeError, match="n is out of its bounds"):
        program(x, -1, 0.5, True)
    with pytest.raises(ArgumentError, match="runtime: 3 is out of its bounds"):
        runtime(3, max=2)
    with pytest.raises(ArgumentError, match=r"str[\s\S]*an entry point for each"):
        runtime("a")


def test_defaults_may_be_left_out(via):
    def f(x, scale=2.0, *, shift=None, power=1):
        x = x * scale if shift is None else x * scale + shift
        return x**power

    program = via(trace(f, ONE))
    assert program(TWO).tolist() == [4.0, 4.0]
    assert program(TWO, 2.0, shift=None, power=1).tolist() == [4.0, 4.0]
    with pytest.raises(ArgumentError, match=r"'scale' is a constant[\s\S]*2.0[\s\S]*3.0"):
        program(TWO, 3.0)
    with pytest.raises(ArgumentError, match="another structure"):
        program(TWO, shift=ONE)
    with pytest.raises(ArgumentError, match=r"1 \w+|2 arguments|3 arguments"):
        program(TWO, 2.0, None)
    given = via(trace(f, (ONE, 3.0), example_kwarg_inputs={"shift": ONE}))
    assert given(TWO, 3.0, shift=ONE).tolist() == [7.0, 7.0]
    with pytest.raises(ArgumentError, match="'shift' is missing: its default is not what"):
        given(TWO, 3.0)
    number = via(trace(f, (ONE, runtime(3.0))))
    assert number(TWO).tolist() == [4.0, 4.0]
    assert number(TWO, 5.0).tolist() == [10.0, 10.0]


def test_positional_only_rest_and_keywords(via):
    def f(a, /, *rest, b, **others):
        return a + sum(rest) + b * others["c"]

    program = via(trace(f, (ONE, TWO, TWO), example_kwarg_inputs={"b": ONE, "c": TWO}))
    assert program(ONE, ONE, ONE, b=TWO, c=TWO).tolist() == [7.0, 7.0]
    with pytest.raises(ArgumentError, match="another structure"):
        program(ONE, ONE, b=TWO, c=TWO)
    with pytest.raises(ArgumentError, match="'b' is missing"):
        program(ONE, ONE, ONE, c=TWO)
    with pytest.raises(ArgumentError, match="unknown key 'd'"):
        program(ONE, ONE, ONE, b=TWO, c=TWO, d=TWO)


def test_unknown_and_double_arguments_are_named():
    program = trace(lambda images, labels: images + labels, (ONE, TWO))
    with pytest.raises(ArgumentError, match=r"'lables' is not a parameter[\s\S]*did you mean labels"):
        program(ONE, lables=TWO)
    with pytest.raises(ArgumentError, match="'images' is given twice"):
        program(ONE, images=TWO)
    with pytest.raises(ArgumentError, match="3 arguments for a program that takes 2"):
        program(ONE, ONE, ONE)


def test_dict_order_counts_only_where_the_program_goes_through_it(via):
    by_key = via(trace(lambda d: d["a"] - d["b"], ({"a": ONE, "b": TWO},)))
    assert by_key({"b": ONE, "a": TWO}).tolist() == [1.0, 1.0]
    in_order = via(trace(lambda d: ingot.cat(list(d.values())), ({"a": ONE, "b": TWO},)))
    assert in_order({"a": TWO, "b": ONE}).tolist() == [2.0, 2.0, 1.0, 1.0]
    with pytest.raises(ArgumentError, match=r"keys in another order[\s\S]*a, b[\s\S]*b, a"):
        in_order({"b": ONE, "a": TWO})
    with pytest.raises(ArgumentError, match=r"no 'a' and the unknown key 'c'"):
        by_key({"b": ONE, "c": TWO})
    with pytest.raises(ArgumentError, match=r"dict key[\s\S]*3[\s\S]*strings as keys"):
        trace(lambda d: d[3], ({3: ONE},))


def test_dynamic_sizes_inside_of_nested_arguments(via):
    def f(batch, pair):
        return batch["x"].sum(0) + batch["y"][0].sum(0) + pair.first.sum(0)

    example = {"x": ingot.ones(3, 2), "y": [ingot.ones(4, 2), ONE]}, Pair(ingot.ones(3, 2), None)
    shapes = {"batch": {"x": {0: "n"}, "y": [{0: "m"}]}, "pair": {"first": {0: "n"}}}
    program = via(trace(f, example, dynamic_shapes=shapes))
    assert [str(v.type) for v in program.graph.inputs] == ["f32[n, 2]", "f32[m, 2]", "f32[2]", "f32[n, 2]"]
    found = program({"x": ingot.ones(5, 2), "y": [ingot.ones(1, 2), ONE]}, Pair(ingot.ones(5, 2), None))
    assert found.tolist() == [11.0, 11.0]
    with pytest.raises(ShapeError):
        program({"x": ingot.ones(5, 2), "y": [ingot.ones(1, 2), ONE]}, Pair(ingot.ones(4, 2), None))
    for wrong in ({"batch": {"z": {0: "n"}}}, {"batch": [None]}, {"pair": {"first": {0: "n"}, "second": {0: "m"}}}):
        with pytest.raises(ArgumentError, match="dynamic_shapes"):
            trace(f, example, dynamic_shapes=wrong)


def test_arrays_are_inputs_as_well(via):
    program = via(trace(lambda x, y: (x * 2, y["k"] + 1), (np.ones(2, np.float32), {"k": np.zeros(3)})))
    a, b = program(np.full(2, 3, np.float32), {"k": np.ones(3)})
    assert a.tolist() == [6.0, 6.0]
    assert b.dtype is ingot.float64


def test_members_of_enumerations_are_not_taken_for_their_values():
    import enum

    class Kind(enum.IntEnum):
        A = 1

    with pytest.raises(ArgumentError, match=r"type Kind[\s\S]*pass the number"):
        trace(lambda x, kind: x if kind is Kind.A else -x, (ONE, Kind.A))
    with pytest.raises(ArgumentError, match="type object"):
        trace(lambda x, o: x, (ONE, object()))
    with pytest.raises(CaptureError, match="the program's result"):
        trace(lambda x: {1: x}, ONE)


def test_results_do_not_alias_inputs_or_state(via):
    weight = ingot.ones(2)
    weight.requires_grad_()
    program = via(trace(lambda x: (x, weight, x.view(2), x[:1]), ONE))
    x = ingot.zeros(2)
    for found in program(x):
        assert not np.may_share_memory(found.detach().numpy(), x.numpy())
        with ingot.no_grad():
            found.detach().add_(5)
    assert x.tolist() == [0.0, 0.0]
    assert program(x)[1].tolist() == [1.0, 1.0]
