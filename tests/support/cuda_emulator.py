"""Runs emitted CUDA text without a device: as C++, one thread of the grid after the other.

Enough for kernels whose threads do not wait for each other, which are all that the printer writes.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingot.backends import cuda
from ingot.backends.c.loader import c_types
from ingot.backends.cfamily_function import LoopSource
from ingot.backends.loop_call import LoopCall, argument
from ingot.ir.sizes import evaluate, product

__all__ = ["EmulatedOp", "emulate", "needs_cxx"]

needs_cxx = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (g++) found")

SHIM = Path(__file__).with_name("cuda_shim.h")
BLOCKS, THREADS = 2, 3


def emulate(sources: Sequence[LoopSource], folder: Path) -> list[EmulatedOp]:
    """The kernels of several ops, compiled as one C++ file in a folder of the test's own."""
    target = folder / "kernels.so"
    flags = ["-std=c++17", "-O0", "-Wall", "-Wno-unused", "-Werror", "-ffp-contract=off", "-fPIC", "-shared"]
    command = ["g++", *flags, "-include", str(SHIM), "-x", "c++", "-", "-o", str(target)]
    done = subprocess.run(command, input=cuda.file_of(sources), capture_output=True, text=True)
    assert not done.returncode, done.stderr
    library = ctypes.CDLL(str(target))
    return [EmulatedOp(source, library) for source in sources]


class EmulatedOp(LoopCall):
    """An op whose kernels run on a small grid, thread by thread."""

    def __init__(self, source: LoopSource, library: ctypes.CDLL) -> None:
        super().__init__(source)
        self._set_thread = library.set_thread
        self._kernels = [getattr(library, kernel.name) for kernel in source.kernels]
        for kernel in self._kernels:
            kernel.argtypes = c_types(source)

    def launch(self, arrays: Sequence[Any], outputs: Sequence[np.ndarray], bindings: Mapping[str, int]) -> int:
        """Run all kernels; returns what they left in the status."""
        status = np.zeros(1, np.int32)
        order = np.full(max(1, evaluate(product(self.source.outputs[0].sizes), bindings)), 99, np.int64)
        own = {"status": status, "order": order}
        arguments = [
            own[p.kind].ctypes.data if p.kind in own else argument(p, arrays, outputs, bindings)
            for p in self.source.parameters
        ]
        for kernel in self._kernels:
            for block in range(BLOCKS):
                for thread in range(THREADS):
                    self._set_thread(block, thread, BLOCKS, THREADS)
                    kernel(*arguments)
        return int(status[0])
