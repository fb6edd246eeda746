import pytest
import torch
from torch.testing import assert_close

from detkit.errors import UserError
from detkit.priors import AnchorSizes
from detkit.structures import FeatureSpec

CPU = torch.device("cpu")


def specs(*strides):
    return [FeatureSpec(1, stride) for stride in strides]


def test_order_is_level_row_column_size_around_the_middle_of_each_cell():
    sizes = [[(2, 4), (6, 6)], [(10, 8)]]
    found = AnchorSizes(feature_specs=specs(8, 16), sizes=sizes)([(1, 2), (1, 1)], CPU)
    expected = [[3, 2, 5, 6], [1, 1, 7, 7], [11, 2, 13, 6], [9, 1, 15, 7], [3, 4, 13, 12]]
    assert found.boxes.tolist() == expected
    assert found.stride.tolist() == [8, 8, 8, 8, 16]
    assert found.level.tolist() == [0, 0, 0, 0, 1]


def test_without_sizes_they_are_those_of_yolov3_for_coco():
    priors = AnchorSizes(feature_specs=specs(8, 16, 32))
    assert priors.per_cell == [3, 3, 3]
    boxes = priors([(1, 1)] * 3, CPU).boxes
    expected = [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119]]
    expected += [[116, 90], [156, 198], [373, 326]]
    assert (boxes[:, 2:] - boxes[:, :2]).tolist() == expected


def test_levels_of_other_strides_have_the_nearest_ones_in_proportion():
    boxes = AnchorSizes(feature_specs=specs(4, 64))([(1, 1)] * 2, CPU).boxes
    expected = torch.tensor([[5, 6.5], [8, 15], [16.5, 11.5], [232, 180], [312, 396], [746, 652]])
    assert_close(boxes[:, 2:] - boxes[:, :2], expected)


def test_another_number_of_levels_is_refused():
    message = (
        r"`sizes` has 1 levels, but the neck gives 2 \(strides 8, 16\): list the anchors of each"
    )
    with pytest.raises(UserError, match=message):
        AnchorSizes(feature_specs=specs(8, 16), sizes=[[(2, 4)]])
