"""The wheel holds every packaged file and nothing else, and what it holds runs."""

import shutil
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from repository import GENERATED, ROOT, module_name, packaged_files, pyproject, run_python


def left_out(folder: str, names: list[str]) -> set[str]:
    """What a fresh clone does not have: hidden and generated files."""
    at_root = Path(folder) == ROOT
    generated = GENERATED if at_root else {"__pycache__"}
    return {name for name in names if name[0] == "." or name in generated}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a clean copy of the tree, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "clone", ignore=left_out)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(folder)]
    done = run_python(["-m", "pip", "wheel", *options, str(folder / "clone")], cwd=folder)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    """The wheel's contents in a folder, as an installation would lay them out."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent / "site")
    return wheel.parent / "site"


def metadata_folder() -> str:
    return f"ingot-{pyproject()['project']['version']}.dist-info"


def test_wheel_holds_every_packaged_file_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(metadata_folder())}
    expected = {f"ingot/{path.as_posix()}" for path in packaged_files()}
    assert sorted(names - expected) == [], "the wheel holds what is not packaged"
    assert sorted(expected - names) == [], "the wheel lacks files: see [tool.setuptools] in pyproject.toml"


def test_wheel_is_pure_and_installs_the_command(wheel: Path, unpacked: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    entry_points = (unpacked / metadata_folder() / "entry_points.txt").read_text(encoding="utf-8")
    assert "ingot = ingot.cli:main" in entry_points


def test_wheel_states_licence_version_and_extras(unpacked: Path) -> None:
    text = (unpacked / metadata_folder() / "METADATA").read_text(encoding="utf-8")
    metadata = Parser().parsestr(text)
    project = pyproject()["project"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == project["requires-python"]
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])


def test_every_module_of_the_wheel_imports(unpacked: Path) -> None:
    """The editable installation may not lend a hand: what is imported lies in the unpacked wheel."""
    names = [module_name(path) for path in packaged_files() if path.suffix == ".py"]
    code = f"""
import importlib, pathlib
for name in {names!r}:
    file = pathlib.Path(importlib.import_module(name).__file__)
    assert file.is_relative_to({str(unpacked)!r}), f"{{name}} comes from {{file}}"
"""
    done = run_python(["-c", code], cwd=unpacked.parent, path=unpacked)
    assert done.returncode == 0, done.stderr
