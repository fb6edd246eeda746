import torch

from detkit.ops.initial_boxes import initial_boxes
from detkit.structures import Priors


def test_points_are_enlarged_to_four_strides_and_anchors_stay():
    boxes = torch.tensor([[0.0, 8.0, 8.0, 16.0], [0.0, 0.0, 20.0, 12.0]])
    found = initial_boxes(Priors(boxes, torch.tensor([8.0, 8.0]), torch.zeros(2).long()))
    assert found.tolist() == [[-12, -4, 20, 28], [0, 0, 20, 12]]
