"""The `ingot` command: what it prints and writes, and that every mistake is one clear message and status 2."""

import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from corpus import good_file, hostile
from ingot.cli import main
from ingot.cli.leaves import input_leaves, output_leaves
from ingot.cli.terminal import amount, visible
from ingot.ir import ops  # noqa: F401
from ingot.ir.locations import Location
from ingot.ir.parser import parse
from ingot.ir.program import LedgerEntry, ProgramRecord, Signature
from ingot.serialize import save
from program_files import LEAF, record_of
from repository import run_python

LINEAR = """
graph @forward(%x : f32[B, 3], %y : f32[B, 3]) state {%w : f32[2, 3] = "fc.weight", %b : f32[2] = "fc.bias"}
    -> (f32[B, 2], f32[B, 3]):
  assume B <= 64  @model.py:4:1
  %h : f32[B, 2] = ingot::linear(%x, %w, %b)  @model.py:12:12 in fc
  %s : f32[B, 3] = ingot::add(%x, %y)  @model.py:13:12
  return (%h, %s)
graph @twice(%x : f32[2]) -> (f32[2]):
  %y : f32[2] = ingot::add(%x, %x)
  return (%y)
"""


def program() -> ProgramRecord:
    pair = {"kind": "dict", "items": [LEAF, LEAF], "keys": ["left", "right"]}
    record = record_of(LINEAR, trainable=("fc.weight",), extras={"labels": ["no", "yes"]})
    record.ledger = [LedgerEntry("item", "took x.item()", Location("model.py", 9, 4))]
    record.signatures["forward"] = Signature(("pair",), (pair,), {"kind": "tuple", "items": [LEAF, LEAF]})
    record.signatures["twice"] = Signature(("x",), (LEAF,), LEAF)
    return record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.ingot"
    save(program(), path)
    return path


