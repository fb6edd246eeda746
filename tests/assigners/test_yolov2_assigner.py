"""YOLOv2's assignment on 2 x 2 cells of 8 pixels with two anchors, 6 x 6 and 16 x 8."""

import pytest
import torch
from assigner_scenes import CPU

from detkit.assigners.yolov2 import YOLOv2Assigner
from detkit.priors import AnchorSizes
from detkit.structures import FeatureSpec, PaddedTargets, Target

PRIORS = AnchorSizes(feature_specs=[FeatureSpec(1, 8)], sizes=(((6.0, 6.0), (16.0, 8.0)),))(
    [(2, 2)], CPU
)
# In the first cell; of the second anchor's shape.
TARGETS = PaddedTargets.of(
    [Target(torch.tensor([[-4.0, 0, 12, 8]]), torch.tensor([0]), torch.tensor([False]))]
)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (16.0, -2),  # the same box: IoU 1
        (9.0, -1),  # 9 x 8 inside 16 x 8: IoU 0.5625
        (10.0, -2),  # IoU 0.625
    ],
)
def test_a_predicted_box_that_fits_is_ignored(side, expected):
    boxes = PRIORS.boxes[None] + 100
    boxes[0, 7] = torch.tensor([-4.0, 0, -4 + side, 8])
    matched = YOLOv2Assigner()(PRIORS, None, boxes, TARGETS).matched[0].tolist()
    assert matched == [-1, 0, -1, -1, -1, -1, -1, expected]


def test_nothing_is_ignored_at_a_threshold_of_one():
    boxes = TARGETS.boxes.expand(1, 8, 4)
    matched = YOLOv2Assigner(ignored_iou=1.0)(PRIORS, None, boxes, TARGETS).matched[0]
    assert matched.tolist() == [-1, 0, -1, -1, -1, -1, -1, -1]
