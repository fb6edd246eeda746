"""OpenVINO would merge layers; the certificate sees damage in the weights of each."""

import numpy as np
import pytest
import torch
from torch import nn

from detkit.contracts.exporters import METADATA, TinyNetwork
from detkit.export.graph import graph_module
from detkit.export.layer_check import check_layers
from detkit.export.openvino import OpenVinoExporter
from detkit.export.openvino_layers import unseen_layers
from detkit.structures import ExportGraph

openvino = pytest.importorskip("openvino")
IMAGE = np.random.default_rng(0).uniform(0, 255, (3, 16, 24)).astype(np.float32)


class MergedNetwork(TinyNetwork):
    """The tiny network behind a convolution, a norm and an activation, which OpenVINO merges.

    It would also merge the factor of the boxes with the convolution before it.
    """

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)

    def raw_detections(self, images):
        activated = nn.functional.silu(self.norm(self.first(images / 255)))
        return super().raw_detections(activated * 255)


def merged_graph():
    module = graph_module(MergedNetwork(), nms=False)
    return ExportGraph(module, torch.full((2, 3, 16, 24), 114.0), METADATA)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("openvino") / "model.xml"
    OpenVinoExporter().write(merged_graph(), path)
    return path


@pytest.mark.slow
def test_all_layers_are_compared(file):
    check, difference = check_layers(merged_graph(), OpenVinoExporter(), file, [IMAGE], 4)
    assert (check.passed, difference) == (True, None), check.text
    assert "the outputs of 4 layers agree" in check.text


# pain 90
@pytest.mark.slow
@pytest.mark.parametrize("layer", ["first", "norm", "stem", "box", "score"])
def test_other_weights_of_any_layer_fail(layer, file):
    graph = merged_graph()
    graph.module.detector.get_submodule(layer).weight.data.flatten()[0] += 1
    check, difference = check_layers(graph, OpenVinoExporter(), file, [IMAGE], 4)
    assert check.passed is False
    named = "norm" if layer == "first" else layer  # the conversion to ONNX merges these two
    assert difference.startswith(f"{named}: its output is off by up to ")


@pytest.mark.slow
def test_weights_that_reach_no_compared_output_are_unseen(file):
    model = openvino.Core().read_model(file)
    names = {name for op in model.get_ops() for port in op.outputs() for name in port.names}
    assert unseen_layers(model, names, {}) == ()
    assert len(unseen_layers(model, set(), {})) == 4
