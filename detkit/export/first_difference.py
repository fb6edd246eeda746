"""Find the first layer of an exported model whose output differs from PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detkit.export.onnx_model import Model, nodes_by_layer
from detkit.structures.export_graph import ExportGraph, Images

Run = Callable[[Images], list[NDArray[Any]]]


def module_outputs(graph: ExportGraph, images: Images) -> dict[str, NDArray[Any]]:
    """The output tensor of the last call of each module, by path; others are left out."""
    outputs: dict[str, NDArray[Any]] = {}
    hooks = []
    for path, module in graph.module.named_modules():
        name = path.removeprefix("detector.")
        if path not in ("", "detector"):
            hooks.append(module.register_forward_hook(_recorder(outputs, name)))
    try:
        with torch.no_grad():
            graph.module(torch.from_numpy(images))
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def _recorder(outputs: dict[str, NDArray[Any]], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.pop(name, None)
        if isinstance(output, Tensor):
            outputs[name] = output.detach().numpy().copy()

    return record


def first_difference_in_onnx(
    graph: ExportGraph,
    model: Model,
    images: Images,
    tolerance: float,
    engine: Callable[[bytes], Run],
) -> str | None:
    """Compare the output of each module, in the order in which the model computes them.

    Args:
        graph: The graph that the model was made from.
        model: The ONNX model.
        images: What to run both on.
        tolerance: How far an output may be off, relative to its largest value.
        engine: Opens an ONNX model.

    Returns:
        The layer, its operator and the difference; None if no layer differs by itself.
    """
    import onnx

    expected = module_outputs(graph, images)
    nodes = nodes_by_layer(model)
    compared = [(layer, node) for layer, node in nodes.items() if layer in expected]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    for name in dict.fromkeys(node.output[0] for _, node in compared):
        watched.graph.output.append(onnx.ValueInfoProto(name=name))
    names = [output.name for output in watched.graph.output]
    outputs = dict(zip(names, engine(watched.SerializeToString())(images), strict=True))
    for layer, node in compared:
        reference, output = expected[layer], outputs[node.output[0]]
        if output.shape != reference.shape:
            continue  # the converter merged the end of the module with what follows
        difference = np.abs(
            np.nan_to_num(output.astype(np.float64)) - np.nan_to_num(reference)
        ).max(initial=0.0)
        if difference > tolerance * max(1.0, float(np.abs(reference).max(initial=0.0))):
            return f"{layer} ({node.op_type}): its output is off by up to {difference:.3g}"
    return None
