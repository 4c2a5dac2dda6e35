"""Programs to ONNX files: `ingot.onnx.export`.

How it is done: `export` drives; `translate` goes over the graph and calls each op's own rule (`onnx=` in its
declaration) with the algebra `E` of `algebra`; `size_tensors` computes symbolic sizes; `lowering` is the table of what
older opsets say differently; `model` makes the protocol buffers.
"""

from .export import export, to_model

__all__ = ["export", "to_model"]
