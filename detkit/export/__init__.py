"""Exporters and their certificates; `__all__` is what exporters of plugins may use."""

from detkit.export.onnx import write_onnx
from detkit.export.packages import require_packages
from detkit.inference.engines.onnx_runtime import OnnxRuntime

__all__ = ["OnnxRuntime", "require_packages", "write_onnx"]
