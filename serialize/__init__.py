"""The program file and the stand-alone runner; `onnx/` exports to ONNX."""
