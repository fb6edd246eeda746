import torch
from torch.testing import assert_close
from torchvision.models.detection.anchor_utils import AnchorGenerator

from detkit.priors import Points
from detkit.structures import FeatureSpec

CPU = torch.device("cpu")


def test_a_point_is_a_box_as_large_as_its_stride_in_the_middle_of_its_cell():
    points = Points(feature_specs=[FeatureSpec(1, 8)])
    expected = torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 0.0, 16.0, 8.0]])
    assert_close(points([(1, 2)], CPU).boxes, expected)
    assert points.per_cell == [1]


def test_with_offset_zero_points_equal_torchvisions():
    generator = AnchorGenerator(((8,), (16,)), ((1.0,), (1.0,)))
    strides = [[torch.tensor(8)] * 2, [torch.tensor(16)] * 2]
    expected = torch.cat(generator.grid_anchors([(3, 4), (2, 2)], strides))
    points = Points(feature_specs=[FeatureSpec(1, 8), FeatureSpec(1, 16)], offset=0.0)
    assert torch.equal(points([(3, 4), (2, 2)], CPU).boxes, expected)
