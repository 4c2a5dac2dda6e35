"""One `ingot` with one registry is loaded, and importing it loads little."""

import json
import os
import sys
from pathlib import Path

import pytest
from repository import ROOT, module_name, packaged_files, run_python

REPORT = """
import importlib, json, sys
for name in {names!r}:
    importlib.import_module(name)
files = [(name, id(module), module.__file__) for name, module in list(sys.modules.items())
         if isinstance(getattr(module, "__file__", None), str)]
print(json.dumps(files))
"""


def module_copies(loaded: list[tuple[str, int, str]]) -> dict[str, list[str]]:
    """The files of the package that were loaded into more than one module, or under a foreign name alone.

    One module may have several names: the package's face gives some a second, public one.
    """
    names: dict[str, dict[int, list[str]]] = {}
    for name, identity, file in loaded:
        path = Path(file).resolve()
        if path.is_relative_to(ROOT) and path.relative_to(ROOT) in PACKAGED:
            names.setdefault(str(path.relative_to(ROOT)), {}).setdefault(identity, []).append(name)
    wrong = {}
    for file, modules in names.items():
        ours = all(any(name.split(".")[0] == "ingot" for name in aliases) for aliases in modules.values())
        if len(modules) > 1 or not ours:
            wrong[file] = [name for aliases in modules.values() for name in aliases]
    return wrong


PACKAGED = {path for path in packaged_files() if path.suffix == ".py"}


def loaded_after_importing(names: list[str], *, safe_path: bool) -> list[tuple[str, int, str]]:
    """Every module with a file that is loaded once `names` are imported by a Python started in the root."""
    done = run_python(["-c", REPORT.format(names=names)], cwd=ROOT, safe_path=safe_path)
    assert done.returncode == 0, done.stderr
    return [(name, identity, file) for name, identity, file in json.loads(done.stdout.splitlines()[-1])]


def test_the_tree_under_test_is_the_one_imported() -> None:
    import ingot

    found = Path(str(ingot.__file__)).resolve().parent
    assert found == ROOT, "another copy of Ingot is installed; in a moved clone run `make clean` first"


def test_this_process_holds_one_copy_of_each_module() -> None:
    import ingot.ir.registry  # noqa: F401

    modules = [(name, id(module), getattr(module, "__file__", None)) for name, module in sys.modules.items()]
    assert module_copies([(name, key, file) for name, key, file in modules if isinstance(file, str)]) == {}


@pytest.mark.parametrize("safe_path", [True, False], ids=["safe_path", "root_on_path"])
def test_importing_everything_in_the_root_loads_one_copy_of_each_module(safe_path: bool) -> None:
    """Without `PYTHONSAFEPATH` a stray absolute import, of `ir.registry` say, would find one more."""
    loaded = loaded_after_importing([module_name(path) for path in sorted(PACKAGED)], safe_path=safe_path)
    registries = {identity for name, identity, file in loaded if Path(file) == ROOT / "ir" / "registry.py"}
    assert module_copies(loaded) == {}
    assert len(registries) == 1


def test_dependencies_import_in_a_python_started_in_the_root() -> None:
    names = ["numpy", "lark", "safetensors.numpy", "ml_dtypes", "onnx", "onnxruntime", "typer", "rich"]
    loaded = loaded_after_importing(names, safe_path=False)
    assert [name for name, _, file in loaded if Path(file).parent == ROOT or Path(file) in PACKAGED] == []


def test_import_loads_numpy_and_ml_dtypes_alone() -> None:
    """Lark, safetensors, onnx, CuPy, typer and rich wait until they are needed."""
    code = """
import json, sys
before = set(sys.modules)
import ingot
print(json.dumps(sorted({name.split(".")[0] for name in set(sys.modules) - before})))
"""
    done = run_python(["-c", code])
    assert done.returncode == 0, done.stderr
    allowed = set(sys.stdlib_module_names) | {"ingot", "numpy", "ml_dtypes"}
    foreign = [name for name in json.loads(done.stdout) if name not in allowed and not name.startswith("_")]
    assert foreign == []


def test_import_in_an_empty_folder_prints_and_writes_nothing(tmp_path: Path) -> None:
    done = run_python(["-W", "error", "-c", "import ingot"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir(tmp_path) == []
