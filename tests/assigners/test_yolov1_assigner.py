"""YOLOv1's assignment on 1 x 2 cells of 16 pixels with two boxes each."""

import torch

from detkit.assigners.yolov1 import YOLOv1Assigner
from detkit.priors.points import Points
from detkit.structures import FeatureSpec, PaddedTargets, Target

PRIORS = Points(feature_specs=[FeatureSpec(1, 16)], count=2)([(1, 2)], torch.device("cpu"))


def matched(boxes, *objects):
    """The object of each prior."""
    zeros = torch.zeros(len(objects), dtype=torch.int64)
    targets = PaddedTargets.of([Target(torch.tensor(objects), zeros, zeros.bool())])
    return YOLOv1Assigner()(PRIORS, None, torch.tensor([boxes]), targets).matched[0].tolist()


def test_the_box_with_the_highest_iou_is_responsible():
    boxes = [[0.0, 0, 9, 9], [0.0, 0, 10, 10], [4.0, 4, 12, 12], [4.0, 4, 12, 12]]
    assert matched(boxes, [4.0, 4.0, 12.0, 12.0]) == [-1, 0, -1, -1]  # not in the second cell


def test_without_overlap_it_is_the_nearest_box():
    boxes = [[90.0, 0, 98, 8], [60.0, 0, 68, 8], [0.0] * 4, [0.0] * 4]
    assert matched(boxes, [4.0, 4.0, 12.0, 12.0]) == [-1, 0, -1, -1]


def test_the_first_of_equal_boxes_is_responsible():
    assert matched([[0.0, 0, 9, 9]] * 4, [4.0, 4.0, 12.0, 12.0]) == [0, -1, -1, -1]


def test_a_cell_takes_its_first_object_only():
    boxes = [[0.0, 0, 9, 9], [4.0, 4, 12, 12], [16.0, 0, 30, 16], [16.0, 0, 32, 16]]
    objects = [[0.0, 0, 8, 8], [4.0, 4, 12, 12], [16.0, 0, 32, 16]]
    assert matched(boxes, *objects) == [0, -1, -1, 2]
