"""What int8 costs each layer: the noise in the heads' outputs if it alone is quantised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from detkit.export.onnx_model import Model, layer_of
from detkit.inference.engines.onnx_runtime import OnnxRuntime
from detkit.structures.export_graph import Images, LayerNoise

Sources = tuple[Any, Any]  # the nodes that dequantise the input and the weight
_EXACT = 120.0  # decibels: as exact as float32
_PREFIX = "quantised_alone"


def layer_noise(
    float_model: Model, int8_model: Model, ends: Sequence[str], images: Sequence[Images]
) -> list[LayerNoise]:
    """Quantise each convolution alone, with the ranges that the int8 model found.

    Args:
        float_model: The float32 model from which the int8 model was made.
        int8_model: The int8 model, in QDQ format.
        ends: The outputs of the heads' last convolutions.
        images: What both run on.

    Returns:
        The layers with the ratio of signal to noise in decibels, worst first.
    """
    from onnx import ValueInfoProto

    network = _copy(float_model)
    del network.graph.output[:]
    network.graph.output.extend(ValueInfoProto(name=name) for name in ends)
    expected = _run(network, images)
    noise = [
        LayerNoise(layer, _decibels(expected, _run(trial, images)))
        for layer, trial in _trials(network, int8_model)
    ]
    return sorted(noise, key=lambda layer: layer.decibels)


def _trials(network: Model, int8_model: Model) -> Iterator[tuple[str, Model]]:
    """(layer, model in which it alone is quantised) of each layer that int8 changes."""
    producers = {name: node for node in int8_model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in int8_model.graph.initializer}
    twins = {node.name: node for node in int8_model.graph.node if node.op_type == "Conv"}
    layers: dict[str, dict[int, Sources]] = {}  # a layer may run on several levels
    for position, node in enumerate(network.graph.node):
        twin = twins.get(node.name)
        if twin is not None:
            sources = producers.get(twin.input[0]), producers.get(twin.input[1])
            if all(map(_dequantises, sources)):
                layers.setdefault(layer_of(node) or node.name, {})[position] = sources
    for layer, convolutions in layers.items():
        yield layer, _trial(network, convolutions, constants)


def _dequantises(node: Any) -> bool:
    return node is not None and node.op_type == "DequantizeLinear"


def _trial(network: Model, convolutions: dict[int, Sources], constants: dict[str, Any]) -> Model:
    """The network with some convolutions quantised.

    Args:
        network: The float32 model.
        convolutions: By position of the node, what dequantises its input and its weight in the int8
            model.
        constants: The constants of the int8 model.
    """
    trial = _copy(network)
    nodes: list[Any] = []
    for position, node in enumerate(network.graph.node):
        copy = type(node).FromString(node.SerializeToString())
        if position in convolutions:
            nodes += _quantise(copy, convolutions[position], f"{_PREFIX}_{position}")
        nodes.append(copy)
    del trial.graph.node[:]
    trial.graph.node.extend(nodes)
    needed = {name for node in nodes for name in node.input} & constants.keys()
    present = {tensor.name for tensor in trial.graph.initializer}
    trial.graph.initializer.extend(constants[name] for name in sorted(needed - present))
    return trial


def _quantise(node: Any, sources: Sources, prefix: str) -> list[Any]:
    """Connect a convolution to quantised inputs; returns the nodes that make them."""
    from onnx import helper

    scale, zero = sources[0].input[1:3]
    codes, values, weight = (f"{prefix}_{kind}" for kind in ("codes", "input", "weight"))
    dequantised = type(node).FromString(sources[1].SerializeToString())
    dequantised.name, dequantised.output[0] = weight, weight
    added = [
        helper.make_node("QuantizeLinear", [node.input[0], scale, zero], [codes]),
        helper.make_node("DequantizeLinear", [codes, scale, zero], [values]),
        dequantised,
    ]
    node.input[0], node.input[1] = values, weight
    return added


def _copy(model: Model) -> Model:
    return type(model).FromString(model.SerializeToString())


def _run(model: Model, images: Sequence[Images]) -> list[list[Any]]:
    engine = OnnxRuntime(model.SerializeToString(), 1)
    return [engine(batch) for batch in images]


def _decibels(expected: list[list[Any]], actual: list[list[Any]]) -> float:
    """The signal-to-noise ratio of the output that suffers most."""
    ratios = []
    for references, outputs in zip(
        zip(*expected, strict=True), zip(*actual, strict=True), strict=True
    ):
        pairs = list(zip(references, outputs, strict=True))
        signal = sum(float(np.square(a, dtype=np.float64).sum()) for a, _ in pairs)
        noise = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)
        ratios.append(10 * math.log10(signal / noise) if signal and noise else _EXACT)
    return min(ratios)
