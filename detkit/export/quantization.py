"""ONNX models in int8, by onnxruntime's own tools."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from detkit.errors import UserError, did_you_mean
from detkit.export.onnx_model import Model, layer_of, restore_notes
from detkit.export.sensitivity import layer_noise
from detkit.structures.export_graph import INPUT, ExportGraph, Images, LayerNoise

# They select boxes: what lies behind them is another network, such as a roi head.
_SELECTING = {"TopK", "NonMaxSuppression", "RoiAlign"}
_QUANTISED = "Conv"
_COMPARED = 8  # images that the sensitivity of layers is measured on


class _Reader:
    """Calibration images as onnxruntime reads them."""

    def __init__(self, images: Iterable[Images]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Images] | None:
        """The inputs of the next run; None at the end."""
        images = next(self._images, None)
        return None if images is None else {INPUT: images}

    def set_range(self, start_index: int, end_index: int) -> None:
        """Part of onnxruntime's interface; all images are used."""


def quantise(graph: ExportGraph, float_file: Path, file: Path) -> list[LayerNoise]:
    """Write an int8 model: convolutions in QDQ format, per channel.

    The last convolutions of each head and everything behind them stay in float, because boxes and
    scores need their precision.

    Args:
        graph: Holds the calibration images and the layers that stay in float.
        float_file: The float32 model.
        file: The int8 model to write.

    Returns:
        The layers by what int8 costs them if the graph asks for it, worst first.

    Raises:
        UserError: `keep_float` names a layer that does not exist.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(float_file), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        restore_notes(model, onnx.load(float_file))
        _name_nodes(model)
        onnx.save(model, prepared)
        quantization.quantize_static(
            str(prepared),
            str(file),
            _Reader(graph.calibration),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=[_QUANTISED],
            nodes_to_exclude=float_nodes(model, graph.keep_float),
        )
        quantised = onnx.load(file)
        restore_notes(quantised, model)
        onnx.save(quantised, file)
        if not graph.measures_sensitivity:
            return []
        ends = [node.output[0] for node in last_convolutions(model)]
        return layer_noise(model, quantised, ends, graph.calibration[:_COMPARED])


def float_nodes(model: Model, layers: Sequence[str]) -> list[str]:
    """The names of the convolutions that stay in float.

    Args:
        model: The float32 model.
        layers: Modules by path, or nodes by name, that the user keeps in float.

    Raises:
        UserError: The model has no such layer.
    """
    convolutions = [node for node in model.graph.node if node.op_type == _QUANTISED]
    excluded = {node.name for node in last_convolutions(model)}
    for layer in layers:
        inside = [
            node.name
            for node in convolutions
            if node.name == layer or f"{layer_of(node)}.".startswith(f"{layer}.")
        ]
        if not inside:
            names = sorted({layer_of(node) for node in convolutions})
            raise UserError(
                f"keep_float: no convolution belongs to '{layer}'.{did_you_mean(layer, names)} "
                f"Layers with convolutions: {', '.join(names)}."
            )
        excluded.update(inside)
    return sorted(excluded)


def last_convolutions(model: Model) -> list[Any]:
    """The convolutions that no other convolution follows before boxes are selected."""
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    leads_to_convolution: dict[str, bool] = {}
    for node in reversed(model.graph.node):  # nodes are sorted: readers come later
        leads_to_convolution[node.output[0]] = any(
            reader.op_type == _QUANTISED
            or (reader.op_type not in _SELECTING and leads_to_convolution[reader.output[0]])
            for name in node.output
            for reader in readers.get(name, ())
        )
    convolutions = (node for node in model.graph.node if node.op_type == _QUANTISED)
    return [node for node in convolutions if not leads_to_convolution[node.output[0]]]


def _name_nodes(model: Model) -> None:
    """Give each node a name of its own, by which it can stay in float."""
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's advice, which is about other models than ours."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
