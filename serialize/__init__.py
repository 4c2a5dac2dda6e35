"""The program file and the stand-alone runner; `onnx/` exports to ONNX."""

from .program_file import content_hash, dumps, load, loads, save
from .program_writer import FORMAT_VERSION

__all__ = ["FORMAT_VERSION", "content_hash", "dumps", "load", "loads", "save"]
