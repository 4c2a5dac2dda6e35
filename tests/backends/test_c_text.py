"""C text: goldens, literals, refusals, and the folder that keeps compiled code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from c_files import needs_c
from golden_loops import GOLDENS, GoldenLoop
from golden_text import compare_golden
from ingot.backends import c
from ingot.backends.c import compiler
from ingot.backends.cache import cache_folder, cached_file
from ingot.backends.cfamily import Text, apply, literal
from ingot.ir.dtypes import by_short
from ingot.ir.errors import ArgumentError, UnsupportedError
from ingot.ir.primitives import PRIMITIVES, Primitive
from ingot.ir.registry import lookup
from ingot.ir.types import KEY, TensorType


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.file)
def test_text(golden: GoldenLoop, bless: bool) -> None:
    source = c.emit_op(golden.op, golden.types, golden.attrs, name=golden.file)
    compare_golden(Path("c") / f"{golden.file}.c", source.text, bless)


@needs_c
def test_the_text_compiles_without_a_warning(tmp_path: Path) -> None:
    sources = [c.emit_op(golden.op, golden.types, golden.attrs, name=golden.file) for golden in GOLDENS]
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-pedantic", "-Werror"]
    command = [*c.find_compiler(), *flags, "-x", "c", "-c", "-", "-o", str(tmp_path / "out.o")]
    done = subprocess.run(command, input=c.file_of(sources), capture_output=True, text=True)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (1.0, "f32", "1.0f"),
        (0.1, "f32", "0x1.99999ap-4f /* 0.1 */"),
        (0.1, "f64", "0x1.999999999999ap-4 /* 0.1 */"),
        (0.1, "f16", "0x1.998p-4f /* 0.099975586 */"),
        (-0.0, "f32", "-0.0f"),
        (1e20, "f32", "0x1.5af1d8p+66f /* 1e+20 */"),
        (float("inf"), "f32", "INFINITY"),
        (float("-inf"), "f64", "-(f64)INFINITY"),
        (float("nan"), "bf16", "NAN"),
        (1e39, "f32", "INFINITY"),
        (-(2**63), "i64", "-9223372036854775807LL - 1"),
        (-(2**31), "i32", "-2147483648LL"),
        (300, "u8", "44"),
        (200, "i8", "-56"),
        (2, "bool", "1"),
    ],
)
def test_literals(value: float, dtype: str, text: str) -> None:
    assert literal(value, by_short[dtype], c.C).code == text


TYPINGS = {"float": ("float",), "test": ("float",), "number": ("int", "float"), "bits": ("bool", "int")}


@pytest.mark.parametrize("primitive", PRIMITIVES.values(), ids=lambda primitive: primitive.name)
def test_every_primitive_has_a_form_for_every_dtype_it_takes(primitive: Primitive) -> None:
    for dtype in by_short.values():
        if dtype.kind in TYPINGS.get(primitive.typing, ("bool", "int", "float")):
            assert apply(primitive.name, [Text("a"), Text("b")][: primitive.arity], dtype).code


@pytest.mark.parametrize("name", ["softmax", "nonzero"])
def test_ops_without_a_body_are_refused(name: str) -> None:
    op = lookup(name)
    with pytest.raises(UnsupportedError, match=f"{name} cannot be printed as loops"):
        c.emit_op(op, (TensorType(by_short["f32"], (2, 3)),), {})


def test_names_that_are_not_identifiers_are_refused() -> None:
    with pytest.raises(ArgumentError, match="not a name"):
        c.emit_op(lookup("relu"), (TensorType(by_short["f32"], (2,)),), {}, name="x() {}")


def test_operands_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="type key"):
        op = lookup("sum")
        c.emit_op(op, (KEY,), op.schema.check_attrs({"dim": ()}))


# -- compilers and the cache


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"no C compiler found(.|\n)*ingot\[native\]"):
        c.compile("int x;")


def test_a_compiler_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler --fast")
    with pytest.raises(UnsupportedError, match="no-such-compiler"):
        c.compile("int x;")


@needs_c
def test_text_that_does_not_compile_shows_the_compiler_s_words() -> None:
    with pytest.raises(UnsupportedError, match="error"):
        c.compile("this is not C")


@needs_c
def test_text_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "int once(void) { return 41; }"
    assert c.compile(text).once() == 41
    monkeypatch.setattr(compiler.subprocess, "run", lambda *args, **kwargs: pytest.fail("compiled again"))
    assert c.compile(text).once() == 41


def test_files_appear_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGOT_CACHE", str(tmp_path / "kept"))

    def fail(path: Path) -> None:
        path.write_text("half of it")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        cached_file("c", "x.so", fail)
    assert os.listdir(cache_folder("c")) == []
    made = cached_file("c", "x.so", lambda path: path.write_text("all of it") and None)
    assert made.read_text() == "all of it"
    assert cached_file("c", "x.so", fail) == made


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this platform has no owners of files")
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGOT_CACHE", str(tmp_path / "open"))
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(UnsupportedError, match="can be written by others"):
        cache_folder("c")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INGOT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UnsupportedError, match="INGOT_CACHE"):
        cache_folder("c")
