"""Weights of Darknet's files give the outputs of LibreYOLO's builder of Darknet networks."""

import pytest
import torch
from darknet_networks import CLASSES, darknet_network, detector_with_weights, raw_outputs

from detkit import assembly
from detkit.config.compose import compose
from detkit.weights.darknet_layers import LAYERS, Block

PAGES = {
    # LibreYOLO orders the channels of the passthrough as a later version of Darknet.
    "yolov2": ["model.neck.channel_order=blocks"],
    "yolov2_tiny": [],
    "yolov3": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_outputs_equal_those_of_libreyolo(page, tmp_path):
    reference = darknet_network(page)
    detector = detector_with_weights(page, reference, tmp_path, *PAGES[page])
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, outputs = reference(images), raw_outputs(detector, images)
    assert len(outputs) == len(expected)
    for output, reference_output in zip(outputs, expected, strict=True):
        scale = float(reference_output.abs().max())
        torch.testing.assert_close(output, reference_output, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("page", LAYERS)
def test_darknets_layers_are_those_of_the_page(page):
    model = compose("train", [f"model={page}"])["model"]
    detector = assembly.describe_on_meta(model, CLASSES)
    blocks = [layer for layer in LAYERS[page] if isinstance(layer, Block)]
    shapes = {name: tuple(v.shape) for name, v in detector.state_dict().items()}
    convs = {n: s for n, s in shapes.items() if n.endswith(".conv.weight")}
    assert {f"{block.name}.conv.weight": block.shape for block in blocks} == convs
