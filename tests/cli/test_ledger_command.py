"""`ingot ledger`: one program's, and the difference of two."""

from pathlib import Path

import pytest
from ingot.cli import main
from ingot.ir.ledger import LedgerEntry
from ingot.ir.locations import Location
from ingot.serialize import save
from program_files import record_of

GRAPH = "graph @forward(%x : f32[2]) -> (f32[2]): return (%x)"


def entry(kind: str, expression: str, value: str, **more: str) -> LedgerEntry:
    return LedgerEntry(kind, f"{expression} of m", Location("m.py", 3, 1, source="y = x"), expression, value, **more)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    ledgers = [entry("global", "K", "1"), entry("dtype", "x.dtype", "float32")], [entry("global", "K", "2")]
    paths = tmp_path / "a.ingot", tmp_path / "b.ingot"
    for path, ledger in zip(paths, ledgers, strict=True):
        record = record_of(GRAPH)
        record.ledger = list(ledger)
        save(record, path)
    return paths


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_table_for_each_kind(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", str(files[0])]) == 0
    assert printed(capsys) == [
        "dtype: dtypes of tensors that Python read",
        "m.py:3 x.dtype x.dtype of m = float32",
        "global: global variables that were read",
        "m.py:3 K K of m = 1",
    ]


def test_kinds_are_picked(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", str(files[0]), "--kind", "global"]) == 0
    assert [line for line in printed(capsys) if "m.py" in line] == ["m.py:3 K K of m = 1"]
    assert main(["ledger", str(files[0]), "--kind", "nope"]) == 2
    assert "'nope'" in capsys.readouterr().err
    assert main(["ledger", str(files[0]), "--entry", "nope"]) == 2


def test_two_files_are_compared(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", *map(str, files)]) == 1
    assert printed(capsys) == [
        "changed global m.py:3 K K of m = 2, was 1",
        "gone dtype m.py:3 x.dtype x.dtype of m = float32",
    ]
    assert main(["ledger", str(files[0]), str(files[0])]) == 0
    assert printed(capsys) == ["no difference"]


def test_an_empty_ledger_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(record_of(GRAPH), tmp_path / "m.ingot")
    assert main(["ledger", str(tmp_path / "m.ingot")]) == 0
    assert printed(capsys) == ["nothing was frozen"]


def test_nothing_in_a_file_controls_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J[bold red]x\r"
    record = record_of(GRAPH)
    record.ledger = [LedgerEntry(evil, evil, Location(evil, 1), evil, evil, 2, "forward")]
    save(record, tmp_path / "m.ingot")
    assert main(["ledger", str(tmp_path / "m.ingot")]) == 0
    out = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in out) and "[bold red]x" in out
