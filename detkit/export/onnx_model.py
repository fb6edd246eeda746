"""A traced graph as an ONNX model: dynamic axes, layer names and metadata."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import torch

from detkit.errors import UserError
from detkit.export.graph import dynamic_axes, root_cause, trace
from detkit.export.onnx_operators import translations
from detkit.structures.export_graph import INPUT, ExportGraph
from detkit.structures.exported import METADATA_KEY, ExportedModel
from detkit.version import __version__

Model = Any  # onnx.ModelProto; the package is optional
_FLOATS = (1, 10)  # ONNX's numbers of float32 and float16
_ROWS = "rows"  # of boxes and scores
SCOPES = "pkg.torch.onnx.name_scopes"  # the path of the module that a node belongs to


def to_onnx(graph: ExportGraph, opset: int | None = None) -> Model:
    """Convert a graph.

    Args:
        graph: The graph.
        opset: The version of ONNX's operators; None takes the converter's own.

    Raises:
        UserError: The graph cannot be traced, or an operator cannot be converted.
    """
    program = trace(graph)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the converter's own internals
            converted = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=list(graph.outputs),
                opset_version=opset,
                custom_translation_table=translations(),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the converter raises errors of many kinds
        raise UserError(
            f"the detector cannot be converted to ONNX ({root_cause(error)})."
        ) from error
    model = converted.model_proto  # type: ignore[union-attr]
    _keep_layer_names(model)
    _name_axes(model, dynamic_axes(graph))
    set_metadata(model, onnx_metadata(graph.metadata))
    return model


def _keep_layer_names(model: Model) -> None:
    """Drop the converter's notes, except the layers: they hold source lines and local paths."""
    graph = model.graph
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        scopes = [entry.value for entry in item.metadata_props if entry.key == SCOPES]
        del item.metadata_props[:]
        for value in scopes:
            item.metadata_props.add(key=SCOPES, value=value)
        if hasattr(item, "doc_string"):
            item.doc_string = ""
    del graph.metadata_props[:]
    graph.doc_string = ""


def _name_axes(model: Model, axes: dict[int, str]) -> None:
    """Give the dynamic axes their names instead of the tracer's symbols."""
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    names = {dimensions[axis].dim_param: name for axis, name in axes.items()}
    names.pop("", None)  # an axis that has become a constant; the certificate reports it
    for value in (*model.graph.input, *model.graph.output):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            symbol = dimension.dim_param
            if symbol:
                dimension.dim_param = names.get(symbol, _ROWS if axis == 1 else symbol)


def set_metadata(model: Model, metadata: dict[str, str]) -> None:
    """Replace the metadata of a model."""
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name, model.producer_version = "detkit", __version__


def onnx_metadata(metadata: ExportedModel) -> dict[str, str]:
    """The entry of detkit, the keys that Ultralytics writes, and OpenVINO's `model_info`."""
    info = {f"model_info {key}": value for key, value in model_info(metadata).items()}
    return {METADATA_KEY: metadata.to_json(), **ultralytics_keys(metadata), **info}


def ultralytics_keys(metadata: ExportedModel) -> dict[str, str]:
    """The keys that tools for Ultralytics' models read; `names` is the text of a Python dict."""
    name = metadata.page or "detector"
    return {
        "description": f"detkit {name}, {len(metadata.class_names)} classes",
        "author": "detkit",
        "version": __version__,
        "task": "detect",
        "stride": str(metadata.stride),
        "batch": str(metadata.batch or 1),
        "imgsz": str(list(metadata.size or _largest_size(metadata))),
        "names": str(dict(enumerate(metadata.class_names))),
    }


def _largest_size(metadata: ExportedModel) -> tuple[int, int]:
    """Height and width that the images of a dynamic model usually have."""
    for step in reversed(list(metadata.resize.values())):
        if {"height", "width"} <= step.keys():
            return int(step["height"]), int(step["width"])
        if "short_side" in step:
            return int(step["short_side"]), int(step["short_side"])
    return 640, 640


def model_info(metadata: ExportedModel) -> dict[str, str]:
    """The keys of OpenVINO's Model API that are true of the graph.

    There is no `model_type`: none of the API's types has boxes, scores and labels as three outputs.
    """
    kinds = {"letterbox": "fit_to_window_letterbox", "resize_exact": "standard"}
    steps = [str(step["name"]) for step in metadata.resize.values()]
    kind = next((kinds[step] for step in reversed(steps) if step in kinds), "fit_to_window")
    return {
        "labels": " ".join(name.replace(" ", "_") for name in metadata.class_names),
        "resize_type": kind,
        "pad_value": "114",
        "mean_values": "0 0 0",  # the graph normalises
        "scale_values": "1 1 1",
        "reverse_input_channels": "True",  # from the BGR that the API reads
        "confidence_threshold": str(metadata.score_threshold),
    }


def layers_of(node: Any) -> list[str]:
    """The paths of the modules around a node, such as `neck` and `neck.lateral.0`; may be empty."""
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            scopes = ast.literal_eval(entry.value)[:-1]  # the last is the operation
            return [scope.removeprefix("detector.") for scope in scopes if scope]
    return []


def layer_of(node: Any) -> str:
    """The path of the innermost module around a node; may be empty."""
    return (layers_of(node) or [""])[-1]


def restore_notes(model: Model, original: Model) -> None:
    """Give nodes that a tool has stripped of their layer it back, and drop unused operator sets."""
    notes = {node.name: node.metadata_props for node in original.graph.node}
    for node in model.graph.node:
        if node.name in notes and not node.metadata_props:
            node.metadata_props.extend(notes[node.name])
    domains = {node.domain for node in model.graph.node}
    for entry in [entry for entry in model.opset_import if entry.domain not in domains]:
        model.opset_import.remove(entry)


def nodes_by_layer(model: Model) -> dict[str, Any]:
    """The last node of each module that computes floats: its output is what the module returns."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    by_layer: dict[str, Any] = {}
    for node in model.graph.node:
        is_float = kinds.get(node.output[0]) in _FLOATS  # others compute shapes
        for layer in layers_of(node) if is_float else ():
            by_layer.pop(layer, None)
            by_layer[layer] = node
    return by_layer
