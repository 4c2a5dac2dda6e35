"""The folder in which compiled code is kept between runs: one per user, safe against others' files.

Compiled code is executed, so the folder must belong to the user alone. It is `INGOT_CACHE` where that is set, else
the platform's folder for caches. Files appear in it whole or not at all, whoever writes at the same time.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..ir.errors import UnsupportedError

__all__ = ["cache_folder", "cached_file", "digest"]


def digest(*parts: str | bytes) -> str:
    """A name for content: equal parts give equal names, on every machine.

    >>> digest("a", "b") == digest("a", b"b"), digest("ab") == digest("a", "b")
    (True, False)
    """
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()[:32]


def cache_folder(kind: str) -> Path:
    """The folder for one kind of compiled code, made where it is missing.

    Raises:
        UnsupportedError: when the folder is not the user's own, or cannot be made.
    """
    named = os.environ.get("INGOT_CACHE")
    root = Path(named).expanduser() if named else _platform_folder() / "ingot"
    folder = root / kind
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for path in (root, folder):
            path.mkdir(mode=0o700, exist_ok=True)
            _check_owner(path)
    except OSError as error:
        raise UnsupportedError(
            f"no folder for compiled code: {error}", advice="name a writable folder in INGOT_CACHE"
        ) from None
    return folder


def _platform_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _check_owner(path: Path) -> None:
    """Whoever can write here can run code as this user."""
    if not hasattr(os, "getuid"):
        return
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsupportedError(
            f"the folder for compiled code {path} can be written by others",
            expected="a folder of this user that nobody else may write to",
            advice="name another one in INGOT_CACHE, or change its owner and mode",
        )


def cached_file(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """The file of that name, made by `make(path)` where it is missing.

    `make` writes to a path of its own beside it, which is then renamed: a reader sees the whole file or none.
    """
    target = cache_folder(kind) / name
    if target.exists():
        return target
    handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=target.suffix)
    os.close(handle)
    try:
        make(Path(temporary))
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return target
