"""Finding a C compiler, and turning text into a loaded library."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

from ...ir.errors import UnsupportedError
from ..cache import cached_file, digest

__all__ = ["FLAGS", "compile", "find_compiler"]

# Without contraction, no multiplication and addition are fused: results are those of the separate operations.
FLAGS: Final = ("-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared")


def find_compiler() -> tuple[str, ...]:
    """The command that compiles C: `$CC`, the system's `cc`, `gcc` or `clang`, or the `ziglang` package.

    Raises:
        UnsupportedError: when there is none.
    """
    named = os.environ.get("CC")
    if named:
        return tuple(shlex.split(named))
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return (found,)
    if importlib.util.find_spec("ziglang") is not None:
        return sys.executable, "-m", "ziglang", "cc"
    raise UnsupportedError("no C compiler found", advice="install one (gcc or clang), or ingot[native]")


@cache
def _version(command: tuple[str, ...]) -> str:
    try:
        return subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnsupportedError(f"the C compiler {shlex.join(command)} does not run: {error}") from None


def compile(text: str, optimise: str = "-O2") -> ctypes.CDLL:
    """C text as a loaded library. It is compiled once; later calls, in other processes too, find it in the cache.

    Raises:
        UnsupportedError: when there is no compiler, or it refuses the text.
    """
    command = find_compiler()
    flags = (optimise, *FLAGS)
    name = digest(text, *command, *flags, _version(command), sys.platform, os.uname().machine)

    def make(target: Path) -> None:
        line = [*command, *flags, "-x", "c", "-", "-o", str(target), "-lm"]
        done = subprocess.run(line, input=text, capture_output=True, text=True)
        if done.returncode:
            raise UnsupportedError(f"{shlex.join(line)} failed", notes=(f"\n{done.stderr}",))

    return ctypes.CDLL(str(cached_file("c", f"{name}.so", make)))
