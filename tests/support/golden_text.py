"""Comparison of emitted text with files that were reviewed."""

from __future__ import annotations

from pathlib import Path

__all__ = ["compare_golden"]

FOLDER = Path(__file__).resolve().parents[1] / "golden"


def compare_golden(name: Path, text: str, bless: bool) -> None:
    """Assert that a text is that of a golden file; with `bless`, write the file instead."""
    path = FOLDER / name
    if bless:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return
    assert path.exists(), f"{path} is missing: run pytest --bless, and review what it writes"
    assert text == path.read_text(), f"{path} differs: if that is meant, run pytest --bless and review the change"
