"""What is saved comes back: graphs of every kind, state, signatures, the rest; and equal programs give equal bytes."""

import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from ingot.ir import ops, sizes  # noqa: F401
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.errors import ArgumentError, VerifyError
from ingot.ir.graph import Graph, same_graph
from ingot.ir.locations import Location
from ingot.ir.program import Example, LedgerEntry, ProgramRecord, Signature
from ingot.ir.types import BOOL, TensorType
from ingot.serialize import content_hash, dumps, load, loads, save
from program_files import LEAF, document_of, leaves_only, record_of

GRAPHS = {
    "nothing": "graph @f() -> (): return ()",
    "state and updates": """
        graph @f(%x : f32[B, 4]) state {%w : f32[3, 4] = "fc.weight", %n : i64[] = "steps", %k : key = "rng"}
            -> (f32[B, 3]):
          %none : none = prim::Constant[value=none]()
          %y : f32[B, 3] = ingot::linear(%x, %w, %none)  @model.py:12:12-12:30 in fc
          %a : key, %b : key = prim::Split(%k)  @model.py:13
          return (%y) update {"rng": %a, "steps": %n}  @model.py:14:5
        sources { @model.py:12:12-12:30 in Net.forward "    y = self.fc(x)  # \\u00fc" }
        """,
    "branches": """
        graph @f(%x : f32[B], %t : bool) -> (f32[B], int):
          %y : f32[B], %n : int = prim::If(%t)  @m.py:3:4
            block0():
              %a : f32[B] = ingot::relu(%x)  in left
              %one : int = prim::Constant[value=1]()
              -> (%a, %one)  @m.py:4:1 in left
            block1():
              %s : int = prim::Size[2*B]()
              -> (%x, %s)
          return (%y, %n)
        """,
    "loops inside loops": """
        graph @f(%n : int, %x : f32[4]) -> (f32[4], f32[T, 4]):
          %go : bool = prim::Constant[value=true]()
          %z : f32[4], %all : f32[T, 4] = prim::Loop(%n, %go, %x)
            block0(%i : int, %c : f32[4]):
              %inner : f32[4] = prim::Loop(%i, %go, %c)
                block0(%j : int, %d : f32[4]):
                  %e : f32[4] = ingot::exp(%d)
                  -> (%go, %e)
              -> (%go, %inner, %c)
          return (%z, %all)
        """,
    "a fusion group": """
        graph @f(%x : f32[B, 8]) -> (f32[B, 8]):
          %y : f32[B, 8] = prim::FusionGroup(%x)
            block0(%p : f32[B, 8]):
              %two : float = prim::Constant[value=2.5]()
              %m : f32[B, 8] = ingot::mul(%p, %two)
              %r : f32[B, 8] = ingot::relu(%m)
              -> (%r)
          return (%y)
        """,
    "containers": """
        graph @f(%x : f32[2], %n : int) -> ((f32[2], int), list<f32[2]>, f32[2]):
          %t : (f32[2], int) = prim::Tuple(%x, %n)
          %l : list<f32[2]> = prim::List(%x, %x)
          %a : f32[2], %b : int = prim::Untuple(%t)
          return (%t, %l, %a)
        """,
    "optional, nested and device types": """
        graph @f(%a : f32[2]?, %b : ((int, float), list<bool?>), %c : bf16[2]:cuda, %d : (f16[],), %e : none) -> ():
          return ()
        """,
    "every dtype": """
        graph @f(%a : bool[1], %b : u8[1], %c : i8[1], %d : i16[1], %e : i32[1], %f : i64[1], %g : f16[1],
                 %h : bf16[1], %i : f32[1], %j : f64[0, 3]) -> (): return ()
        """,
    "sizes": """
        graph @f sizes {B in 1..64, T >= 2}(%x : f32[B, T], %y : f32[B*T + 1, max(B, T)//2, T % 3]) -> (f32[B*T]):
          assume T % 2 == 0  @m.py:3:1
          assume B*T <= 100
          %r : f32[B*T] = ingot::reshape[shape=[B*T]](%x)
          return (%r)
        """,
    "numbers": """
        graph @f() -> (float, float, float, float, float, int, bool, none):
          %a : float = prim::Constant[value=0.1]()
          %b : float = prim::Constant[value=-0.0]()
          %c : float = prim::Constant[value=inf]()
          %d : float = prim::Constant[value=-inf]()
          %e : float = prim::Constant[value=nan]()
          %f : int = prim::Constant[value=-9223372036854775808]()
          %g : bool = prim::Constant[value=false]()
          %h : none = prim::Constant[value=none]()
          return (%a, %b, %c, %d, %e, %f, %g, %h)
        """,
}


