"""The exporter of ONNX files."""

from __future__ import annotations

from pathlib import Path

from detkit.errors import UserError
from detkit.export.half_precision import to_half
from detkit.export.layer_comparison import compare_onnx_layers
from detkit.export.onnx_model import Model, onnx_metadata, set_metadata, to_onnx
from detkit.export.packages import require_packages
from detkit.export.quantization import quantise
from detkit.inference.engines.onnx_runtime import OnnxRuntime
from detkit.registry import PositiveInt, register
from detkit.structures.export_graph import ExportGraph, Images, LayerComparison, WrittenExport

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@register("exporter", "onnx")
class OnnxExporter:
    """One .onnx file for onnxruntime, OpenVINO, TensorRT and others.

    Args:
        opset: Version of ONNX's operators; null takes the converter's own.
    """

    suffix = ".onnx"
    engine = "onnxruntime"
    precisions = ("fp32", "fp16", "int8")

    def __init__(self, *, opset: PositiveInt | None = None) -> None:
        self.opset = opset

    def require(self) -> None:
        """Refuse if a package is missing."""
        require_packages("onnx", PACKAGES, "export")

    def write(self, graph: ExportGraph, path: Path) -> WrittenExport:
        """Write the graph in its precision."""
        return write_onnx(graph, path, self.opset)

    def open(self, path: Path, threads: int) -> OnnxRuntime:
        """Open a written file in onnxruntime."""
        return OnnxRuntime(path, threads)

    def compare_layers(
        self, graph: ExportGraph, path: Path, images: Images, tolerance: float
    ) -> LayerComparison:
        """Compare the outputs of a written file's layers with PyTorch's."""
        import onnx

        return compare_onnx_layers(
            graph, onnx.load(path), images, tolerance, lambda model: OnnxRuntime(model, 1)
        )


def write_onnx(graph: ExportGraph, path: Path, opset: int | None = None) -> WrittenExport:
    """Write a graph as ONNX file in the precision that its metadata names."""
    import onnx

    model = to_onnx(graph, opset)
    if graph.metadata.precision == "fp16":
        to_half(model)
    if graph.metadata.precision != "int8":
        _save(model, path)
        return WrittenExport()
    float_file = path.with_name(f"{path.stem}.float{path.suffix}")
    _save(model, float_file)
    sensitivity = quantise(graph, float_file, path)
    quantised = onnx.load(path)
    set_metadata(quantised, onnx_metadata(graph.metadata))
    _save(quantised, path)
    return WrittenExport(float_file, sensitivity)


def _save(model: Model, path: Path) -> None:
    import onnx

    try:
        onnx.save(model, str(path))
    except ValueError as error:  # protobuf's limit
        raise UserError(
            f"{path.name}: the model is larger than the 2 GB of an ONNX file ({error})."
        ) from error
