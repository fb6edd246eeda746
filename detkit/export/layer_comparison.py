"""Compare the output of each layer of an ONNX model with PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detkit.export.onnx_model import Model, layer_of, nodes_by_layer
from detkit.structures.export_graph import ExportGraph, Images, LayerComparison

Array = NDArray[Any]
Run = Callable[[Images], list[Array]]
_SELECTING = {"TopK", "NonMaxSuppression"}  # rounding decides the order of their outputs
_WITH_WEIGHTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# Share of the rows behind a selection that may have no equal row. Rounding exchanges a few
# proposals; in int8 many move.
_UNMATCHED = {"fp32": 0.02, "fp16": 0.1, "int8": 0.5}
_PROJECTIONS = 64  # random directions in which equal rows are searched
_SEQUENCE = 3  # axes of (B, N, C)


def module_outputs(graph: ExportGraph, images: Images) -> dict[str, Array]:
    """The output tensor of the last call of each module, by path; others are left out."""
    outputs: dict[str, Array] = {}
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


def _recorder(outputs: dict[str, Array], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.pop(name, None)
        if isinstance(output, Tensor):
            outputs[name] = output.detach().numpy().copy()

    return record


def compare_onnx_layers(
    graph: ExportGraph,
    model: Model,
    images: Images,
    tolerance: float,
    engine: Callable[[bytes], Run],
) -> LayerComparison:
    """Compare the output of each module, in the order in which the model computes them.

    Args:
        graph: The graph that the model was made from.
        model: The ONNX model.
        images: What to run both on.
        tolerance: How far an output may be off, relative to its largest value.
        engine: Opens an ONNX model.
    """
    import onnx

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    expected = module_outputs(graph, images)
    tensors = {layer: name for layer, name in layer_tensors(model).items() if layer in expected}
    for name in dict.fromkeys(tensors.values()):
        watched.graph.output.append(onnx.ValueInfoProto(name=name))
    names = [output.name for output in watched.graph.output]
    outputs = dict(zip(names, engine(watched.SerializeToString())(images), strict=True))
    actual = {layer: outputs[name] for layer, name in tensors.items()}
    behind = behind_selection(model)
    comparison = compare_layer_outputs(
        expected, actual, {layer for layer in tensors if tensors[layer] in behind}, graph, tolerance
    )
    if comparison.difference is not None:
        return comparison
    compared = {tensors[layer] for layer in comparison.compared}
    return comparison._replace(unseen=unseen_layers(model, compared))


def layer_tensors(model: Model) -> dict[str, str]:
    """The name of each module's output in an ONNX model, in the order of computation."""
    return {layer: str(node.output[0]) for layer, node in nodes_by_layer(model).items()}


def behind_selection(model: Model) -> set[str]:
    """The tensors that depend on which boxes were selected: their rows may be exchanged."""
    behind: set[str] = set()
    for node in model.graph.node:  # nodes are sorted
        if node.op_type in _SELECTING or not behind.isdisjoint(node.input):
            behind.update(node.output)
    return behind


def compare_layer_outputs(
    expected: dict[str, Array],
    actual: dict[str, Array],
    unordered: Iterable[str],
    graph: ExportGraph,
    tolerance: float,
) -> LayerComparison:
    """Compare the outputs of layers.

    Args:
        expected: PyTorch's, by layer.
        actual: The engine's, by layer, in the order of computation.
        unordered: The layers whose rows have no fixed order.
        graph: The graph of both.
        tolerance: How far an output may be off, relative to its largest value.
    """
    unordered = set(unordered)
    share = _UNMATCHED[graph.metadata.precision]
    compared: list[str] = []
    for layer, output in actual.items():
        reference = expected[layer]
        scale = max(1.0, float(np.abs(reference).max(initial=0.0)))
        if layer in unordered:
            differences = _row_differences(reference, output)
            difference = _largest_but(differences, share)
        elif output.shape == reference.shape:
            difference = float(_difference(output, reference).max(initial=0.0))
        else:
            continue  # the converter merged the end of the module with what follows
        compared.append(layer)
        if not difference <= tolerance * scale:
            text = f"{layer}: its output is off by up to {difference:.3g}"
            return LayerComparison(tuple(compared), text)
    return LayerComparison(tuple(compared))


def _difference(output: Array, reference: Array) -> Array:
    return np.asarray(np.abs(np.nan_to_num(output.astype(np.float64)) - np.nan_to_num(reference)))


def _largest_but(differences: Array, share: float) -> float:
    """The largest value after a share of the values, the largest ones, is left out."""
    last = int((1 - share) * (len(differences) - 1))
    return float(np.sort(differences)[last]) if len(differences) else 0.0


def _row_differences(reference: Array, output: Array) -> Array:
    """How far each row is from the nearest row of an output that may have another order."""
    rows, candidates = (_rows(array).astype(np.float32) for array in (reference, output))
    if not len(rows):
        return np.zeros(0)
    if not len(candidates) or rows.shape[1] != candidates.shape[1]:
        return np.full(len(rows), np.inf)
    directions = np.random.default_rng(0).standard_normal((rows.shape[1], _PROJECTIONS))
    short, others = (values @ directions.astype(np.float32) for values in (rows, candidates))
    distances = (short**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * short @ others.T
    nearest = distances.argmin(axis=1)
    return np.asarray(_difference(candidates[nearest], rows).max(axis=1, initial=0.0))


def _rows(array: Array) -> Array:
    """One row for each selected box, of (N, ...) or (B, N, C)."""
    length = array.shape[-1] if array.ndim == _SEQUENCE else int(np.prod(array.shape[1:]))
    return array.reshape(-1, max(1, length))


def unseen_layers(model: Model, compared: set[str]) -> tuple[str, ...]:
    """The layers with weights whose outputs reach none of the compared tensors."""
    weighted = {node.output[0] for node in weighted_nodes(model)}
    reaching, seen = set(compared), set()
    layers: list[str] = []
    for node in reversed(model.graph.node):
        if node.op_type in _SELECTING:
            continue
        if not reaching.isdisjoint(node.output):
            reaching.update(node.input)
            seen.add(layer_of(node))
        elif node.output[0] in weighted:
            layers.append(layer_of(node) or node.name)
    # A layer that runs on several levels has the same weights on each.
    return tuple(layer for layer in dict.fromkeys(reversed(layers)) if layer not in seen)


def weighted_nodes(model: Model) -> list[Any]:
    """The nodes that multiply by weights of two or more axes."""
    weights = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) > 1}
    return [
        node
        for node in model.graph.node
        if node.op_type in _WITH_WEIGHTS and not weights.isdisjoint(node.input)
    ]
