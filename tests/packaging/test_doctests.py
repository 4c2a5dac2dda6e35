"""The examples in the package's docstrings run and print what they say.

pytest's own `--doctest-modules` would import the root under its folder's name, hence this runner.
"""

import doctest
import importlib

import pytest
from repository import ROOT, module_name, packaged_files

WITH_EXAMPLES = [
    module_name(path)
    for path in packaged_files()
    if path.suffix == ".py" and ">>> " in (ROOT / path).read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str) -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples failed, see the output"
