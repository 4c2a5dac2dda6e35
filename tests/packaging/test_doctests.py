"""The examples in the package's docstrings, and on the pages of `docs`, run and print what they say.

pytest's own `--doctest-modules` would import the root under its folder's name, hence this runner.
"""

import doctest
import importlib
import pathlib

import pytest
from repository import ROOT, module_name, packaged_files

WITH_EXAMPLES = [
    module_name(path)
    for path in packaged_files()
    if path.suffix == ".py" and ">>> " in (ROOT / path).read_text(encoding="utf-8")
]


PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages(page: pathlib.Path) -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = doctest.testfile(str(page), module_relative=False, optionflags=options, encoding="utf-8")
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples failed, see the output"


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str) -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples failed, see the output"
