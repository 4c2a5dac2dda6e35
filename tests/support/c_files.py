"""Several emitted ops in one C file: one start of the compiler serves many tests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ingot.backends import c
from ingot.ir.errors import UnsupportedError

__all__ = ["load_together", "needs_c"]


def _why_no_compiler() -> str | None:
    try:
        c.find_compiler()
    except UnsupportedError as error:
        return str(error).replace("\n", " ")
    return None


_reason = _why_no_compiler()
needs_c = pytest.mark.skipif(_reason is not None, reason=_reason or "")


def load_together(sources: Sequence[c.LoopSource]) -> list[c.LoadedOp]:
    """The ops of one file, compiled."""
    library = c.compile(c.file_of(sources), optimise="-O1")
    return [c.LoadedOp(source, library) for source in sources]
