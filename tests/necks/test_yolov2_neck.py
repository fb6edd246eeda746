"""YOLOv2's neck: the order of the rearranged values, sizes, and refusals."""

import pytest
import torch

from detkit.errors import UserError
from detkit.necks.yolov2 import YOLOv2Neck, blocks_first, rearrange_as_darknet
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(6, 16), FeatureSpec(8, 32)]


def darknets_order(values, channels, height, width, stride):
    """The loops of Darknet's reorg layer on flat memory, with the size of the input."""
    groups, result = channels // stride**2, [0.0] * len(values)
    for channel in range(channels):
        offset, group = divmod(channel, groups)
        for row in range(height):
            for column in range(width):
                y, x = row * stride + offset // stride, column * stride + offset % stride
                source = x + width * stride * (y + height * stride * group)
                result[column + width * (row + height * channel)] = values[source]
    return result


def test_the_order_is_that_of_darknets_loops():
    features = torch.arange(8 * 4 * 6.0).view(1, 8, 4, 6)
    rearranged = rearrange_as_darknet(features, 2)
    assert rearranged.shape == (1, 32, 2, 3)
    assert rearranged.flatten().tolist() == darknets_order(features.flatten().tolist(), 8, 4, 6, 2)


def test_blocks_come_before_channels():
    features = torch.tensor([[[[0.0, 1], [2, 3]], [[4, 5], [6, 7]]]])
    assert blocks_first(features, 2).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])  # 5 x 7: of images that 32 does not divide
def test_one_level_of_the_coarsest_stride(size):
    neck = YOLOv2Neck(feature_specs=SPECS, passthrough_channels=4, out_channels=10)
    coarse = torch.rand(2, 8, (size[0] + 1) // 2, (size[1] + 1) // 2)
    (level,) = neck([torch.rand(2, 6, *size), coarse])
    assert neck.feature_specs == [FeatureSpec(10, 32)]
    assert level.shape == (2, 10, *coarse.shape[-2:])


def test_one_level_has_no_passthrough():
    with pytest.raises(UserError, match="2 or more feature levels for its passthrough, got 1"):
        YOLOv2Neck(feature_specs=SPECS[1:])
    assert YOLOv2Neck(feature_specs=SPECS[1:], passthrough_channels=0).passthrough is None


def test_darknets_order_needs_a_multiple_of_four():
    with pytest.raises(UserError, match="needs a multiple of 4: use 8, or channel_order=blocks"):
        YOLOv2Neck(feature_specs=SPECS, passthrough_channels=6)