def assert_same(a: ProgramRecord, b: ProgramRecord) -> None:
    """Whether two records hold the same, arrays compared by their bytes."""
    assert list(a.graphs) == list(b.graphs)
    for name, graph in a.graphs.items():
        assert same_graph(graph, b.graphs[name]) is None
    assert (a.signatures, a.trainable, a.ledger) == (b.signatures, b.trainable, b.ledger)
    assert list(a.state) == list(b.state)
    assert_same_arrays(list(a.state.values()), list(b.state.values()))
    assert [e.entry for e in a.examples] == [e.entry for e in b.examples]
    for x, y in zip(a.examples, b.examples, strict=True):
        assert_same_arrays([*x.inputs, *x.outputs], [*y.inputs, *y.outputs])


def assert_same_arrays(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    assert [(x.dtype, x.shape, x.tobytes()) for x in a] == [(x.dtype, x.shape, x.tobytes()) for x in b]


@pytest.mark.parametrize("text", GRAPHS.values(), ids=list(GRAPHS))
def test_a_graph_comes_back_and_is_written_the_same_again(text: str) -> None:
    program = record_of(text)
    data = dumps(program)
    found = loads(data)
    assert_same(program, found)
    assert dumps(found) == data


@pytest.mark.parametrize("text", GRAPHS.values(), ids=list(GRAPHS))
def test_equal_programs_give_equal_bytes(text: str) -> None:
    assert dumps(record_of(text)) == dumps(record_of(text))
    copied = record_of(text)
    copied.graphs = {name: graph.copy() for name, graph in copied.graphs.items()}
    assert dumps(copied) == dumps(record_of(text))


def test_several_entry_points_share_state_and_keep_their_order() -> None:
    text = """
        graph @train(%x : f32[2]) state {%w : f32[2] = "w"} -> (f32[2]): return (%x) update {"w": %x}
        graph @eval(%y : f32[2]) state {%v : f32[2] = "w"} -> (f32[2]): return (%v)
        """
    program = record_of(text)
    found = loads(dumps(program))
    assert list(found.graphs) == ["train", "eval"]
    assert_same(program, found)


def test_an_entry_point_may_be_called_otherwise_than_its_graph() -> None:
    program = record_of("graph @inner() -> (): return ()")
    program.graphs = {"outer name": program.graphs["inner"]}
    program.signatures = {"outer name": program.signatures["inner"]}
    found = loads(dumps(program))
    assert list(found.graphs) == ["outer name"] and found.graphs["outer name"].name == "inner"


# -- attributes and constants


def constant_graph(*values: object) -> ProgramRecord:
    graph = Graph("f")
    builder = Builder(graph)
    graph.set_return([builder.constant(value) for value in values])
    return ProgramRecord({"f": graph}, {}, {"f": leaves_only(graph)})


@pytest.mark.parametrize("count", [0, 1, 16, 17, 1000])
@pytest.mark.parametrize("dtype", ["bool", "u1", "i1", "i2", "i4", "i8", "f2", "bf16", "f4", "f8"])
def test_constants_come_back_bit_for_bit(count: int, dtype: str, rng: np.random.Generator) -> None:
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bf16" else dtype)
    words = rng.integers(0, 2 if dtype == "bool" else 256, count * kind.itemsize, np.uint8)
    array = words.view(kind)  # whatever bits there are, signalling NaNs among them
    found = loads(dumps(constant_graph(array))).graphs["f"].outputs[0]
    assert found.node is not None
    value = found.node.attrs["value"]
    assert (value.dtype, value.shape, value.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert not value.flags.writeable


def test_large_constants_are_tensors_and_equal_ones_are_stored_once() -> None:
    large = np.arange(17.0)
    program = constant_graph(large, large.copy(), large + 1, np.arange(3))
    document = document_of(dumps(program))
    assert document["constants"] == 2
    graph = loads(dumps(program)).graphs["f"]
    first, second, *_ = (value.node.attrs["value"] for value in graph.outputs if value.node)
    assert first is second
    assert same_graph(program.graphs["f"], graph) is None


def test_constants_of_any_layout_come_back() -> None:
    base = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    program = constant_graph(
        base.T, base[::2, ::-1], np.broadcast_to(np.float32(3), (5, 5)), np.float32(2) * base[0, 0, 0]
    )
    found = loads(dumps(program)).graphs["f"]
    assert same_graph(program.graphs["f"], found) is None


def test_keys_are_constants_too() -> None:
    program = constant_graph(np.array([2**64 - 1, 5], np.uint64))
    assert same_graph(program.graphs["f"], loads(dumps(program)).graphs["f"]) is None


def test_numbers_that_compare_equal_stay_apart() -> None:
    program = constant_graph(1, 1.0, True, 0, 0.0, -0.0, False, math.nan, 5e-324, 1.7976931348623157e308, 0.1 + 0.2)
    graph = loads(dumps(program)).graphs["f"]
    assert same_graph(program.graphs["f"], graph) is None
    values = [value.node.attrs["value"] for value in graph.outputs if value.node]
    assert [type(v) for v in values[:3]] == [int, float, bool]
    assert [math.copysign(1, v) for v in values[4:6]] == [1, -1]


def test_sizes_in_constants() -> None:
    graph = Graph("f")
    size = sizes.var("B", lo=1)
    graph.add_input("x", TensorType(float32, (size,)))
    graph.set_return([Builder(graph).constant(size * 2 + 1)])
    found = loads(dumps(ProgramRecord({"f": graph}, {}, {"f": leaves_only(graph)}))).graphs["f"]
    assert same_graph(graph, found) is None


# -- depth


@pytest.mark.parametrize("depth", [500, 3000])
def test_deep_nesting_needs_no_recursion(depth: int) -> None:
    program = nested(depth)
    found = loads(dumps(program))
    assert same_graph(program.graphs["f"], found.graphs["f"]) is None
    assert dumps(found) == dumps(program)


def nested(depth: int) -> ProgramRecord:
    graph = Graph("f")
    condition = graph.add_input("c", BOOL)
    block = graph.block
    x = graph.add_input("x", TensorType(float32, (2,)))
    results = []
    for _ in range(depth):
        node = Builder(block).emit("prim::If", [condition], types=[x.type], location=Location("m.py", 1, 2))
        results.append((block, node.output))
        block = node.add_block()
        node.add_block().set_returns([x])
    block.set_returns([x])
    for inner, value in results[1:]:
        inner.set_returns([value])
    graph.set_return([results[0][1]])
    return ProgramRecord({"f": graph}, {}, {"f": leaves_only(graph)})


# -- state


def test_state_keeps_its_names_order_dtypes_and_shapes() -> None:
    state = {
        "z": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a.b.c": np.array(3, np.int64),
        "mask": np.array([True, False, True]),
        "half": np.arange(5).astype(ml_dtypes.bfloat16),
        "empty": np.zeros((0, 4), np.float16),
        "rng": np.array([1, 2**63], np.uint64),
        "Grüße, 世界": np.array([1.5], np.float64),
    }
    program = record_of(GRAPHS["nothing"], state=state, trainable=("z", "half"))
    found = loads(dumps(program))
    assert_same(program, found)


@pytest.mark.parametrize(
    "array", [np.arange(12.0).reshape(3, 4).T, np.arange(10.0)[::-2], np.broadcast_to(1.5, (3, 3))]
)
def test_state_of_any_layout_is_stored_in_order(array: np.ndarray) -> None:
    found = loads(dumps(record_of(GRAPHS["nothing"], state={"w": array}))).state["w"]
    np.testing.assert_array_equal(found, array)


def test_tied_state_is_stored_once_and_comes_back_tied() -> None:
    shared = np.ones(1000)
    program = record_of(GRAPHS["nothing"], state={"embed": shared, "bias": np.ones(1000), "head": shared[:]})
    data = dumps(program)
    assert len(data) < 3 * shared.nbytes
    found = loads(data)
    assert found.state["embed"] is found.state["head"]
    assert found.state["bias"] is not found.state["head"]
    assert_same(program, found)
    assert dumps(found) == data


def test_state_that_is_part_of_other_state_is_not_tied() -> None:
    base = np.arange(4.0)
    program = record_of(GRAPHS["nothing"], state={"a": base, "b": base[:2], "c": base.reshape(2, 2), "d": base[::-1]})
    assert_same(program, loads(dumps(program)))


# -- signatures, ledger, extras, examples


def test_signatures_of_every_kind_of_tree() -> None:
    tree = {
        "kind": "dict",
        "items": [
            {"kind": "list", "items": [LEAF, {"kind": "none"}]},
            {"kind": "tuple", "items": [LEAF, {"kind": "tuple", "items": []}]},
            *({"kind": "constant", "value": v} for v in (3, -2.5, True, "leaf", "text", math.inf)),
        ],
        "keys": ["b", "a", "i", "f", "t", "s1", "s2", "inf"],
    }
    program = record_of("graph @f(%x : f32[1], %y : f32[1]) -> (f32[1]): return (%y)")
    program.signatures = {"f": Signature(("batch",), (tree,), LEAF)}
    found = loads(dumps(program))
    assert found.signatures == program.signatures


def test_ledger_extras_and_trainable() -> None:
    extras = {
        "labels": ["a", "ü"],
        "scale": -0.0,
        "limits": [math.inf, -math.inf],
        "nested": {"x": {"y": [1, None, True]}},
        "looks like a note": {"$float": "nan"},
        "and so does this": {"$dict": {"$float": 1}},
    }
    ledger = [
        LedgerEntry("item", "took x.item()", Location("m.py", 3, 4, 3, 9, "f", "    a = x.item()")),
        LedgerEntry("size", "B is 4"),
        LedgerEntry("frozen", "p of dropout", Location("m.py", 3), "self.p", "0.1", 3, "forward"),
        LedgerEntry("a kind of a later version", "odd", None, "", "", 2),
    ]
    program = record_of(GRAPHS["nothing"], extras=extras, ledger=ledger)
    found = loads(dumps(program))
    assert found.ledger == ledger
    assert repr(found.extras) == repr(dict(sorted(extras.items())))
    assert dumps(found) == dumps(program)


def test_extras_may_hold_nan_and_tuples_become_lists() -> None:
    found = loads(dumps(record_of(GRAPHS["nothing"], extras={"a": (1, math.nan)}))).extras
    assert found["a"][0] == 1 and math.isnan(found["a"][1]) and type(found["a"]) is list


@pytest.mark.parametrize("extra", [{1: 2}, object(), b"bytes", 2**70, "\ud800", {"a": {3: 4}}, np.float32(1)])
def test_extras_that_are_not_json_are_refused_when_saved(extra: object) -> None:
    with pytest.raises(ArgumentError):
        dumps(record_of(GRAPHS["nothing"], extras={"x": extra}))


def examples() -> list[Example]:
    return [Example("f", (np.ones((2, 4), np.float32),), (np.zeros((2, 3), np.float32),))]


def test_examples_come_back_and_stand_outside_of_the_content_hash(tmp_path: Path) -> None:
    text = GRAPHS["state and updates"]
    plain, shown = record_of(text), record_of(text, examples=examples())
    found = loads(dumps(shown))
    assert_same(shown, found)
    assert content_hash(plain) == content_hash(shown) == content_hash(found)
    save(shown, tmp_path / "a.ingot")
    assert content_hash(tmp_path / "a.ingot") == content_hash(plain)


def test_the_content_hash_sees_everything_else() -> None:
    text = GRAPHS["state and updates"]
    other_state = record_of(text)
    other_state.state["fc.weight"] = other_state.state["fc.weight"] + 1
    others = [
        record_of(text.replace("12:12", "12:13")),
        record_of(text, trainable=("fc.weight",)),
        record_of(text, extras={"a": 1}),
        other_state,
    ]
    hashes = {content_hash(program) for program in (record_of(text), *others)}
    assert len(hashes) == 1 + len(others)


# -- source lines


def test_source_lines_can_be_left_out() -> None:
    program = record_of(GRAPHS["state and updates"])
    full, bare = dumps(program), dumps(program, sources=False)
    assert b"self.fc(x)" in full and b"self.fc(x)" not in bare
    graph = loads(bare).graphs["f"]
    places = [node.location for node in graph.nodes()]
    assert same_graph(program.graphs["f"], graph, locations=False) is None
    assert [str(p) for p in places] == [str(node.location) for node in program.graphs["f"].nodes()]
    assert all(place is None or place.source == "" for place in places)
    assert dumps(loads(bare)) == bare


# -- what cannot be written


def test_a_graph_that_the_verifier_rejects_is_not_written() -> None:
    program = record_of("graph @f(%x : f32[2]) -> (f32[2]): %y : f32[2] = ingot::relu(%x) return (%y)")
    program.graphs["f"].outputs[0].type = TensorType(float32, (3,))
    with pytest.raises(VerifyError, match="wrong type"):
        dumps(program)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.state.pop("fc.weight"), "'fc.weight' of @f is missing"),
        (lambda p: p.state.update({"fc.weight": np.ones((3, 4))}), "'fc.weight' does not fit @f"),
        (lambda p: p.state.update({"fc.weight": np.ones((3, 5), np.float32)}), "'fc.weight' does not fit @f"),
        (lambda p: p.state.update({"rng": np.ones(3, np.uint64)}), "'rng' does not fit @f"),
        (lambda p: p.state.update({"__ingot__/x": np.ones(3)}), "reserved name"),
        (lambda p: setattr(p, "trainable", ("nope",)), "'nope' is not a name of the state"),
        (lambda p: setattr(p, "signatures", {}), "lacks its graph or its signature"),
        (lambda p: setattr(p, "signatures", {"f": Signature(("x",), (LEAF,), {"kind": "none"})}), "does not match"),
        (lambda p: setattr(p, "examples", [Example("g", (), ())]), "does not exist"),
        (lambda p: setattr(p, "examples", [Example("f", (), ())]), "example 0: 0 inputs"),
        (lambda p: setattr(p, "graphs", {}), "no entry point"),
    ],
)
def test_parts_that_do_not_fit_are_not_written(change, message: str) -> None:
    program = record_of(GRAPHS["state and updates"])
    change(program)
    with pytest.raises(VerifyError, match=message):
        dumps(program)


