"""The layers of an OpenVINO model, and which of its weights a comparison of outputs covers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SELECTING = {"TopK", "NonMaxSuppression", "NonMaxSuppressionIEInternal"}
_WITH_WEIGHTS = {
    *("Convolution", "ConvolutionBackpropData", "GroupConvolution"),
    *("GroupConvolutionBackpropData", "MatMul"),
}
# Between the weights in a file and the operation that uses them: half precision, int8.
_PREPARING = {"Convert", "Multiply", "Subtract", "Reshape", "FakeQuantize", "Transpose"}
_WITHOUT_BIAS = "/WithoutBiases"  # OpenVINO's name for a convolution before its bias is added


def unseen_layers(model: Any, compared: set[str], layers: Mapping[str, str]) -> tuple[str, ...]:
    """The layers whose weights reach no compared tensor before boxes are selected.

    Args:
        model: The model as it was read.
        compared: Names of the compared tensors.
        layers: The layer of each operation with weights, by the operation's name.
    """
    reaching: set[str] = set()
    seen: set[str] = set()
    unseen: list[str] = []
    for operation in reversed(model.get_ordered_ops()):
        name = operation.get_friendly_name()
        if operation.get_type_name() in _SELECTING:
            continue
        is_compared = any(not compared.isdisjoint(port.names) for port in operation.outputs())
        is_reaching = is_compared or any(reader in reaching for reader in _readers(operation))
        if is_reaching:
            reaching.add(name)
        if _has_weights(operation):
            layer = layers.get(name.removesuffix(_WITHOUT_BIAS), name)
            if is_reaching:
                seen.add(layer)
            else:
                unseen.append(layer)
    # A layer that runs on several levels has the same weights on each.
    return tuple(layer for layer in dict.fromkeys(reversed(unseen)) if layer not in seen)


def _readers(operation: Any) -> Iterator[str]:
    for port in operation.outputs():
        for target in port.get_target_inputs():
            yield target.get_node().get_friendly_name()


def _has_weights(operation: Any) -> bool:
    """Whether an operation multiplies by constants of two or more axes."""
    if operation.get_type_name() not in _WITH_WEIGHTS:
        return False
    return any(_is_constant_table(port) for port in operation.input_values())


def _is_constant_table(port: Any) -> bool:
    node = port.get_node()
    while node.get_type_name() in _PREPARING:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant" and len(node.get_output_shape(0)) > 1)
