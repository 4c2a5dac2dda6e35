"""A corpus of program files: some that are good, and some that are damaged or hostile, each in one way.

`hostile()` gives for each bad file its bytes and a part of the message that refuses it.
"""

import base64
import io
import pickle
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from ingot.ir import ops  # noqa: F401
from ingot.ir.program import Example
from ingot.serialize import dumps
from ingot.serialize.container import pack, read_container
from ingot.serialize.program_writer import FORMAT_VERSION
from program_files import document_of, edited, record_of, with_document, with_header

TEXT = """
graph @forward(%x : f32[B, 1, 8, 8], %train : bool, %n : int)
    state {%w : f32[4, 1, 3, 3] = "conv.weight", %f : f32[10, 64] = "fc.weight", %k : key = "rng"}
    -> (f32[B, 10], i64[B], f32[20]):
  assume B <= 64  @model.py:4:1
  %none : none = prim::Constant[value=none]()
  %h : f32[B, 4, 8, 8] = ingot::conv2d[stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=1](%x, %w, %none)
      @model.py:10:13-10:25 in conv
  %r : f32[B, 4, 8, 8] = ingot::relu(%h)  @model.py:11:13-11:21
  %p : f32[B, 4, 4, 4] = ingot::max_pool2d[kernel_size=[2, 2], stride=[2, 2], padding=[0, 0], dilation=[1, 1],
      ceil_mode=false](%r)
  %q : f32[B, 64] = ingot::reshape[shape=[B, 64]](%p)
  %l : f32[B, 10] = ingot::linear(%q, %f, %none)  @model.py:12:13 in fc
  %y : f32[B, 10], %k3 : key = prim::If(%train)
    block0():
      %k1 : key, %k2 : key = prim::Split(%k)
      %d : f32[B, 10] = ingot::dropout[p=0.1](%l, %k1)
      -> (%d, %k2)
    block1():
      -> (%l, %k)
  %go : bool = prim::Constant[value=true]()
  %z : f32[B, 10] = prim::Loop(%n, %go, %y)
    block0(%i : int, %s : f32[B, 10]):
      %half : float = prim::Constant[value=0.5]()
      %m : f32[B, 10] = ingot::mul(%s, %half)
      -> (%go, %m)
  %best : i64[B] = ingot::argmax[dim=1, keepdim=false](%z)
  %big : f32[20] = prim::Constant[value=tensor(f32[20], base64 "BIG")]()
  %small : f32[2] = prim::Constant[value=tensor(f32[2], [0.0, 1.0])]()
  return (%z, %best, %big) update {"rng": %k3}
sources { @model.py:10:13-10:25 in Net.forward "        h = self.conv(x)" }
"""
_BIG = base64.b64encode(np.arange(20, dtype=np.float32).tobytes()).decode()


@cache
def good_file() -> bytes:
    """A program with all kinds of parts."""
    example = Example(
        "forward",
        (np.zeros((2, 1, 8, 8), np.float32), np.array(True), np.array(1)),
        (np.zeros((2, 10), np.float32), np.zeros(2, np.int64), np.zeros(20, np.float32)),
    )
    program = record_of(
        TEXT.replace("BIG", _BIG),
        trainable=("conv.weight", "fc.weight"),
        extras={"labels": list("0123456789"), "mean": 0.5},
        examples=[example],
    )
    program.state["mask"] = np.array([True, False, True])
    program.state["fc.tied"] = program.state["fc.weight"]
    return dumps(program)


def good_files() -> dict[str, bytes]:
    """Files that load."""
    return {"good": good_file(), "nothing in it": dumps(record_of("graph @f() -> (): return ()"))}


def hostile_files() -> dict[str, bytes]:
    """The bytes of the files of `hostile`."""
    return {name: data for name, (data, _) in hostile().items()}


@cache
def hostile() -> dict[str, tuple[bytes, str]]:
    """Files that are refused, each with a part of the message."""
    return {**_other_files(), **_headers(), **_tensors(), **_documents(), **_graphs(), **_parts()}


# -- files of other kinds


