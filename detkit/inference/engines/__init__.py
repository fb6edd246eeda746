"""Engines run exported files: onnxruntime and OpenVINO without PyTorch, `.pt2` with it."""
