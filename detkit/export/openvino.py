"""The exporter of OpenVINO models."""

from __future__ import annotations

import json
import logging
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from detkit.export.layer_comparison import (
    behind_selection,
    compare_layer_outputs,
    layer_tensors,
    module_outputs,
    weighted_nodes,
)
from detkit.export.onnx import PACKAGES, write_onnx
from detkit.export.onnx_model import layer_of, model_info, ultralytics_keys
from detkit.export.openvino_layers import unseen_layers
from detkit.export.packages import require_packages
from detkit.export.quantization import float_nodes
from detkit.inference.engines.open_vino import OpenVino
from detkit.registry import register
from detkit.structures.export_graph import ExportGraph, Images, LayerComparison, WrittenExport
from detkit.structures.exported import METADATA_KEY

_LAYERS = "detkit_layers"  # entry of the runtime information


@register("exporter", "openvino")
class OpenVinoExporter:
    """An .xml and a .bin file for OpenVINO, converted from ONNX; int8 by NNCF."""

    suffix = ".xml"
    engine = "OpenVINO"
    precisions = ("fp32", "fp16", "int8")

    def require(self) -> None:
        """Refuse if a package is missing."""
        require_packages("openvino", ("openvino", "nncf"), "openvino")
        require_packages("openvino", PACKAGES, "export")

    def write(self, graph: ExportGraph, path: Path) -> WrittenExport:
        """Write the graph; fp16 stores the weights in half precision."""
        import openvino

        source = path.with_suffix(".onnx")
        write_onnx(float32(graph), source)
        layers = _layers(source)
        is_int8 = graph.metadata.precision == "int8"
        # `convert_model` merges layers, which NNCF needs. OpenVINO merges the others when it
        # compiles a model; in the file, each layer has its own output, which can be compared.
        read = openvino.convert_model if is_int8 else openvino.Core().read_model
        model = read(source)
        float_file = None
        if is_int8:
            float_file = path.with_name(f"{path.stem}.float{path.suffix}")
            openvino.save_model(model, float_file, compress_to_fp16=False)
            model = _quantised(graph, model, source)
        _set_metadata(graph, model)
        model.set_rt_info(json.dumps(layers), [_LAYERS])
        openvino.save_model(model, path, compress_to_fp16=graph.metadata.precision == "fp16")
        source.unlink()
        return WrittenExport(float_file)

    def open(self, path: Path, threads: int) -> OpenVino:
        """Open a written model."""
        return OpenVino(path, threads)

    def compare_layers(
        self, graph: ExportGraph, path: Path, images: Images, tolerance: float
    ) -> LayerComparison:
        """Compare the outputs of a written model's layers with PyTorch's."""
        import openvino

        model = openvino.Core().read_model(path)
        expected = module_outputs(graph, images)
        layers = json.loads(str(model.get_rt_info([_LAYERS]).value))
        present = {name for op in model.get_ops() for port in op.outputs() for name in port.names}
        tensors = {
            layer: name
            for layer, name in layers["tensors"].items()
            if layer in expected and name in present
        }
        names = list(dict.fromkeys(tensors.values()))
        count = len(model.outputs)
        model.add_outputs(names)
        outputs = dict(zip(names, OpenVino(model, 1)(images)[count:], strict=True))
        actual = {layer: outputs[name] for layer, name in tensors.items()}
        unordered = set(layers["unordered"])
        comparison = compare_layer_outputs(expected, actual, unordered, graph, tolerance)
        if comparison.difference is not None:
            return comparison
        compared = {tensors[layer] for layer in comparison.compared}
        return comparison._replace(unseen=unseen_layers(model, compared, layers["weighted"]))


def _layers(source: Path) -> dict[str, Any]:
    """The output tensor of each layer, the layers without an order, and those with weights."""
    import onnx

    model = onnx.load(source)
    tensors, behind = layer_tensors(model), behind_selection(model)
    unordered = [layer for layer, name in tensors.items() if name in behind]
    weighted = {node.name: layer_of(node) or node.name for node in weighted_nodes(model)}
    return {"tensors": tensors, "unordered": unordered, "weighted": weighted}


def float32(graph: ExportGraph) -> ExportGraph:
    """The same graph in float32."""
    return replace(graph, metadata=replace(graph.metadata, precision="fp32"))


def _quantised(graph: ExportGraph, model: Any, source: Path) -> Any:
    """The model in int8, apart from the last convolutions of each head and what follows them."""
    import nncf
    import onnx

    names = float_nodes(onnx.load(source), graph.keep_float)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    present = {operation.get_friendly_name() for operation in model.get_ops()}
    ignored = nncf.IgnoredScope(
        names=[name for name in names if name in present],
        types=["NonMaxSuppression", "MatMul", "Add", "Multiply", "Subtract", "Sigmoid", "Exp"],
        validate=False,
    )
    with redirect_stdout(StringIO()):  # progress bars
        return nncf.quantize(
            model,
            nncf.Dataset(list(graph.calibration)),
            subset_size=len(graph.calibration),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=ignored,
        )


def _set_metadata(graph: ExportGraph, model: Any) -> None:
    """Write detkit's own entry, Ultralytics' keys and `model_info` into the runtime information."""
    model.set_rt_info(graph.metadata.to_json(), [METADATA_KEY])
    for key, value in ultralytics_keys(graph.metadata).items():
        model.set_rt_info(value, ["metadata", key])
    for key, value in model_info(graph.metadata).items():
        model.set_rt_info(value, ["model_info", key])
