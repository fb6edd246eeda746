"""ONNX models whose network computes in float16.

onnxruntime's converter also casts boxes and scores to float16 between the operators behind the
network, which rounds coordinates above 1,024 to whole pixels. So the network is converted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from detkit.export.onnx_model import Model
from detkit.export.quantization import last_convolutions

_FLOAT, _HALF = 1, 10  # ONNX's numbers of the types
_BOXES = "RoiAlign"  # takes boxes beside features
_SELECTING = ("TopK", "NonMaxSuppression")
_SCALES = {"Resize": (1, 2)}  # inputs that are float32 by definition
_SMALLEST_LAYER = 16  # inputs and outputs of a linear layer; smaller matrices decode boxes


def to_half(model: Model) -> Model:
    """Convert a model: input, outputs and everything behind the network stay in float32.

    The network is what convolutions and linear layers need. The model is changed in place.
    """
    floats = {v.name for v in model.graph.value_info if v.type.tensor_type.elem_type == _FLOAT}
    outputs = {output.name for output in model.graph.output}
    network = (_network(model) & floats) - outputs
    weights = {t.name: t for t in model.graph.initializer if t.data_type == _FLOAT}
    values = _Values(weights, floats | weights.keys() | {model.graph.input[0].name})
    nodes: list[Any] = []
    for node in model.graph.node:
        is_inside = node.output[0] in network
        for position, name in enumerate(node.input):
            takes_half = is_inside and position not in _SCALES.get(node.op_type, ())
            if takes_half and name not in network:
                node.input[position] = values.half(name)
            elif name in network and not takes_half:
                node.input[position] = values.single(name)
        if is_inside:
            _halve_attributes(node)
        nodes += [*values.take_casts(), node]
    model.graph.initializer.extend(values.half_weights)
    _replace(model, nodes, network)
    return model


class _Values:
    """The values of a model in the other type, each made once.

    Args:
        weights: The float32 constants by name.
        floats: The names of all float32 values.
    """

    def __init__(self, weights: dict[str, Any], floats: set[str]) -> None:
        self._weights, self._floats = weights, floats
        self._casts: list[Any] = []
        self._names: dict[str, str] = {}
        self.half_weights: list[Any] = []

    def half(self, name: str) -> str:
        """The name of a float32 value in float16; other values stay as they are."""
        if name not in self._floats:
            return name
        if name in self._weights and name not in self._names:
            self._names[name] = f"{name}_half"
            self.half_weights.append(_half_tensor(self._weights[name], self._names[name]))
        return self._cast(name, "half", _HALF)

    def single(self, name: str) -> str:
        """The name of a float16 value in float32."""
        return self._cast(name, "float", _FLOAT)

    def _cast(self, name: str, suffix: str, kind: int) -> str:
        from onnx import helper

        if name not in self._names:
            self._names[name] = f"{name}_{suffix}"
            self._casts.append(helper.make_node("Cast", [name], [self._names[name]], to=kind))
        return self._names[name]

    def take_casts(self) -> list[Any]:
        """The casts that the values since the last call need."""
        casts, self._casts = self._casts, []
        return casts


def _network(model: Model) -> set[str]:
    """The outputs of all nodes that convolutions and linear layers need, boxes apart."""
    producers = {name: node for node in model.graph.node for name in node.output}
    waiting = [node.output[0] for node in (*last_convolutions(model), *_linear_layers(model))]
    outputs, boxes = set[str](), _selected_boxes(model)
    while waiting:
        name = waiting.pop()
        node = producers.get(name)
        if node is None or name in outputs or name in boxes:
            continue
        if node.op_type == _BOXES:
            waiting.append(node.input[0])
            continue
        outputs.update(node.output)
        waiting += node.input
    return outputs


def _selected_boxes(model: Model) -> set[str]:
    """The values that depend on selected boxes, but on no features pooled in them.

    Convolutions of a roi head need such values where they weight pooled features by the part of a
    region that is inside of the image. In float16, coordinates of proposals and detections would be
    rounded.
    """
    # For each value: how many selections are before it, and whether features are pooled behind the
    # last one.
    origins: dict[str, tuple[int, bool]] = {}
    for node in model.graph.node:  # nodes are sorted
        known = [origins[name] for name in node.input if name in origins]
        count, has_features = max(known, default=(0, True))
        if node.op_type in _SELECTING:
            count, has_features = count + 1, False
        origins |= dict.fromkeys(node.output, (count, has_features or node.op_type == _BOXES))
    return {name for name, (_, has_features) in origins.items() if not has_features}


def _linear_layers(model: Model) -> Iterator[Any]:
    """Matrix products with a weight that is a layer's."""
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        shape = weights.get(node.input[1], ()) if node.op_type in ("Gemm", "MatMul") else ()
        if len(shape) > 1 and min(shape) >= _SMALLEST_LAYER:
            yield node


def _half_tensor(tensor: Any, name: str) -> Any:
    from onnx import numpy_helper

    limit = float(np.finfo(np.float16).max)
    values = numpy_helper.to_array(tensor).clip(-limit, limit).astype(np.float16)
    return numpy_helper.from_array(values, name)


def _halve_attributes(node: Any) -> None:
    """The constants of a node, and the type that it makes, in float16."""
    for attribute in node.attribute:
        if attribute.HasField("t") and attribute.t.data_type == _FLOAT:
            attribute.t.CopyFrom(_half_tensor(attribute.t, attribute.t.name))
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == _FLOAT:
            attribute.i = _HALF


def _replace(model: Model, nodes: list[Any], network: set[str]) -> None:
    """Set the nodes of a model, drop unused weights, and correct the types of values."""
    nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    used |= {output.name for output in model.graph.output}
    for tensor in [t for t in model.graph.initializer if t.name not in used]:
        model.graph.initializer.remove(tensor)
    for value in model.graph.value_info:
        if value.name in network:
            value.type.tensor_type.elem_type = _HALF
