"""What stands in the repository: its root, what is packaged, and how to run Python outside this process."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOT_PACKAGED = frozenset({"tests", "benchmarks", "examples", "docs"})
GENERATED = frozenset({"build", "dist", "out", "ingot.egg-info", "__pycache__"})


def pyproject() -> dict[str, Any]:
    """The contents of `pyproject.toml`."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def root_folders() -> list[Path]:
    """The folders at the root that a person wrote, hidden ones left out."""
    return sorted(p for p in ROOT.iterdir() if p.is_dir() and p.name not in GENERATED and p.name[0] != ".")


def packaged_files() -> list[Path]:
    """Every file that belongs into the wheel, relative to the root: what lies in the packaged folders."""
    folders = (folder for folder in root_folders() if folder.name not in NOT_PACKAGED)
    inside = (path for folder in folders for path in folder.rglob("*"))
    beside = (ROOT / "__init__.py", ROOT / "__main__.py", ROOT / "py.typed")
    files = [*beside, *(path for path in inside if path.is_file() and "__pycache__" not in path.parts)]
    return sorted(path.relative_to(ROOT) for path in files)


def module_name(path: Path) -> str:
    """The dotted name of the module in the file `path`, which is relative to the root."""
    parts = path.with_suffix("").parts
    return ".".join(("ingot", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def run_python(
    arguments: Sequence[str], *, cwd: Path = ROOT, safe_path: bool = True, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run this interpreter on `arguments` in a process of its own; the exit status is the caller's to check.

    `safe_path` keeps the folder Python starts in off its search path; `path` is searched first.
    """
    environment = {name: v for name, v in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    if safe_path:
        environment["PYTHONSAFEPATH"] = "1"
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
