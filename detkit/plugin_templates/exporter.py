"""An exporter: writes a trained detector for another engine."""

from __future__ import annotations

import json
from pathlib import Path

from detkit import register
from detkit.export import OnnxRuntime, require_packages, write_onnx
from detkit.structures import ExportGraph, WrittenExport

_MODEL, _CLASSES = "model.onnx", "classes.json"


@register("exporter", "my_exporter")
class MyExporter:
    """A folder for an app: the ONNX model, and the class names as JSON."""

    suffix = ""  # a folder
    engine = "onnxruntime"  # what `open` runs, for the certificate
    precisions = ("fp32", "fp16", "int8")

    def require(self) -> None:
        """Refuse if a package is missing, before any work starts."""
        require_packages("my_exporter", ("onnx", "onnxscript", "onnxruntime"), "export")

    def write(self, graph: ExportGraph, path: Path) -> WrittenExport:
        """Write the model; this is the place to convert the ONNX file for your engine."""
        path.mkdir()
        names = json.dumps(graph.metadata.class_names, ensure_ascii=False)
        (path / _CLASSES).write_text(names, encoding="utf-8")
        return write_onnx(graph, path / _MODEL)

    def open(self, path: Path, threads: int) -> OnnxRuntime:
        """Open a written model, so that its outputs can be compared with PyTorch's."""
        return OnnxRuntime(path / _MODEL, threads)
