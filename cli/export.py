"""`ingot export`: a program as an ONNX model."""

from __future__ import annotations

from pathlib import Path

from ..frontend.program import load
from .terminal import amount, visible

__all__ = ["export_program"]


def export_program(file: Path, onnx: Path, entry: str | None) -> None:
    """Export a program file to ONNX.

    Raises:
        ExportError: listing what has no ONNX form.
        FileFormatError, OSError: when a file cannot be read or written.
    """
    from ..serialize.onnx import export

    export(load(file), onnx, entry=entry)
    print(visible(f"{onnx}: {amount(onnx.stat().st_size)}"))
