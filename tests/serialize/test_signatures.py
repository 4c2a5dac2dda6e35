"""Signatures in files: every part comes back, old files stay readable, and what makes no sense is refused."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from ingot.ir import ops  # noqa: F401
from ingot.ir.errors import ArgumentError, FileFormatError, VerifyError
from ingot.ir.program import Signature
from ingot.serialize import dumps, loads
from program_files import document_of, edited, record_of

LEAF = {"kind": "leaf"}
NONE = {"kind": "none"}
TEXT = """
graph @f(%x : f32[2], %y : f32[2], %n : int) -> (f32[2], f32[2], f32[2]):
  %z : f32[2] = ingot::add(%x, %y)
  %w : f32[2] = ingot::mul(%x, %y)
  return (%z, %w, %x)
"""
RESULT = {"kind": "namedtuple", "name": "Out", "keys": ["z"], "items": [LEAF]}
FULL = Signature(
    ("x", "rest", "n", "mode", "others"),
    (
        {"kind": "dict", "items": [LEAF], "keys": ["k"], "any_order": True},
        {"kind": "tuple", "items": [{"kind": "dataclass", "name": "Box", "keys": ["y", "s"], "items": [LEAF, NONE]}]},
        {"kind": "number", "type": "int"},
        {"kind": "constant", "value": "sum"},
        {"kind": "dict", "items": [], "keys": []},
    ),
    RESULT,
    kinds=("/", "*", "=", "=", "**"),
    defaults={"n": {"kind": "constant", "value": 3}, "mode": {"kind": "tuple", "items": [NONE]}},
    writes=(1,),
    copies=(0,),
    after={"x": {"kind": "dict", "items": [LEAF, {"kind": "input", "index": 0}], "keys": ["new", "k"]}},
)


def program(signature=FULL):
    return record_of(TEXT, signatures={"f": signature})


def test_every_part_comes_back():
    data = dumps(program())
    found = loads(data)
    assert found.signatures["f"] == FULL
    assert dumps(found) == data
    assert document_of(data)["format"] == 2


def test_what_the_first_version_can_hold_is_written_in_it():
    plain = Signature(("x", "y", "n"), (LEAF,) * 3, {"kind": "tuple", "items": [LEAF] * 3})
    document = document_of(dumps(program(plain)))
    assert document["format"] == 1
    assert set(document["entries"][0]["signature"]) == {"arguments", "parameters", "result"}
    assert loads(dumps(program(plain))).signatures["f"] == plain


@pytest.mark.parametrize(
    "change, text",
    [
        ({"kinds": ("/", "*")}, "differ in number"),
        ({"kinds": ("*", "*", "=", "=", "**")}, "two parameters take the rest"),
        ({"kinds": ("", "", "*", "=", "**")}, "is no tuple"),
        ({"defaults": {"absent": NONE}}, "the default of 'absent'"),
        ({"defaults": {"n": LEAF}}, "the default of 'n'"),
        ({"writes": (7,)}, "does not exist"),
        ({"writes": (0,)}, "named twice"),
        ({"writes": (2,)}, "cannot be changed into"),
        ({"after": {}}, "does not match its graph"),
        ({"after": {"q": FULL.after["x"]}}, "no parameter 'q'"),
        ({"after": {"x": {"kind": "list", "items": [LEAF, {"kind": "input", "index": 9}]}}}, "names an input"),
        ({"after": {"x": {"kind": "list", "items": [{"kind": "number", "type": "int"}]}}}, "number that is none"),
        ({"result": {"kind": "number", "type": "float"}}, "is not a number"),
        ({"arguments": (*FULL.arguments[:2], {"kind": "number", "type": "bool"}, *FULL.arguments[3:])}, "type bool"),
    ],
)
def test_signatures_that_make_no_sense_are_neither_written_nor_read(change, text):
    with pytest.raises(VerifyError, match=text):
        dumps(program(replace(FULL, **change)))


def damaged(change):
    def edit(document):
        change(document["entries"][0]["signature"])

    return edited(dumps(program()), edit)


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda s: s.update(kinds=["/", "*", "=", "=", "?"]), "given in an unknown way"),
        (lambda s: s.update(kinds=[["/"]] * 5), "given in an unknown way"),
        (lambda s: s.update(writes=[-1]), "out of range"),
        (lambda s: s.update(writes=[True]), "out of range"),
        (lambda s: s.update(copies="0"), "not a list"),
        (lambda s: s.update(defaults=[["n", "none"], ["n", "none"]]), "stands there twice"),
        (lambda s: s.update(more=1), "unknown key"),
        (lambda s: s.update(result={"namedtuple": ["Out", [["__class__", "leaf"]]]}), "cannot be named"),
        (lambda s: s.update(result={"namedtuple": ["Out", [["x = 1", "leaf"]]]}), "cannot be named"),
        (lambda s: s.update(result={"namedtuple": ["import", [["z", "leaf"]]]}), "cannot be named"),
        (lambda s: s.update(result={"namedtuple": ["os.system", [["z", "leaf"]]]}), "cannot be named"),
        (lambda s: s.update(result={"dataclass": ["Out", [["z", "leaf"], ["z", "none"]]]}), "stands there twice"),
        (lambda s: s.update(result={"dataclass": ["Out"]}), "entries"),
        (lambda s: s.update(result={"input": 0}), "not a tree"),
        (lambda s: s.update(result="complex"), "not a tree"),
        (lambda s: s["arguments"].__setitem__(2, "float"), "not a number of type float"),
    ],
)
def test_damaged_signatures_are_refused(change, text):
    with pytest.raises(FileFormatError, match=text):
        loads(damaged(change))


def test_names_that_no_class_can_have_are_not_written():
    tree = copy.deepcopy(RESULT)
    tree["keys"] = ["not a name"]
    with pytest.raises(ArgumentError, match="cannot be named"):
        dumps(program(replace(FULL, result=tree)))


def test_an_example_of_a_run_time_number_is_an_array():
    from ingot.ir.program import Example

    record = program()
    x = np.ones(2, np.float32)
    record.examples = [Example("f", (x, x, np.asarray(3)), (x, x, x))]
    assert loads(dumps(record)).examples[0].inputs[2] == 3
