"""The exporter of model repositories for Triton."""

from __future__ import annotations

from pathlib import Path

from detkit.export.onnx import OnnxExporter
from detkit.inference.engines.onnx_runtime import OnnxRuntime
from detkit.registry import PositiveInt, register
from detkit.structures.export_graph import (
    INPUT,
    ExportGraph,
    Images,
    LayerComparison,
    WrittenExport,
)
from detkit.structures.exported import MASKS

_MODEL, _LABELS, _CONFIG = "1/model.onnx", "labels.txt", "config.pbtxt"
_TYPES = {"labels": "TYPE_INT64", "counts": "TYPE_INT64"}


@register("exporter", "triton")
class TritonExporter:
    """A model folder for NVIDIA Triton's repository: 1/model.onnx, labels.txt, config.pbtxt.

    Args:
        opset: Version of ONNX's operators; null takes the converter's own.
    """

    suffix = ""
    engine = "onnxruntime"
    precisions = OnnxExporter.precisions

    def __init__(self, *, opset: PositiveInt | None = None) -> None:
        self._onnx = OnnxExporter(opset=opset)

    def require(self) -> None:
        """Refuse if a package is missing."""
        self._onnx.require()

    def write(self, graph: ExportGraph, path: Path) -> WrittenExport:
        """Write the folder of one model, which is named after it."""
        model = path / _MODEL
        model.parent.mkdir(parents=True)
        written = self._onnx.write(graph, model)
        names = "".join(f"{name}\n" for name in graph.metadata.class_names)
        (path / _LABELS).write_text(names, encoding="utf-8")
        (path / _CONFIG).write_text(configuration(graph, path.name), encoding="utf-8")
        return written

    def open(self, path: Path, threads: int) -> OnnxRuntime:
        """Open the model of a written folder."""
        return self._onnx.open(path / _MODEL, threads)

    def compare_layers(
        self, graph: ExportGraph, path: Path, images: Images, tolerance: float
    ) -> LayerComparison:
        """Compare the outputs of a written model's layers with PyTorch's."""
        return self._onnx.compare_layers(graph, path / _MODEL, images, tolerance)


def configuration(graph: ExportGraph, name: str) -> str:
    """The text of config.pbtxt.

    `max_batch_size` is 0, so that shapes include the batch; Triton then joins no requests itself.
    """
    size = graph.metadata.size or (-1, -1)
    batch = graph.metadata.batch or -1
    side = graph.metadata.mask_size or -1
    shapes = {"boxes": [batch, -1, 4], "counts": [batch], MASKS: [batch, -1, side, side]}
    outputs = []
    for output in graph.outputs:
        dims = shapes.get(output, [batch, -1])
        if output == "scores" and not graph.metadata.nms:
            dims = [batch, -1, len(graph.metadata.class_names)]
        outputs.append(_tensor(output, _TYPES.get(output, "TYPE_FP32"), dims))
    inputs = _tensor(INPUT, "TYPE_FP32", [batch, graph.metadata.channels, *size])
    return (
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: 0\n'
        f"input [\n{inputs}\n]\noutput [\n" + ",\n".join(outputs) + "\n]\n"
    )


def _tensor(name: str, kind: str, dims: list[int]) -> str:
    return f'  {{\n    name: "{name}"\n    data_type: {kind}\n    dims: {dims}\n  }}'