def array(path: Path, *shape: int, dtype: object = np.float32) -> Path:
    """A .npy file of numbers counting up."""
    np.save(path, np.arange(np.prod(shape)).reshape(shape).astype(dtype))
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message with which the command refuses arguments."""
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("ingot: ") and "Traceback" not in captured.err
    return captured.err


# -- show


def test_show(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(file)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "forward(pair: {'left': f32[B, 3], 'right': f32[B, 3]}) -> (f32[B, 2], f32[B, 3])",
        "twice(x: f32[2]) -> f32[2]",
        "assume B <= 64  at model.py:4:1",
        "total 32 B, 6 trainable elements",
        "item: took x.item()  at model.py:9:4",
        'labels: ["no", "yes"]',
        "%h : f32[B, 2] = ingot::linear(%x, %w, %b)  @model.py:12:12 in fc",
    ):
        assert part in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["fc.weight", "f32[2,", "3]", "6", "24", "B", "trainable"] in rows
    assert ["ingot::add", "1"] in rows and ["total", "2"] in rows


def test_show_prints_a_graph_that_reads_back(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", str(file), "--entry", "twice"])
    text = capsys.readouterr().out
    assert parse(text[text.index("graph @") :]) == program().graphs["twice"]


def test_show_without_graphs_and_of_one_entry_point(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(file), "--no-graph", "--entry", "twice"]) == 0
    printed = capsys.readouterr().out
    assert "graph @" not in printed and "forward(" not in printed and "twice(" in printed


def test_show_cuts_large_constants_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "good.ingot"
    path.write_bytes(good_file())
    assert main(["show", str(path)]) == 0
    printed = capsys.readouterr().out
    assert '..."' in printed and "tied to fc.weight" in printed and "examples of forward: 1" in printed


def test_nothing_in_a_file_controls_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J\u202e[bold red]x\r"
    record = record_of("graph @f() -> (): return ()", state={evil: np.ones(2)}, extras={evil: evil}, trainable=(evil,))
    record.ledger = [LedgerEntry(evil, evil + "\n", Location(evil, 1, 1, 1, 1, evil, evil))]
    record.graphs = {evil: record.graphs["f"]}
    record.signatures = {evil: record.signatures["f"]}
    save(record, tmp_path / "m.ingot")
    assert main(["show", str(tmp_path / "m.ingot")]) == 0
    printed = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in printed)
    assert "[bold red]x" in printed


# -- run


def test_run(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = array(tmp_path / "x.npy", 5, 3), array(tmp_path / "y.npy", 5, 3)
    out = tmp_path / "some" / "out"
    inputs = ["--input", f"pair.left={x}", "--input", f"pair.right={y}"]
    assert main(["run", str(file), *inputs, "--output", str(out)]) == 0
    assert sorted(os.listdir(out)) == ["output_0.npy", "output_1.npy"]
    state = program().state
    np.testing.assert_allclose(
        np.load(out / "output_0.npy"), np.load(x) @ state["fc.weight"].T + state["fc.bias"], rtol=1e-5
    )
    np.testing.assert_array_equal(np.load(out / "output_1.npy"), np.load(x) + np.load(y))
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"{out / 'output_0.npy'}: float32[5, 2]", f"{out / 'output_1.npy'}: float32[5, 3]"]


@pytest.mark.parametrize("backend", ["numpy", "reference"])
def test_run_another_entry_point_on_another_backend(file: Path, tmp_path: Path, backend: str) -> None:
    x = array(tmp_path / "x.npy", 2)
    arguments = ["--entry", "twice", "--backend", backend, "--input", f"x={x}", "--output", str(tmp_path)]
    assert main(["run", str(file), *arguments]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "output.npy"), [0, 2])


def test_numbers_and_bfloat16_come_from_files_too(tmp_path: Path) -> None:
    text = """
        graph @forward(%n : int, %x : bf16[3]) -> (int, bf16[3]):
          %y : bf16[3] = ingot::add(%x, %x)
          return (%n, %y)
        """
    save(record_of(text), tmp_path / "m.ingot")
    np.save(tmp_path / "n.npy", np.array(7))
    x = np.arange(3).astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "x.npy", x)
    inputs = ["--input", f"n={tmp_path / 'n.npy'}", "--input", f"x={tmp_path / 'x.npy'}"]
    assert main(["run", str(tmp_path / "m.ingot"), *inputs, "--output", str(tmp_path)]) == 0
    assert np.load(tmp_path / "output_0.npy") == 7
    np.testing.assert_array_equal(np.load(tmp_path / "output_1.npy").view(ml_dtypes.bfloat16), x + x)


def test_outputs_stay_in_their_folder_whatever_they_are_called(tmp_path: Path) -> None:
    keys = ["../../evil", "/etc/passwd", "a/b", "a_b", "A_B", "", "con\x00", "x" * 300]
    record = record_of(
        "graph @forward(%x : f32[1]) -> (" + ", ".join(["f32[1]"] * 8) + "): return (" + ", ".join(["%x"] * 8) + ")"
    )
    tree = {"kind": "dict", "items": [LEAF] * 8, "keys": keys}
    record.signatures = {"forward": Signature(("x",), (LEAF,), tree)}
    save(record, tmp_path / "m.ingot")
    out = tmp_path / "out"
    array(tmp_path / "x.npy", 1)
    assert main(["run", str(tmp_path / "m.ingot"), "--input", f"x={tmp_path / 'x.npy'}", "--output", str(out)]) == 0
    names = os.listdir(out)
    assert len(names) == len({name.lower() for name in names}) == 8
    assert all(name.removesuffix(".npy").replace("_", "a").isalnum() and len(name) < 120 for name in names)
    assert sorted(os.listdir(tmp_path)) == ["m.ingot", "out", "x.npy"]


def test_names_of_nested_inputs_and_outputs() -> None:
    graph = record_of("graph @f(%a : f32[1], %b : int, %c : bool) -> (int, int): return (%b, %b)").graphs["f"]
    nested = {"kind": "tuple", "items": [LEAF, {"kind": "dict", "items": [LEAF], "keys": ["k"]}, {"kind": "none"}]}
    result = {"kind": "dict", "items": [LEAF, {"kind": "list", "items": [LEAF]}], "keys": ["a.0", "a"]}
    signature = Signature(("x", "flag"), (nested, LEAF), result)
    assert list(input_leaves(signature, graph)) == ["x.0", "x.1.k", "flag"]
    assert list(output_leaves(signature, graph)) == ["a.0", "a.0#2"]


def test_run_says_what_is_wrong_with_inputs(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = array(tmp_path / "good.npy", 5, 3)
    shape = array(tmp_path / "shape.npy", 5, 4)
    dtype = array(tmp_path / "dtype.npy", 5, 3, dtype=np.float64)
    many = array(tmp_path / "many.npy", 65, 3)

    def message(left: object, right: object, *more: object) -> str:
        inputs = ("--input", f"pair.left={left}", "--input", f"pair.right={right}", *more)
        return refused(capsys, "run", file, *inputs, "--output", tmp_path / "out")

    assert "input x" in message(shape, good) or "f32[B, 3]" in message(shape, good)
    assert "float64" in message(dtype, good)
    assert "assum" in message(many, many) and "model.py:4" in message(many, many)
    assert "nowhere.npy: No such file" in message(tmp_path / "nowhere.npy", good)
    assert "given twice" in message(good, good, "--input", f"pair.left={good}")
    assert "did you mean pair.left?" in message(good, good, "--input", f"pair.lefd={good}")
    assert "expected  --input NAME=FILE.npy" in message(good, good, "--input", "pair.left")
    assert "no value for pair.right" in refused(
        capsys, "run", file, "--input", f"pair.left={good}", "--output", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_run_refuses_files_that_are_not_arrays(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contents = {
        "empty": b"",
        "text": b"hello world, this is not an array",
        "cut": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'",
        "code": b"\x93NUMPY\x01\x00\x26\x00{'descr': __import__('os').getcwd()}    \n",
        "zip": b"PK\x03\x04 not a zip archive",
    }
    np.save(tmp_path / "objects.npy", np.array([object]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.ones(2))
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    for name in (*contents, "objects.npy", "several.npz"):
        arguments = ("--entry", "twice", "--input", f"x={tmp_path / name}", "--output", tmp_path / "out")
        assert str(tmp_path / name) in refused(capsys, "run", file, *arguments)


def test_run_says_where_it_cannot_write(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = array(tmp_path / "x.npy", 2)
    taken = tmp_path / "taken"
    taken.write_text("a file")
    text = refused(capsys, "run", file, "--entry", "twice", "--input", f"x={x}", "--output", taken)
    assert str(taken) in text


# -- export


def test_export(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx")
    out = tmp_path / "model.onnx"
    assert main(["export", str(file), "--onnx", str(out)]) == 0
    onnx.checker.check_model(str(out))
    assert capsys.readouterr().out.startswith(str(out))
    assert main(["export", str(file), "--onnx", str(out), "--entry", "twice"]) == 0
    assert [node.op_type for node in onnx.load(out).graph.node] == ["Add"]


def test_export_lists_what_has_no_onnx_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "m.ingot").write_bytes(good_file())
    text = refused(capsys, "export", tmp_path / "m.ingot", "--onnx", tmp_path / "m.onnx")
    assert "dropout" in text or "state" in text
    assert os.listdir(tmp_path) == ["m.ingot"]


# -- mistakes


def test_mistakes_in_flags(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--grph" in refused(capsys, "show", file, "--grph")
    assert "shwo" in refused(capsys, "shwo", file)
    assert "FILE" in refused(capsys, "show")
    assert "--output" in refused(capsys, "run", file)
    assert "--onnx" in refused(capsys, "export", file)
    assert "no entry point 'nope'" in refused(capsys, "show", file, "--entry", "nope")
    assert "no backend 'nope'" in refused(capsys, "run", file, "--backend", "nope", "--output", "x")


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main(["run", "--help"]) == 0
    assert "--backend" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ingot ")


@pytest.mark.parametrize("name", ["empty", "zip", "tensors cut", "format newer", "op unknown", "node of another type"])
@pytest.mark.parametrize("command", ["show", "run", "export"])
def test_bad_files(name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, message = hostile()[name]
    path = tmp_path / "m.ingot"
    path.write_bytes(data)
    flags = {"show": (), "run": ("--output", tmp_path / "out"), "export": ("--onnx", tmp_path / "m.onnx")}
    text = refused(capsys, command, path, *flags[command])
    assert message in text and str(path) in text


def test_missing_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in refused(capsys, "show", tmp_path / "nowhere.ingot")
    assert "a folder" in refused(capsys, "show", tmp_path)


# -- the process


def test_an_interrupt_ends_with_130(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ingot.cli.show.show_program", interrupt)
    assert main(["show", str(file)]) == 130


def test_python_m_ingot_is_the_command(file: Path) -> None:
    done = run_python(["-m", "ingot", "show", str(file), "--no-graph"])
    assert done.returncode == 0 and "fc.weight" in done.stdout
    done = run_python(["-m", "ingot", "show", str(file), "--bogus"])
    assert done.returncode == 2 and done.stdout == "" and "--bogus" in done.stderr


def test_without_typer_or_rich_it_says_what_to_install(file: Path) -> None:
    for missing in "typer", "rich":
        script = (
            f"import sys; sys.modules[{missing!r}] = None; from ingot.cli import main; sys.exit(main(['show', 'x']))"
        )
        done = run_python(["-c", script])
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.strip().endswith('pip install "ingot[cli]"')


def test_importing_the_command_loads_neither_typer_nor_rich() -> None:
    script = "import sys, ingot.cli; print([m for m in ('typer', 'rich') if m in sys.modules])"
    assert run_python(["-c", script]).stdout.strip() == "[]"


@pytest.mark.skipif(os.name != "posix", reason="no pipes of this kind")
def test_a_reader_that_leaves_is_no_error(file: Path) -> None:
    command = f"{sys.executable} -m ingot show {file} | true"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env={**os.environ, "PYTHONSAFEPATH": "1"}
    )
    assert done.stderr == ""


# -- text


def test_visible() -> None:
    assert visible("plain ü 世") == "plain ü 世"
    assert visible("a\x1bb\nc") == "a\\x1bb\\nc"
    assert visible("a\nb\t", breaks=True) == "a\nb\\t"


def test_amount() -> None:
    counts = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 10**9: "1.0 GB"}
    assert {count: amount(count) for count in counts} == counts
    assert amount(10**16) == "10000.0 TB"
