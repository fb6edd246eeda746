"""YOLOv1's layers, and equation 3 of the paper on two cells by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from detkit import assembly
from detkit.config.pages import filled
from detkit.errors import UserError
from detkit.heads.yolov1_layers import YOLOv1Layers
from detkit.layers.local import LocalConv
from detkit.structures import DensePredictions, FeatureSpec, PaddedTargets, Target

SPECS = [FeatureSpec(4, 64)]
CODES = torch.tensor(  # x, y, root of width, root of height; two boxes in each of two cells
    [[0.5, 0.5, 0.6, 0.9], [0.5, 0.5, 0.5, 0.5], [0.2, 0.2, 0.1, 0.1], [0.9, 0.9, 0.2, 0.2]]
)
CLASSES = torch.tensor([[0.8, 0.3], [0.8, 0.3], [0.6, 0.1], [0.6, 0.1]])
CONFIDENCES = torch.tensor([0.7, 0.4, 0.2, -0.1])


def layers(**values):
    torch.manual_seed(0)
    wired = {"num_classes": 3, "per_cell": [2], "code_size": 4, "class_activation": "identity"}
    own = {"image_size": (128, 192), "local_channels": 5}
    return YOLOv1Layers(feature_specs=SPECS, **{**wired, **own, **values}).eval()


class Fixed(nn.Module):
    """Layers that predict the values above."""

    def forward(self, features):
        del features
        return DensePredictions(CLASSES[None], CODES[None], CONFIDENCES[None])


@pytest.fixture
def head():
    """The head of the page for images of 64 x 128 pixels, which have two cells."""
    sizes = {"image_size": [64, 128]}
    node = filled("head", "yolov1")
    node["box_coder"] |= sizes
    node["layers"] |= {**sizes, "local_channels": 1}
    wiring = {"feature_specs": SPECS, "num_classes": 2, "class_names": ["a", "b"]}
    made = assembly.build("head", node, wiring, ("model", "head"))
    made.layers = Fixed()
    return made


def targets(*boxes):
    labels = torch.ones(len(boxes), dtype=torch.int64)
    target = Target(torch.tensor(boxes).view(-1, 4), labels, torch.zeros(len(boxes)).bool())
    return PaddedTargets.of([target])


def test_the_loss_is_equation_3_by_hand(head):
    # An object of 32 x 32 in the middle of the first cell. Its boxes are 46.08 x 51.84 and 32 x 16
    # pixels, with IoU 32 * 32 / (46.08 * 51.84) = 0.42867 and 16 / 32 = 0.5: the second is
    # responsible. The roots of the object's sides are 0.5 of the width and 0.70711 of the height.
    losses = head.loss([torch.zeros(1, 4, 1, 2)], targets([16.0, 16.0, 48.0, 48.0]))
    divisor = 10  # times one image
    box = 5 * (0.5 - 0.5**0.5) ** 2
    confidence = (0.4 - 0.5) ** 2 + 0.5 * (0.7**2 + 0.2**2 + 0.1**2)
    assert losses["loss/box"].item() == pytest.approx(box / divisor, rel=1e-5)
    assert losses["loss/quality"].item() == pytest.approx(confidence / divisor, rel=1e-5)
    classification = 0.8**2 + (1 - 0.3) ** 2
    assert losses["loss/classification"].item() == pytest.approx(classification / divisor)


def test_without_objects_only_confidences_are_learned(head):
    losses = head.loss([torch.zeros(1, 4, 1, 2)], targets())
    expected = 0.5 * (0.7**2 + 0.4**2 + 0.2**2 + 0.1**2) / 10
    assert sum(losses.values()).item() == pytest.approx(expected)


def test_scores_are_products_of_outputs_inside_0_and_1(head):
    _, scores = head.boxes_and_scores([torch.zeros(1, 4, 1, 2)], torch.tensor([[64.0, 128.0]]))
    assert_close(scores[0], CLASSES * CONFIDENCES.clamp(min=0)[:, None])


def test_outputs_are_in_the_order_row_column_box_and_boxes_share_classes():
    made = layers()
    features = torch.randn(2, 4, 2, 3)
    logits, codes, quality = made([features])
    grid = made.grids[0]
    shared = grid.shared(features)
    assert_close(logits.view(2, 6, 2, 3)[:, :, 1], grid.class_layer(shared).view(2, 6, 3))
    assert torch.equal(logits[:, ::2], logits[:, 1::2])
    assert_close(codes.flatten(1), grid.box_layer(shared))
    assert_close(quality, grid.quality_layer(shared))


def test_smaller_maps_are_padded_and_lose_the_predictions_there():
    made, features = layers(hidden=6, local_channels=0), torch.randn(1, 4, 1, 2)
    part, whole = made([features]), made([F.pad(features, (0, 1, 0, 1))])
    for ours, padded in zip(part, whole, strict=True):
        assert torch.equal(ours, padded[:, :4])  # two cells of the first row


def test_larger_maps_are_refused():
    message = r"up to 128 x 192 pixels, .* of 2 x 3 cells, but got one of 3 x 3: set image_size"
    with pytest.raises(UserError, match=message):
        layers()([torch.zeros(1, 4, 3, 3)])


def test_a_softmax_gets_a_background():
    assert layers(class_activation="softmax")([torch.zeros(1, 4, 2, 3)]).class_logits.shape[2] == 4


def test_a_local_convolution_is_a_convolution_of_each_cell():
    torch.manual_seed(0)
    local, features = LocalConv(3, 2, (4, 5)), torch.randn(2, 3, 4, 5)
    outputs = local(features)
    for cell in (0, 7, 19):
        kernel = local.weight[cell].view(2, 3, 3, 3)
        expected = F.conv2d(features, kernel, local.bias[:, cell], padding=1).flatten(2)
        assert_close(outputs.flatten(2)[:, :, cell], expected[:, :, cell])


def test_layers_that_would_fill_the_memory_are_refused():
    with pytest.raises(UserError, match=r"7\.4 billion .* 112 x 112 cells: type model/neck=yolov1"):
        YOLOv1Layers(
            feature_specs=[FeatureSpec(256, 4)],
            num_classes=3,
            per_cell=[2],
            code_size=4,
            class_activation="sigmoid",
        )
