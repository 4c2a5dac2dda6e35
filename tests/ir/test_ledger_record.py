"""`Ledger` as a value: merging, picking, printing, comparing."""

import pytest
from ingot.ir.errors import ArgumentError
from ingot.ir.ledger import KINDS, Ledger, LedgerEntry
from ingot.ir.locations import Location


def entry(kind="global", line=3, value="1", expression="K", source="y = x * K", what="K of m", **more):
    at = Location("m.py", line, 9, line, 10, "f", source)
    return LedgerEntry(kind, what, at, expression, value, **more)


def test_equal_entries_are_counted():
    ledger = Ledger([entry(), entry(line=4), entry(), entry(count=3)])
    assert [(e.location.line, e.count) for e in ledger] == [(3, 5), (4, 1)]
    assert Ledger(ledger) == ledger


def test_a_ledger_compares_as_a_sequence():
    assert Ledger([entry()]) == [entry()]
    assert Ledger([entry()]) != [entry(line=4)]
    assert Ledger() == []
    assert Ledger([entry(), entry(line=4)])[1:] == [entry(line=4)]


def test_kinds_are_picked_by_name():
    ledger = Ledger([entry("shape"), entry("later than this version")])
    assert [e.kind for e in ledger.of("shape")] == ["shape"]
    assert len(ledger.of("later than this version")) == 1
    assert not ledger.of("dtype")
    with pytest.raises(ArgumentError, match="no entries of kind 'nope'"):
        ledger.of("nope")


def test_the_table_is_grouped_in_the_order_of_the_kinds():
    ledger = Ledger([entry("global"), entry("frozen", what="p of dropout"), entry("odd"), entry("global", line=12)])
    assert str(ledger).splitlines() == [
        f"frozen: {KINDS['frozen']}",
        "  m.py:3  K  p of dropout = 1",
        f"global: {KINDS['global']}",
        "  m.py:3   K  K of m = 1",
        "  m.py:12  K  K of m = 1",
        "odd",
        "  m.py:3  K  K of m = 1",
    ]
    assert str(Ledger()) == "nothing was frozen"


def test_moved_lines_are_no_difference():
    assert not Ledger([entry(line=3), entry("dtype", 4)]).diff([entry("dtype", 40), entry(line=39)])


def test_a_line_of_unknown_source_is_told_by_its_number():
    assert len(Ledger([entry(line=3, source="")]).diff([entry(line=4, source="")])) == 2


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ([], [entry()], "new  global  m.py:3  K  K of m = 1"),
        ([entry()], [], "gone  global  m.py:3  K  K of m = 1"),
        ([entry()], [entry(value="2")], "changed  global  m.py:3  K  K of m = 2, was 1"),
        ([entry()], [entry(count=2)], "changed  global  m.py:3  K  K of m = 1  (2 times), was 1"),
        ([entry(value="", what="a")], [entry(value="", what="b")], "changed  global  m.py:3  K  b, was a"),
        ([entry()], [entry(source="y = x + K")], "new   global  m.py:3  K  K of m = 1\ngone  global"),
    ],
)
def test_differences(before, after, text):
    found = str(Ledger(before).diff(after))
    assert found.startswith(text) if "\n" in text else found == text


def test_several_values_at_one_place():
    before = Ledger([entry(value="1"), entry(value="2")])
    changes = before.diff([entry(value="2"), entry(value="3"), entry(value="4")])
    assert [(c.word, c.before and c.before.value, c.after and c.after.value) for c in changes] == [
        ("changed", "1", "3"),
        ("new", None, "4"),
    ]
