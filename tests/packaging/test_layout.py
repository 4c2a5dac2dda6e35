"""The root is the package: what may stand there, and what the project file says about it."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
from repository import NOT_PACKAGED, ROOT, packaged_files, pyproject, root_folders

DESIGN_FOLDERS = {"backends", "cli", "frontend", "ir", "nn", "optim", "passes", "serialize", "utils"}
NAMES_OF_OTHERS = {"cuda", "cupy", "jax", "keras", "lark", "numpy", "onnx", "tensorflow", "torch", "triton"}


def importable_names(folder: Path) -> set[str]:
    """The modules and packages that `folder` offers to a Python that searches it.

    A folder without `__init__.py` is left out: it never hides a package of the same name found elsewhere.
    """
    modules = {path.stem for path in folder.glob("*.py")}
    return (modules | {path.parent.name for path in folder.glob("*/__init__.py")}) - {"__init__", "__main__"}


def test_root_holds_two_modules_and_folders() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_root_folders_are_those_of_the_design() -> None:
    names = {folder.name for folder in root_folders()}
    assert names - NOT_PACKAGED == DESIGN_FOLDERS


def test_unpackaged_folders_are_no_packages() -> None:
    assert [name for name in sorted(NOT_PACKAGED) if (ROOT / name / "__init__.py").exists()] == []


def test_packages_listed_are_the_packages_on_disk() -> None:
    folders = {path.parent for path in packaged_files() if path.suffix == ".py"}
    on_disk = {".".join(("ingot", *folder.parts)) for folder in folders}
    assert sorted(pyproject()["tool"]["setuptools"]["packages"]) == sorted(on_disk)


def test_every_packaged_folder_with_code_is_a_package() -> None:
    folders = {path.parent for path in packaged_files() if path.suffix == ".py"}
    assert [str(folder) for folder in sorted(folders) if not (ROOT / folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("folder", [ROOT, ROOT / "tests" / "support"], ids=["root", "support"])
def test_nothing_shadows_an_installed_package(folder: Path) -> None:
    """A Python started in the root, as people do, searches it before everything that is installed."""
    taken = set(sys.stdlib_module_names) | NAMES_OF_OTHERS | set(importlib.metadata.packages_distributions())
    assert sorted(importable_names(folder) & taken) == []


def test_version_is_the_same_in_both_places() -> None:
    import ingot

    assert ingot.__version__ == pyproject()["project"]["version"]


def test_core_dependencies_and_extras() -> None:
    project = pyproject()["project"]
    names = {requirement.split(">=")[0] for requirement in project["dependencies"]}
    assert names == {"numpy", "lark", "safetensors", "ml_dtypes"}
    extras = {"onnx", "cuda", "cuda13", "native", "cli", "demo", "test", "dev"}
    assert set(project["optional-dependencies"]) == extras
