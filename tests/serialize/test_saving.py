"""Saving replaces a file whole or not at all, and leaves nothing else behind."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from ingot.ir import ops  # noqa: F401
from ingot.ir.errors import VerifyError
from ingot.ir.program import ProgramRecord
from ingot.serialize import atomic, load, save
from program_files import record_of
from repository import run_python


def program(fill: float = 1) -> ProgramRecord:
    text = 'graph @f() state {%w : f64[50] = "w"} -> (f64[50]): return (%w)'
    return record_of(text, state={"w": np.full(50, float(fill))})


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "m.ingot"
    save(program(1), path)
    save(program(2), str(path))
    assert load(path).state["w"][0] == 2
    assert os.listdir(tmp_path) == ["m.ingot"]


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException
) -> None:
    path = tmp_path / "m.ingot"
    save(program(1), path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise error

    if failing == "write":
        with pytest.raises(type(error)):
            atomic.write_atomically(path, (b"half" if i < 3 else fail() for i in range(5)))  # type: ignore[misc]
    else:
        monkeypatch.setattr(os, failing, fail)
        with pytest.raises(type(error)):
            save(program(2), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.ingot"]


def test_a_program_that_cannot_be_saved_touches_nothing(tmp_path: Path) -> None:
    broken = program()
    broken.state.clear()
    with pytest.raises(VerifyError):
        save(broken, tmp_path / "m.ingot")
    assert os.listdir(tmp_path) == []


def test_a_killed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.ingot"
    save(program(1), path)
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from ingot.serialize.atomic import write_atomically
def pieces():
    yield b"half of it"
    os._exit(9)
write_atomically({str(path)!r}, pieces())
"""
    assert run_python(["-c", script]).returncode == 9
    assert load(path).state["w"][0] == 1


def test_the_folder_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save(program(), tmp_path / "nowhere" / "m.ingot")


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        save(program(), tmp_path)
    assert os.listdir(tmp_path) == []