@pytest.mark.parametrize(
    "array", [np.ones(2, np.complex64), np.array(["a"]), np.array([None]), np.ones(2, ">f4"), np.ones(2, "u4")]
)
def test_state_of_a_foreign_dtype_is_not_written(array: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="tensor 'x' is"):
        dumps(record_of(GRAPHS["nothing"], state={"x": array}))


def test_state_called_like_the_metadata_is_not_written() -> None:
    with pytest.raises(ArgumentError, match="cannot be called"):
        dumps(record_of(GRAPHS["nothing"], state={"__metadata__": np.ones(2)}))


# -- files


def test_a_file_is_mapped_and_writing_to_its_arrays_leaves_it_alone(tmp_path: Path) -> None:
    program = record_of(GRAPHS["nothing"], state={"w": np.zeros(100_000, np.float32)})
    path = tmp_path / "m.ingot"
    save(program, path)
    before = path.read_bytes()
    weight = load(path).state["w"]
    assert not weight.flags.owndata and weight.flags.aligned
    weight += 1
    assert weight.sum() == 100_000
    assert path.read_bytes() == before == dumps(program)
    assert load(path).state["w"].sum() == 0


def test_a_mapped_program_can_be_saved_over_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / "m.ingot"
    save(record_of(GRAPHS["state and updates"]), path)
    program = load(path)
    program.state["fc.weight"] += 1
    save(program, path)
    np.testing.assert_array_equal(load(path).state["fc.weight"], program.state["fc.weight"])


def test_the_safetensors_library_reads_the_weights(tmp_path: Path) -> None:
    numpy_reader = pytest.importorskip("safetensors.numpy")
    state = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "rng": np.array([1, 2**63], np.uint64),
        "flag": np.array([True, False]),
        "small": np.array([1, 2, 3], np.int8),
        "none": np.zeros((0, 2), np.float16),
        "scalar": np.array(2.5),
    }
    path = tmp_path / "m.ingot"
    program = record_of(GRAPHS["nothing"], state=state, examples=[Example("f", (), ())])
    save(program, path)
    found = numpy_reader.load_file(path)
    assert found.keys() == state.keys()
    for name, array in state.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_file_rewritten_by_the_safetensors_library_still_loads(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors")
    writer = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "m.ingot"
    program = record_of(GRAPHS["state and updates"])
    save(program, path)
    with library.safe_open(path, "numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    writer.save_file(tensors, path, metadata)
    assert_same(program, load(path))
