"""Layers are compared even where the detections agree."""

import numpy as np
import onnx
import pytest
from export_graphs import graph

from detkit.export.layer_check import check_layers
from detkit.export.layer_comparison import behind_selection, compare_layer_outputs
from detkit.export.onnx import OnnxExporter
from detkit.export.torch_export import TorchExporter

IMAGE = np.random.default_rng(0).uniform(0, 255, (3, 16, 24)).astype(np.float32)


def damaged(file, layer, folder):
    model = onnx.load(file)
    (tensor,) = [t for t in model.graph.initializer if t.name.endswith(f"{layer}.weight")]
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[0] += 1
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_an_equal_model_passes_with_the_number_of_layers(onnx_file):
    check, difference = check_layers(graph(), OnnxExporter(), onnx_file, [IMAGE], 4)
    assert (check.passed, difference) == (True, None)
    assert check.text == "the outputs of 3 layers agree to 0.001 of the layer's largest value"


# pain 90
@pytest.mark.parametrize("layer", ["stem", "box", "score"])
def test_one_damaged_weight_of_any_layer_fails_and_names_the_layer(layer, onnx_file, tmp_path):
    file = damaged(onnx_file, layer, tmp_path)
    check, difference = check_layers(graph(), OnnxExporter(), file, [IMAGE], 4)
    assert check.passed is False
    assert difference.startswith(f"{layer}: its output is off by up to ")


# pain 90
def test_a_damaged_weight_of_a_torch_program_fails(tmp_path):
    TorchExporter().write(graph(), tmp_path / "model.pt2")
    exported = graph()
    exported.module.detector.box.weight.data[0] += 1
    check, difference = check_layers(exported, TorchExporter(), tmp_path / "model.pt2", [IMAGE], 4)
    assert check.passed is False
    assert difference == "box: it has other weights"


def compared(reference, output):
    outputs = {"roi_head.box": np.float32(output)}
    expected = {"roi_head.box": np.float32(reference)}
    return compare_layer_outputs(expected, outputs, expected, graph(), 1e-3).difference


def test_proposals_may_change_places_but_not_values():
    rows = np.random.default_rng(0).normal(size=(100, 8))
    assert compared(rows, rows[::-1]) is None
    assert compared(rows[:30], rows) is None  # the graph pads its proposals
    assert compared(rows, np.concatenate([rows[1:], rows[:1] + 1])) is None  # rounding removed one
    assert compared(rows, rows * [1, 1, 1, 1, 1, 1, 1, 1.1]).startswith("roi_head.box: its output")


def test_tensors_behind_a_selection_have_no_fixed_order():
    nodes = [
        onnx.helper.make_node("Conv", ["images"], ["features"]),
        onnx.helper.make_node("TopK", ["features", "k"], ["values", "indices"]),
        onnx.helper.make_node("Gather", ["features", "indices"], ["rows"]),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "graph", [], []))
    assert behind_selection(model) == {"values", "indices", "rows"}
