"""What ONNX files hold besides the network, and how they are converted to fp16 and int8."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from export_graphs import graph

from detkit.errors import UserError
from detkit.export import OnnxRuntime
from detkit.export.half_precision import to_half
from detkit.export.layer_comparison import compare_onnx_layers
from detkit.export.onnx_model import model_info, nodes_by_layer, ultralytics_keys
from detkit.export.quantization import float_nodes, last_convolutions, quantise
from detkit.structures import ExportedModel

IMAGES = np.random.default_rng(0).uniform(0, 255, (40, 1, 3, 16, 24)).astype(np.float32)


@pytest.fixture
def model(onnx_file):
    return onnx.load(onnx_file)


@pytest.mark.slow
def test_axes_have_names(model):
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "images": ["batch", 3, "height", "width"],
        "boxes": ["batch", "rows", 4],
        "scores": ["batch", "rows", 2],
    }


def test_metadata_is_complete(model):
    entries = {entry.key: entry.value for entry in model.metadata_props}
    metadata = graph().metadata
    assert ExportedModel.from_json(entries["detkit"], "model.onnx") == metadata
    assert entries["names"] == "{0: 'cat', 1: 'dog'}"
    assert entries["imgsz"] == "[16, 24]"
    assert (entries["task"], entries["stride"], entries["batch"]) == ("detect", "2", "1")
    assert entries["model_info labels"] == "cat dog"
    assert json.loads(entries["detkit"])["format"] == 1


def test_class_names_with_spaces_are_one_label_each():
    metadata = replace(graph().metadata, class_names=("fire engine", "dog"))
    assert model_info(metadata)["labels"] == "fire_engine dog"
    assert ultralytics_keys(metadata)["names"] == "{0: 'fire engine', 1: 'dog'}"


def test_no_path_of_this_machine_is_in_the_file(onnx_file):
    content = onnx_file.read_bytes()
    assert b".py" not in content
    assert b"site-packages" not in content


def test_nodes_know_their_layer(model):
    layers = {layer: node.op_type for layer, node in nodes_by_layer(model).items()}
    assert layers == {"stem": "Conv", "box": "Conv", "score": "Conv"}


def test_the_last_convolutions_stay_in_float(model):
    assert len(last_convolutions(model)) == 2
    (stem,) = float_nodes(model, ["stem"])[:1]
    assert len(float_nodes(model, ["stem"])) == 3
    assert stem == "node_conv2d"
    with pytest.raises(UserError, match=r"'stm'\. Did you mean 'stem'.*: box, score, stem\."):
        float_nodes(model, ["stm"])


def test_half_precision_keeps_the_outputs_in_float32(model):
    expected = OnnxRuntime(model.SerializeToString(), 1)(IMAGES[0])
    half = to_half(model)
    onnx.checker.check_model(half)
    assert {t.data_type for t in half.graph.initializer if t.name.endswith("_half")} == {10}
    outputs = OnnxRuntime(half.SerializeToString(), 1)(IMAGES[0])
    for output, reference in zip(outputs, expected, strict=True):
        assert output.dtype == np.float32
        assert 0 < np.abs(output - reference).max() < 0.02


def test_int8_quantises_all_but_the_last_convolutions(onnx_file, tmp_path):
    settings = replace(graph(), calibration=list(IMAGES), measures_sensitivity=True)
    sensitivity = quantise(settings, onnx_file, tmp_path / "int8.onnx")
    model = onnx.load(tmp_path / "int8.onnx")
    assert sum(t.data_type == onnx.TensorProto.INT8 for t in model.graph.initializer) >= 1
    assert [noise.layer for noise in sensitivity] == ["stem"]
    assert sensitivity[0].decibels > 15
    expected = OnnxRuntime(onnx_file, 1)(IMAGES[0])
    outputs = OnnxRuntime(tmp_path / "int8.onnx", 1)(IMAGES[0])
    assert 0 < np.abs(outputs[1] - expected[1]).max() < 0.02


def difference(model):
    comparison = compare_onnx_layers(
        graph(), model, IMAGES[0], 1e-3, lambda content: OnnxRuntime(content, 1)
    )
    assert comparison.unseen == ()
    return comparison.difference


def test_an_equal_model_has_no_first_difference(model):
    assert difference(model) is None


@pytest.mark.parametrize("layer", ["stem", "score"])
def test_the_first_layer_with_other_weights_is_named(layer, model):
    (tensor,) = [t for t in model.graph.initializer if t.name.endswith(f"{layer}.weight")]
    values = onnx.numpy_helper.to_array(tensor) * 1.5
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    assert difference(model).startswith(f"{layer}: its output is off by up to ")


def test_boxes_that_weight_pooled_features_stay_in_float32():
    make = onnx.helper.make_node
    nodes = [
        make("TopK", ["boxes", "k"], ["best", "index"], axis=0),
        make("RoiAlign", ["features", "best", "image"], ["pooled"]),
        make("Exp", ["best"], ["share"]),
        make("Mul", ["pooled", "share"], ["weighted"]),
        make("Conv", ["weighted", "weight"], ["maps"]),
    ]
    infos = [onnx.helper.make_tensor_value_info(n.output[0], 1, None) for n in nodes[:-1]]
    inputs = [onnx.helper.make_tensor_value_info("features", 1, None)]
    outputs = [onnx.helper.make_tensor_value_info("end", 1, None)]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, value_info=infos)
    model = to_half(onnx.helper.make_model(graph))
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    assert types == {"best": 1, "pooled": 1, "share": 1, "weighted": 10}
