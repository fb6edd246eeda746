"""YOLOv1 has the outputs and boxes of LibreYOLO's Darknet network with the same weights."""

import pytest
import torch
from darknet_networks import with_random_statistics

from detkit import assembly
from detkit.config.compose import compose

SIDE, CLASSES = 192, 20  # 3 x 3 cells instead of 7 x 7


def reference_network():
    """The network of yolov1.cfg for small images."""
    cfg = pytest.importorskip("libreyolo.models.darknet.cfg", reason="libreyolo is not installed")
    net = pytest.importorskip("libreyolo.models.darknet.net")
    options, layers = cfg.load_bundled_cfg("yolov1")
    cells = (SIDE // 64) ** 2
    layers[-2].options["output"] = str(cells * (CLASSES + 2 * 5))
    layers[-1].options["side"] = str(SIDE // 64)
    torch.manual_seed(0)
    return with_random_statistics(
        net.DarknetNet({**options, "width": SIDE, "height": SIDE}, layers)
    )


def detector_with_weights_of(network):
    names = [f"class {i}" for i in range(CLASSES)]
    classes = assembly.Classes(names, list(range(CLASSES)))
    model = compose("train", ["model=yolov1", f"image_size={SIDE}"])["model"]
    detector = assembly.build_detector(model, classes, fetch_weights=False)
    layers = [layer for layer in network.layers if list(layer.parameters())]
    *convs, local, connected = layers
    blocks = [m for m in detector.modules() if type(m).__name__ == "ConvBlock"]
    with torch.no_grad():
        for block, conv in zip(blocks, convs, strict=True):
            block.conv.load_state_dict(conv.conv.state_dict())
            block.norm.load_state_dict(conv.bn.state_dict(), strict=False)
            block.norm.weight *= (block.norm.running_var + block.norm.eps).sqrt()
            block.norm.weight /= block.norm.running_var.sqrt() + conv.bn.eps
        grid = detector.head.layers.grids[0]
        grid.shared[0].load_state_dict(dict(local.named_parameters()))
        outputs = (grid.class_layer, grid.quality_layer, grid.box_layer)
        sizes = [layer.out_features for layer in outputs]
        for name, values in connected.linear.named_parameters():
            for layer, rows in zip(outputs, values.split(sizes), strict=True):
                getattr(layer, name).copy_(rows)
    return detector.eval()


@pytest.mark.slow
def test_outputs_boxes_and_scores_equal_those_of_libreyolo():
    decoding = pytest.importorskip("libreyolo.postprocess.darknet_yolo")
    network = reference_network()
    detector = detector_with_weights_of(network)
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (expected,) = network(images)
        features = detector.neck(detector.backbone(images))
        classes, codes, confidences = detector.head.layers(features)
        boxes, scores = detector.head.boxes_and_scores(features, torch.full((1, 2), 1.0 * SIDE))
    outputs = torch.cat([classes[:, ::2].flatten(1), confidences, codes.flatten(1)], dim=1)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    outside, _ = decoding.decode_detection(expected, network.detection_specs()[0], SIDE)
    centres, sides = outside.split(2, dim=1)
    corners = torch.cat([centres - sides / 2, centres + sides / 2], dim=1).clamp(0, SIDE)
    torch.testing.assert_close(boxes[0], corners, rtol=0, atol=1e-3)
    products = (confidences.clamp(0, 1)[..., None] * classes.clamp(0, 1))[0]
    torch.testing.assert_close(scores[0], products, rtol=0, atol=1e-6)
