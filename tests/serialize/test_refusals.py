"""Every file of the hostile corpus is refused with one clear message that names the file."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from corpus import good_file, good_files, hostile
from ingot.ir import ops  # noqa: F401
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.errors import ArgumentError, FileFormatError
from ingot.ir.families import elementwise
from ingot.ir.graph import Graph
from ingot.ir.program import ProgramRecord
from ingot.ir.registry import unregister
from ingot.ir.types import TensorType
from ingot.serialize import container, content_hash, dumps, limits, load, loads
from ingot.serialize.program_writer import FORMAT_VERSION
from program_files import document_of, edited, leaves_only, record_of

CORPUS = hostile()


@pytest.mark.parametrize("name", good_files())
def test_good_files_load(name: str) -> None:
    data = good_files()[name]
    assert dumps(loads(data)) == data


@pytest.mark.parametrize("name", CORPUS)
def test_a_bad_file_is_refused_in_clear_words(name: str, tmp_path: Path) -> None:
    data, message = CORPUS[name]
    path = tmp_path / "model.ingot"
    path.write_bytes(data)
    with pytest.raises(FileFormatError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert len(text) < 2000 and text.encode()  # nothing in it that a terminal could not show
    assert "cannot judge" not in text  # a rule refused it, not an accident


@pytest.mark.parametrize("name", [n for n in CORPUS if n.startswith(("header", "tensors", "shape", "offsets", "zip"))])
def test_the_hash_refuses_bad_containers_too(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.ingot"
    path.write_bytes(CORPUS[name][0])
    with pytest.raises(FileFormatError, match=r"model\.ingot"):
        content_hash(path)


def test_a_newer_format_says_both_versions_and_what_to_do() -> None:
    with pytest.raises(FileFormatError) as caught:
        loads(edited(good_file(), lambda d: d.update(format=7)))
    for part in "format version 7", f"format version {FORMAT_VERSION}", "pip install --upgrade ingot":
        assert part in str(caught.value)


def test_an_unknown_op_lists_close_names() -> None:
    with pytest.raises(FileFormatError, match=r"ingot::conv2d"):
        loads(edited(good_file(), lambda d: d["ops"][1].__setitem__(0, "ingot::conv2e")))


def test_the_verifier_names_the_node_and_the_users_line() -> None:
    def change(document: dict) -> None:
        graph = document["entries"][0]["graph"]
        graph["types"][graph["nodes"][1][4][0]] = ["f32", ["B", 4, 8, 7]]

    with pytest.raises(FileFormatError) as caught:
        loads(edited(good_file(), change))
    text = str(caught.value)
    for part in (
        "verifier rejects",
        "%h = ingot::conv2d",
        "model.py:10:13, in Net.forward",
        "h = self.conv(x)",
        "@forward",
    ):
        assert part in text


def test_a_missing_file_is_pythons_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere.ingot")


def test_a_folder_or_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="a folder, a pipe or a device"):
        load(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileFormatError, match="a folder, a pipe or a device"):
            load(tmp_path / "pipe")


# -- limits


NESTED = """
graph @f(%t : bool) -> (bool):
  %y : bool = prim::If(%t)
    block0():
      %z : bool = prim::If(%t)
        block0():
          -> (%t)
        block1():
          -> (%t)
      -> (%z)
    block1():
      -> (%t)
  return (%y)
"""


def test_blocks_deeper_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dumps(record_of(NESTED))
    loads(data)
    monkeypatch.setattr("ingot.serialize.graph_reader.MAX_BLOCK_DEPTH", 1)
    with pytest.raises(FileFormatError, match="more than 1 deep"):
        loads(data)


def test_more_nodes_than_the_limit_are_refused_before_any_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingot.serialize.program_reader.MAX_NODES", 10)
    monkeypatch.setattr("ingot.serialize.graph_reader.Node", None)
    with pytest.raises(FileFormatError, match="too many nodes"):
        loads(good_file())


def test_blocks_deeper_than_the_limit_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingot.serialize.graph_writer.MAX_BLOCK_DEPTH", 1)
    with pytest.raises(ArgumentError, match="too deep inside each other"):
        dumps(record_of(NESTED))


def test_more_lists_than_the_limit_are_refused_before_any_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    data = good_file()
    monkeypatch.setattr("ingot.serialize.strict_json.MAX_JSON_LISTS", 100)
    with pytest.raises(FileFormatError, match="too many parts"):
        loads(data)


def test_a_header_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = good_file()
    monkeypatch.setattr(container, "MAX_HEADER", 1000)
    monkeypatch.setattr(container, "parse_json", None)
    with pytest.raises(FileFormatError, match="not a safetensors file"):
        loads(data)


def test_the_writer_keeps_the_readers_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.MAX_HEADER == 100_000_000  # what the safetensors library reads
    monkeypatch.setattr(container, "MAX_HEADER", 100)
    with pytest.raises(ValueError, match="too large for a file"):
        dumps(record_of("graph @f() -> (): return ()"))


# -- users' ops


@pytest.fixture
def mine():
    op = elementwise("filetest::twice(x: Tensor) -> Tensor", scalar=lambda s, x: x + x)
    yield op
    unregister(op.name)


def users_program() -> bytes:
    graph = Graph("f")
    x = graph.add_input("x", TensorType(float32, (2,)))
    graph.set_return([Builder(graph).emit("filetest::twice", [x]).output])
    return dumps(ProgramRecord({"f": graph}, {}, {"f": leaves_only(graph)}))


def test_users_ops_are_read_only_when_the_caller_allows_them(mine) -> None:
    data = users_program()
    with pytest.raises(FileFormatError) as caught:
        loads(data)
    assert 'allow_ops=["filetest::twice"]' in str(caught.value)
    for allowed in ("filetest::twice", "filetest::*", mine):
        assert dumps(loads(data, allow_ops=[allowed])) == data
    for other in ("twice", "filetest", "*", "filetest::", "other::*"):
        with pytest.raises(FileFormatError, match="is not built in"):
            loads(data, allow_ops=[other])


def test_a_users_op_that_is_not_registered_says_so(mine) -> None:
    data = users_program()
    unregister(mine.name)
    with pytest.raises(FileFormatError, match="import the library that declares it"):
        loads(data, allow_ops=["filetest::*"])


# -- older ops


def test_attributes_that_are_left_out_have_their_defaults() -> None:
    text = """
        graph @f(%x : f32[2, 3]) -> (f32[2]):
          %y : f32[2] = ingot::sum[dim=[1], keepdim=false, dtype=none](%x)
          return (%y)
        """
    data = dumps(record_of(text))

    def change(document: dict) -> None:
        for row in document["entries"][0]["graph"]["attributes"]:
            row.pop("keepdim")

    assert dumps(loads(edited(data, change))) == data


def test_a_number_that_is_not_finite_is_never_bare() -> None:
    text = "graph @f() -> (float): %y : float = prim::Constant[value=nan]() return (%y)"
    data = dumps(record_of(text, extras={"a": math.inf}))
    assert b"NaN" not in data and b"Infinity" not in data
    assert document_of(data)["entries"][0]["graph"]["attributes"] == [{"value": {"float": "nan"}}]


def test_bools_are_checked_where_they_are_used_as_bytes() -> None:
    data = dumps(record_of("graph @f() -> (): return ()", state={"m": np.array([True] * 5)}))
    with pytest.raises(FileFormatError, match="a bool is neither 0 nor 1"):
        loads(data[:-1] + b"\x07")