def _other_files() -> dict[str, tuple[bytes, str]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({"weight": 1}))
    weights = b"".join(pack({}, {"w": np.ones(3)}))
    return {
        "empty": (b"", "too short"),
        "three bytes": (b"abc", "too short"),
        "eight bytes": (b"\0" * 8, "not a safetensors file"),
        "zeros": (b"\0" * 1000, "not a safetensors file"),
        "text": (b"import os; os.system('true')\n" * 10, "not a safetensors file"),
        "zip": (archive.getvalue(), "zip archive"),
        "pickle": (pickle.dumps({"weight": list(range(100))}), "a pickle"),
        "numpy": (b"\x93NUMPY\x01\x00" + b" " * 120, "a NumPy array file"),
        "weights alone": (weights, "has weights but no program"),
        "foreign metadata": (b"".join(pack({"format": "pt"}, {"w": np.ones(3)})), "has weights but no program"),
    }


# -- the header


def _headers() -> dict[str, tuple[bytes, str]]:
    good = good_file()
    start = 8 + int.from_bytes(good[:8], "little")
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    twice = (
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    )
    return {
        "header length absurd": ((2**63).to_bytes(8, "little") + good[8:], "not a safetensors file"),
        "header length all ones": (b"\xff" * 8 + good[8:], "not a safetensors file"),
        "header longer than the file": ((len(good)).to_bytes(8, "little") + good[8:], "truncated"),
        "header one byte short": ((start - 73).to_bytes(8, "little") + good[8:], "not JSON"),
        "header cut": (good[: start // 2], "truncated"),
        "tensors cut": (good[:-1], "truncated"),
        "tensors missing": (good[:start], "truncated"),
        "trailing byte": (good + b"\0", "behind the last tensor"),
        "header a list": (with_header(b"{}[]"), "not JSON"),
        "header not UTF-8": (with_header(b'{"\xff\xfe": 1}'), "not UTF-8"),
        "header with NaN": (with_header(b'{"a": NaN}'), "NaN"),
        "header with a huge number": (with_header(b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
        "header nested deep": (with_header(deep), "nested too deep"),
        "header with a key twice": (with_header(twice, bytes(8)), "stands there twice"),
        "metadata a list": (with_header({"__metadata__": []}), "not an object of strings"),
        "metadata a number": (with_header({"__metadata__": {"ingot": 3}}), "not an object of strings"),
        "metadata besides": (_with_metadata(good, {"format": "np"}), "metadata besides"),
        "entry a list": (with_header({"a": []}), "not an object"),
        "entry lacks a field": (with_header({"a": {"dtype": "F32", "shape": [0]}}), "no 'data_offsets'"),
        "entry with a field more": (with_header({"a": {**entry, "x": 1}}, bytes(8)), "unknown key 'x'"),
        "name is a lone surrogate": (with_header(b'{"\\ud800": {}}'), "not Unicode"),
        "name too long": (with_header({"a" * 5000: entry}, bytes(8)), "name is not a string"),
    }


def _with_metadata(data: bytes, more: dict[str, str]) -> bytes:
    container = read_container(data)
    return b"".join(pack({**container.metadata, **more}, container.tensors))


# -- tensors


def _tensors() -> dict[str, tuple[bytes, str]]:
    def one(body: int = 8, **changes: Any) -> bytes:
        return with_header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}, bytes(body))

    def two(first: list[int], second: list[int], body: int) -> bytes:
        shape = {"dtype": "F32", "shape": [2]}
        header = {"a": {**shape, "data_offsets": first}, "b": {**shape, "data_offsets": second}}
        return with_header(header, bytes(body))

    huge = [2**62, 2**62, 4]
    flags = with_header({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2")
    return {
        "dtype unknown": (one(dtype="F8_E4M3"), "unknown dtype"),
        "dtype an object": (one(dtype="O"), "unknown dtype"),
        "dtype a number": (one(dtype=3), "its dtype is not a string"),
        "shape negative": (one(shape=[-2]), "a size is out of range"),
        "shape a float": (one(shape=[2.0]), "a size is out of range"),
        "shape a bool": (one(shape=[True]), "a size is out of range"),
        "shape too small": (one(shape=[1]), "do not match its shape"),
        "shape that overflows": (one(shape=huge), "do not match its shape"),
        "shape that overflows to its bytes": (one(shape=[2**62 + 1, 2], data_offsets=[0, 8]), "do not match its shape"),
        "shape of many dimensions": (one(shape=[1] * 65, data_offsets=[0, 4]), "65 dimensions"),
        "shape empty and enormous": (one(0, shape=[2**62, 2**62, 0], data_offsets=[0, 0]), "tensor 'a'"),
        "offsets reversed": (one(data_offsets=[8, 0]), "do not match its shape"),
        "offsets negative": (one(data_offsets=[-8, 0]), "an offset is out of range"),
        "offsets three": (one(data_offsets=[0, 4, 8]), "has 3 entries"),
        "offsets beyond the file": (one(data_offsets=[0, 8], body=4), "truncated"),
        "gap in front": (one(data_offsets=[4, 12], body=12), "a gap in front"),
        "gap between": (two([0, 8], [12, 20], 20), "a gap in front"),
        "overlap": (two([0, 8], [4, 12], 12), "overlaps"),
        "the same bytes twice": (two([0, 8], [0, 8], 8), "overlaps"),
        "a bool that is 2": (flags, "a bool is neither"),
    }


# -- the document as a whole


def _documents() -> dict[str, tuple[bytes, str]]:
    good = good_file()

    def document(text: Any) -> bytes:
        return with_document(good, text)

    return {
        "document empty": (document('""'), "not an object"),
        "document not JSON": (document("{"), "not JSON"),
        "document a list": (document([]), "not an object"),
        "document nested deep": (document('{"format":' + "[" * 300 + "]" * 300 + "}"), "nested too deep"),
        "document that only opens": (document("[" * 1_000_000), "nested too deep"),
        "document with a key twice": (document('{"format":1,"format":1}'), "stands there twice"),
        "document with Infinity": (document('{"format":Infinity}'), "Infinity"),
        "document with a huge number": (document('{"format":' + "1" * 10_000 + "}"), "not JSON"),
        "format missing": (edited(good, lambda d: d.pop("format")), "version is out of range"),
        "format newer": (edited(good, lambda d: d.update(format=FORMAT_VERSION + 1)), "newer than this Ingot"),
        "format much newer": (edited(good, lambda d: d.update(format=2**30)), "newer than this Ingot"),
        "format zero": (edited(good, lambda d: d.update(format=0)), "version is out of range"),
        "format a string": (edited(good, lambda d: d.update(format="1")), "version is out of range"),
        "a key missing": (edited(good, lambda d: d.pop("ledger")), "no 'ledger'"),
        "a key unknown": (edited(good, lambda d: d.update(code="import os")), "unknown key 'code'"),
    }


# -- graphs


def _graphs() -> dict[str, tuple[bytes, str]]:
    good = good_file()

    def graph(change: Callable[[dict[str, Any]], Any]) -> bytes:
        return edited(good, lambda d: change(d["entries"][0]["graph"]))

    def node(index: int, field: int, value: Any) -> bytes:
        return graph(lambda g: g["nodes"][index].__setitem__(field, value))

    def block(index: int, field: int, value: Any) -> bytes:
        return graph(lambda g: g["blocks"][index].__setitem__(field, value))

    def attributes(value: Any) -> bytes:
        """Other attributes for the convolution."""
        return graph(lambda g: g["attributes"].__setitem__(g["nodes"][1][1], value))

    def attribute(name: str, value: Any) -> bytes:
        return graph(lambda g: g["attributes"][g["nodes"][1][1]].__setitem__(name, value))

    def type_(value: Any) -> bytes:
        return graph(lambda g: g["types"].__setitem__(0, value))

    def size(value: Any) -> bytes:
        return type_(["f32", [value, 1, 8, 8]])

    def bad_ops(index: int, name: Any, version: Any = 1) -> bytes:
        return edited(good, lambda d: d["ops"].__setitem__(index, [name, version]))

    def if_index(g: dict[str, Any]) -> int:
        return next(i for i, row in enumerate(g["nodes"]) if len(row) == 6)

    count = len(document_of(good)["entries"][0]["graph"]["nodes"])
    doubling = [["f32", [2]], *({"tuple": [i, i]} for i in range(60))]
    return {
        "op unknown": (bad_ops(1, "ingot::conv3e"), "unknown op 'ingot::conv3e'"),
        "op of another namespace": (bad_ops(1, "os::system"), "unknown op 'os::system'"),
        "op without a namespace": (bad_ops(1, "relu"), "unknown op 'relu'"),
        "op a dunder": (bad_ops(1, "__class__"), "unknown op"),
        "op a number": (bad_ops(1, 7), "op's name is not a string"),
        "op of version 99": (bad_ops(1, "ingot::conv2d", 99), "newer than this Ingot knows"),
        "op of version 0": (bad_ops(1, "ingot::conv2d", 0), "version of op ingot::conv2d is out of range"),
        "op with another number of inputs": (bad_ops(1, "ingot::relu"), "relu"),
        "op without its blocks": (bad_ops(2, "prim::If"), "prim::If has 2 blocks"),
        "op that cannot be called": (bad_ops(1, "prim::Yield"), "prim::Yield"),
        "node not a list": (graph(lambda g: g["nodes"].__setitem__(1, {})), "node 1 is malformed"),
        "node too short": (graph(lambda g: g["nodes"][1].pop()), "node 1 is malformed"),
        "node with a field more": (graph(lambda g: g["nodes"][1].extend([0, 0])), "node 1 is malformed"),
        "node of no op": (node(1, 0, 99), "node 1: its op is out of range"),
        "node of a negative op": (node(1, 0, -1), "node 1: its op is out of range"),
        "node of op true": (node(1, 0, True), "node 1: its op is out of range"),
        "node of no attributes": (node(1, 1, 99), "attributes are out of range"),
        "node of attributes null": (node(1, 1, None), "attributes are out of range"),
        "node of no place": (node(1, 2, 10**6), "node 1: its place"),
        "node reads itself": (node(1, 3, [7]), "node 1: an input"),
        "node reads a later one": (node(1, 3, [0, 9, 6]), "node 1: an input"),
        "node reads a negative value": (node(1, 3, [0, -1, 6]), "node 1: an input"),
        "node reads a string": (node(1, 3, ["x"]), "node 1: an input"),
        "node with inputs null": (node(1, 3, None), "node 1 is malformed"),
        "node of no type": (node(1, 4, [99]), "node 1: a type"),
        "node of too many outputs": (node(count - 1, 4, [5, 5]), "names of values are missing"),
        "node of another type": (node(1, 4, [1]), "verifier rejects"),
        "node of no output": (node(count - 1, 4, []), "names are left over"),
        "node with blocks of its own": (graph(lambda g: g["nodes"][1].append(1)), "ingot::conv2d has 0 blocks"),
        "node with too many blocks": (graph(lambda g: g["nodes"][if_index(g)].__setitem__(5, 3)), "has 2 blocks"),
        "nodes not a list": (graph(lambda g: g.update(nodes={})), "nodes is not a list"),
        "nodes gone": (graph(lambda g: g.update(nodes=[])), "its end is out of range"),
        "a node gone": (graph(lambda g: g["nodes"].pop(0)), "graph @forward"),
        "blocks gone": (graph(lambda g: g.update(blocks=[])), "a block is missing"),
        "block gone": (graph(lambda g: g["blocks"].pop()), "a block is missing"),
        "block left over": (graph(lambda g: g["blocks"].append([0, [], [], 0])), "left over"),
        "block that ends too early": (block(0, 0, 3), "what a block returns is out of range"),
        "block that ends too late": (block(0, 0, count + 1), "its end is out of range"),
        "block that ends before it begins": (block(1, 0, 0), "its end is out of range"),
        "block that ends outside": (block(1, 0, count + 1), "its end is out of range"),
        "block that swallows what follows": (block(1, 0, count), "@forward"),
        "block that returns too much": (block(1, 2, []), "verifier rejects"),
        "block that returns what is not there": (block(1, 2, [10**6]), "what a block returns is out of range"),
        "block that returns from inside another": (block(2, 2, [13, 12]), "verifier rejects"),
        "block of a wrong parameter": (block(3, 1, [[0, 0], [0, 0]]), "verifier rejects"),
        "block of a parameter with no type": (block(3, 1, [[99, 0]]), "a type is out of range"),
        "attributes a list": (attributes([]), "are not an object"),
        "attribute missing": (attributes({}), "@forward"),
        "attribute unknown": (attribute("__class__", 1), "no attribute '__class__'"),
        "attribute of another kind": (attribute("groups", "1"), "groups"),
        "attribute a float for an int": (attribute("groups", 1.0), "groups"),
        "attribute a bool for an int": (attribute("groups", True), "groups"),
        "attribute null": (attribute("groups", None), "groups is None"),
        "attribute of the wrong length": (attribute("stride", [1, 1, 1]), "stride has 3 entries"),
        "attribute a number for a list": (attribute("stride", 1), "stride"),
        "attribute beyond 64 bits": (attribute("groups", 2**64), "is out of range"),
        "attribute of no kind": (attribute("groups", {"python": "os"}), "no kind of attribute is called 'python'"),
        "attribute of two kinds": (attribute("groups", {"size": "B", "dtype": "f32"}), "is not an attribute"),
        "attribute of no dtype": (attribute("groups", {"dtype": "object"}), "no dtype 'object'"),
        "attribute a float of no value": (attribute("groups", {"float": "1e5"}), "is not a float"),
        "attribute an infinite float": (graph_with_number("1e999"), "is not a float"),
        "attribute nested deep": (attribute("groups", _nested(100)), "nested too deep"),
        "attribute an array of objects": (attribute("groups", {"array": ["O", [1], "AAAAAAAAAAA="]}), "dtype"),
        "attribute an array too short": (attribute("groups", {"array": ["f32", [2], "AAAA"]}), "bytes"),
        "attribute an array not base64": (attribute("groups", {"array": ["f32", [0], "?"]}), "base64"),
        "attribute an array too large": (attribute("groups", {"array": ["f32", [10**9, 10**9], ""]}), "too large"),
        "attribute no constant": (attribute("groups", {"constant": 99}), "out of range"),
        "attribute a constant for a number": (attribute("groups", {"constant": 0}), "groups is array("),
        "stride zero": (attribute("stride", [0, 1]), "verifier"),
        "constant a string": (_constant(good, "text"), "holds no number and no tensor"),
        "constant a dtype": (_constant(good, {"dtype": "f32"}), "holds no number and no tensor"),
        "constant of another type": (_constant(good, 3), "verifier rejects"),
        "type unknown": (type_("string"), "is not a type"),
        "type null": (type_(None), "is not a type"),
        "type of no dtype": (type_(["f31", [2]]), "no dtype 'f31'"),
        "type of 65 dimensions": (type_(["f32", [1] * 65]), "65 dimensions"),
        "type with a device of code": (type_(["f32", [2], "cuda; import os"]), "its device is"),
        "type that refers forward": (type_({"list": 1}), "a type in it is out of range"),
        "type that refers to itself": (type_({"optional": 0}), "a type in it is out of range"),
        "type that doubles and doubles": (graph(lambda g: g.update(types=doubling)), "is too large"),
        "size negative": (size(-1), "is out of range"),
        "size beyond 64 bits": (size(2**64), "is out of range"),
        "size a float": (size(1.5), "is not a string"),
        "size of an unknown variable": (size("C"), "no variable C"),
        "size that is code": (size("__import__('os')"), "not a size"),
        "size that divides by zero": (size("B//0"), "zero"),
        "size too long": (size("B+" * 5000 + "B"), "is not a string"),
        "size of many parts": (size("+".join(["B"] * 600)), "too long"),
        "size of huge numbers": (size("*".join(["B*9999999999999999999"] * 40)), "large"),
        "variable twice": (graph(lambda g: g["sizes"].append(["B", 0, None])), "declared twice"),
        "variable of no name": (graph(lambda g: g["sizes"].append(["a b", 0, None])), "a b"),
        "variable of an empty range": (graph(lambda g: g["sizes"][0].__setitem__(slice(1, 3), [5, 4])), "empty range"),
        "variable of a bound of text": (graph(lambda g: g["sizes"][0].__setitem__(1, "0")), "bound of size variable"),
        "assumption of no relation": (graph(lambda g: g["assumptions"][0].__setitem__(0, "B")), "not a relation"),
        "assumption of an unknown variable": (
            graph(lambda g: g["assumptions"][0].__setitem__(0, "C > 1")),
            "no variable",
        ),
        "assumption that cannot hold": (
            graph(lambda g: g["assumptions"][0].__setitem__(0, "B < B")),
            "verifier rejects",
        ),
        "names too few": (graph(lambda g: g.update(names="x y")), "names of values are missing"),
        "names too many": (graph(lambda g: g.update(names=g["names"] + " extra")), "left over"),
        "names twice": (graph(lambda g: g.update(names=g["names"].replace("train", "x"))), "each another one"),
        "names no identifiers": (graph(lambda g: g.update(names=g["names"].replace("train", "a-b"))), "identifiers"),
        "names with a line break": (
            graph(lambda g: g.update(names=g["names"].replace("train", "a\nb"))),
            "identifiers",
        ),
        "names not ASCII": (graph(lambda g: g.update(names=g["names"].replace("train", "ä"))), "identifiers"),
        "names a list": (graph(lambda g: g.update(names=[])), "identifiers"),
        "name of the graph a number": (graph(lambda g: g.update(name=3)), "name is not a string"),
        "inputs too many": (graph(lambda g: g.update(inputs=99)), "number of inputs is out of range"),
        "inputs too few": (graph(lambda g: g.update(inputs=1)), "state does not match"),
        "state twice in a graph": (graph(lambda g: g.update(state=["rng"] * 3)), "state does not match"),
        "updates of unknown state": (graph(lambda g: g.update(updates=["nope"])), "updates do not match"),
        "updates twice": (graph(lambda g: g.update(updates=["rng", "rng"])), "updates do not match"),
        "updates of another type": (graph(lambda g: g.update(updates=["fc.weight"])), "verifier rejects"),
        "updates too many": (
            graph(lambda g: g.update(updates=["rng", "fc.weight", "conv.weight", "a", "b"])),
            "updates",
        ),
    }


def graph_with_number(number: str) -> bytes:
    """The good file with a number, as it stands in JSON, for a float attribute."""
    container = read_container(good_file())
    text = container.metadata["ingot"].replace('{"value":0.5}', f'{{"value":{number}}}')
    return with_document(good_file(), text)


def _constant(data: bytes, value: Any) -> bytes:
    def change(document: dict[str, Any]) -> None:
        table = document["entries"][0]["graph"]["attributes"]
        table[table.index({"value": 0.5})] = {"value": value}

    return edited(data, change)


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


# -- what stands beside the graphs


def _parts() -> dict[str, tuple[bytes, str]]:
    good = good_file()

    def whole(change: Callable[[dict[str, Any]], Any]) -> bytes:
        return edited(good, change)

    def signature(**changes: Any) -> bytes:
        return whole(lambda d: d["entries"][0]["signature"].update(changes))

    def state_graph(change: Callable[[dict[str, Any]], Any]) -> bytes:
        return whole(lambda d: change(d["entries"][0]["graph"]))

    def tensors(change: Callable[[dict[str, Any]], Any]) -> bytes:
        container = read_container(good)
        arrays = dict(container.tensors)
        change(arrays)
        return b"".join(pack(container.metadata, arrays))

    constant = "__ingot__/constant/0"
    twice = {"dict": [["a", "leaf"], ["a", "leaf"]]}
    return {
        "no entry point": (whole(lambda d: d.update(entries=[])), "no entry point"),
        "entry point twice": (whole(lambda d: d["entries"].append(d["entries"][0])), "stands there twice"),
        "entry point a list": (whole(lambda d: d.update(entries=[[]])), "not an object"),
        "state missing": (tensors(lambda t: t.pop("fc.weight")), "'fc.weight' is missing"),
        "state of another dtype": (tensors(lambda t: t.update({"fc.weight": np.ones((10, 64))})), "does not fit"),
        "state of another shape": (tensors(lambda t: t.update({"fc.weight": np.ones((64, 10), np.float32)})), "fit"),
        "key of another shape": (tensors(lambda t: t.update({"rng": np.ones(3, np.uint64)})), "does not fit"),
        "key of another dtype": (tensors(lambda t: t.update({"rng": np.ones(2, np.int64)})), "does not fit"),
        "state that no row names": (whole(lambda d: d["state"].pop(0)), "left over"),
        "state named twice": (whole(lambda d: d["state"].append(d["state"][0])), "stands there twice"),
        "state with a reserved name": (whole(lambda d: d["state"].append([constant])), "reserved name"),
        "state tied to nothing": (whole(lambda d: d["state"].append(["a", "nope"])), "no state before it"),
        "state tied to a constant": (whole(lambda d: d["state"].append(["a", constant])), "no state before it"),
        "state that the graph wants": (state_graph(lambda g: g["state"].__setitem__(0, "other")), "is missing"),
        "tensor that nothing names": (tensors(lambda t: t.update({"payload": np.ones(3)})), "'payload' is left over"),
        "constant that nothing names": (tensors(lambda t: t.update({"__ingot__/constant/1": np.ones(3)})), "left over"),
        "constant missing": (tensors(lambda t: t.pop(constant)), "constant/0' is missing"),
        "constant of another shape": (
            tensors(lambda t: t.update({constant: np.ones(9, np.float32)})),
            "verifier rejects",
        ),
        "constants without end": (whole(lambda d: d.update(constants=10**9)), "number of constants"),
        "trainable of no state": (whole(lambda d: d["trainable"].append("nope")), "not a name of the state"),
        "trainable twice": (whole(lambda d: d["trainable"].append("fc.weight")), "stands there twice"),
        "trainable a number": (whole(lambda d: d["trainable"].append(3)), "is not a string"),
        "signature with a leaf less": (signature(arguments=["leaf", "leaf", "none"]), "does not match its graph"),
        "signature with a leaf more": (signature(arguments=["leaf", "leaf", {"list": ["leaf"] * 2}]), "does not match"),
        "signature with another result": (signature(result="leaf"), "does not match its graph"),
        "signature with a name less": (signature(parameters=["x"]), "differ in number"),
        "signature with a name twice": (signature(parameters=["x", "x", "y"]), "of one name"),
        "signature of no tree": (signature(result="tree"), "not a tree of arguments"),
        "signature of an unknown kind": (signature(result={"object": "os.system"}), "not a tree of arguments"),
        "signature of a dict with a key twice": (signature(result=twice), "stands there twice"),
        "signature nested deep": (signature(result=_nested_tree(70)), "not a tree of arguments"),
        "signature with a constant of no kind": (signature(result={"constant": []}), "is not a float"),
        "ledger of no rows": (whole(lambda d: d.update(ledger={})), "ledger is not a list"),
        "ledger of short rows": (whole(lambda d: d.update(ledger=[["a", "b"]])), "has 2 entries"),
        "ledger of odd rows": (whole(lambda d: d.update(ledger=[["a", "b", 0, "c"]])), "has 4 entries"),
        "ledger with spare cells": (whole(lambda d: d.update(ledger=[["a", "b", 0, "", "", 1, ""]])), "longer than it"),
        "ledger counting nothing": (whole(lambda d: d.update(ledger=[["a", "b", 0, "c", "", 0, ""]])), "out of range"),
        "ledger of no expression": (whole(lambda d: d.update(ledger=[["a", "b", 0, 5, "", 1, ""]])), "not a string"),
        "ledger of no place": (whole(lambda d: d.update(ledger=[["a", "b", 999]])), "its place is out of range"),
        "extras a list": (whole(lambda d: d.update(extras=[])), "extras are not an object"),
        "extras with a huge number": (whole(lambda d: d.update(extras={"a": 2**70})), "out of range"),
        "extras with a surrogate": (whole(lambda d: d.update(extras={"a": "\ud800"})), "is not a string"),
        "example of no entry point": (whole(lambda d: d["examples"][0].__setitem__(0, "nope")), "does not exist"),
        "example with an input less": (whole(lambda d: d["examples"][0].__setitem__(1, 2)), "left over"),
        "example with an input more": (whole(lambda d: d["examples"][0].__setitem__(1, 4)), "is missing"),
        "example without end": (whole(lambda d: d["examples"][0].__setitem__(1, 10**9)), "out of range"),
        "example that is not there": (whole(lambda d: d["examples"].append(["forward", 0, 0])), "example 1: 0 inputs"),
        "places of no kind": (whole(lambda d: d["places"].append([0, 1])), "has 2 entries"),
        "place of no string": (whole(lambda d: d["places"].append([99])), "number of a string"),
        "place of a negative line": (whole(lambda d: d["places"].append([0, -1, 0, 0, 0, 0, 0, 0])), "out of range"),
        "place null in the middle": (whole(lambda d: d["places"].append(None)), "is not a list"),
        "strings of numbers": (whole(lambda d: d["strings"].append(3)), "is not a string"),
        "ops of no kind": (whole(lambda d: d["ops"].append("ingot::relu")), "is not a list"),
    }


def _nested_tree(depth: int) -> Any:
    tree: Any = "leaf"
    for _ in range(depth):
        tree = {"list": [tree]}
    return tree
