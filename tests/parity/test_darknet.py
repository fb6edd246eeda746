"""Weights of Darknet's files give the outputs of LibreYOLO's builder of Darknet networks."""

import pytest
import torch
from darknet_networks import CLASSES, darknet_network, detector_with_weights, raw_outputs

from detkit import assembly
from detkit.config.compose import compose
from detkit.weights.darknet_layers import LAYERS, Block

SIDE = 96
PAGES = {
    # LibreYOLO orders the channels of the passthrough as a later version of Darknet.
    "yolov2": ["model.neck.channel_order=blocks"],
    "yolov2_tiny": [],
    "yolov3": [],
    "yolov3_tiny": [],
    "yolov4": [],
    "yolov4_tiny": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_outputs_equal_those_of_libreyolo(page, tmp_path):
    reference = darknet_network(page)
    detector = detector_with_weights(page, reference, tmp_path, *PAGES[page])
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = sorted(reference(images), key=lambda level: level.shape[-1])  # coarse to fine
        outputs = raw_outputs(detector, images)
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


@pytest.mark.slow
@pytest.mark.parametrize("page", ["yolov2_tiny", "yolov3_tiny", "yolov4", "yolov4_tiny"])
def test_boxes_and_scores_equal_those_of_libreyolo(page, tmp_path):
    decoding = pytest.importorskip("libreyolo.postprocess.darknet_yolo")
    reference = darknet_network(page)
    detector = detector_with_weights(page, reference, tmp_path)
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = zip(reference.detection_specs(), reference(images), strict=True)
        levels = [(spec, decoding.decode_head(output, spec, SIDE)) for spec, output in outputs]
        features = detector.neck(detector.backbone(images))
        boxes, scores = detector.head.boxes_and_scores(features, torch.full((1, 2), 1.0 * SIDE))
    levels.sort(key=lambda level: level[0].stride)
    expected = [torch.cat([by_cell(*level, part) for level in levels]) for part in (0, 1)]
    centres, sides = expected[0].split(2, dim=1)
    corners = torch.cat([centres - sides / 2, centres + sides / 2], dim=1).clamp(0, SIDE)
    torch.testing.assert_close(boxes[0], corners, rtol=0, atol=1e-3)
    torch.testing.assert_close(scores[0], expected[1], rtol=0, atol=1e-5)


def by_cell(spec, decoded, part):
    """Boxes or scores of a level, from the order anchor, cell to the order cell, anchor."""
    cells = (SIDE // spec.stride) ** 2
    return decoded[part].unflatten(0, (-1, cells)).transpose(0, 1).flatten(0, 1)
