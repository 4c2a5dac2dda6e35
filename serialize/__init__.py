"""The program file and the stand-alone runner; `onnx/` exports to ONNX."""

from .program_file import FORMAT_VERSION, content_hash, dumps, load, loads, save

__all__ = ["FORMAT_VERSION", "content_hash", "dumps", "load", "loads", "save"]
