import pytest
import torch
from torch.testing import assert_close
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from detkit.priors import Anchors
from detkit.structures import FeatureSpec

CPU = torch.device("cpu")
SIZES = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]


def torchvision_boxes(sizes, ratios):
    generator = AnchorGenerator(sizes, (ratios,) * len(sizes))
    strides = [[torch.tensor(stride)] * 2 for stride in (8, 16, 32, 64, 128)]
    generator.set_cell_anchors(torch.float32, CPU)
    return torch.cat(generator.grid_anchors(SIZES, strides))


def test_retinanet_anchors_equal_torchvisions(feature_specs):
    sizes = [(x, int(x * 2 ** (1 / 3)), int(x * 2 ** (2 / 3))) for x in (32, 64, 128, 256, 512)]
    expected = torchvision_boxes(sizes, (0.5, 1.0, 2.0))
    anchors = Anchors(feature_specs=feature_specs, offset=0.0, rounded=True)
    assert torch.equal(anchors(SIZES, CPU).boxes, expected)


def test_proposal_anchors_equal_torchvisions(feature_specs):
    expected = torchvision_boxes([(x,) for x in (64, 128, 256, 512, 1024)], (0.5, 1.0, 2.0))
    anchors = Anchors(feature_specs=feature_specs, scale=8, octaves=1, offset=0, rounded=True)
    assert torch.equal(anchors(SIZES, CPU).boxes, expected)


def test_torchvision_takes_the_same_strides_from_an_image_that_they_divide(feature_specs):
    images = ImageList(torch.zeros(1, 3, 256, 384), [(256, 384)])
    maps = [torch.zeros(1, 1, 256 // s.stride, 384 // s.stride) for s in feature_specs]
    expected = AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((1.0,),) * 5)(images, maps)
    anchors = Anchors(feature_specs=feature_specs, octaves=1, ratios=(1.0,), offset=0.0)
    found = anchors([tuple(level.shape[-2:]) for level in maps], CPU)
    assert torch.equal(found.boxes, expected[0])


def test_atss_anchor_is_a_square_of_eight_strides_around_the_middle_of_its_cell():
    anchors = Anchors(feature_specs=[FeatureSpec(1, 8)], scale=8.0, octaves=1, ratios=(1.0,))
    expected = torch.tensor([[-28.0, -28.0, 36.0, 36.0], [-20.0, -28.0, 44.0, 36.0]])
    assert_close(anchors([(1, 2)], CPU).boxes, expected)


def test_ratio_is_height_over_width_and_keeps_the_area():
    specs = [FeatureSpec(1, 10)]
    anchors = Anchors(feature_specs=specs, scale=4.0, octaves=2, ratios=(0.25, 4.0), offset=0.0)
    sides = anchors([(1, 1)], CPU).boxes[:, 2:] * 2
    root = 2**0.5
    expected = [[80.0, 20.0], [80 * root, 20 * root], [20.0, 80.0], [20 * root, 80 * root]]
    assert_close(sides, torch.tensor(expected))


def test_order_is_level_row_column_and_prior_of_the_cell():
    specs = [FeatureSpec(1, 8), FeatureSpec(1, 16)]
    priors = Anchors(feature_specs=specs, octaves=1, ratios=(1.0, 2.0))([(2, 3), (1, 1)], CPU)
    centres = (priors.boxes[:, :2] + priors.boxes[:, 2:]) / 2
    assert_close(centres[:7:2], torch.tensor([[4.0, 4.0], [12.0, 4.0], [20.0, 4.0], [4.0, 12.0]]))
    assert priors.level.tolist() == [0] * 12 + [1] * 2
    assert priors.stride.tolist() == [8.0] * 12 + [16.0] * 2


@pytest.mark.parametrize(("octaves", "ratios", "count"), [(3, (0.5, 1, 2), 9), (1, (1.0,), 1)])
def test_per_cell_counts_the_priors_of_each_level(feature_specs, octaves, ratios, count):
    anchors = Anchors(feature_specs=feature_specs, octaves=octaves, ratios=ratios)
    assert anchors.per_cell == [count] * 5
    cells = sum(height * width for height, width in SIZES)
    assert len(anchors(SIZES, CPU).boxes) == count * cells


def test_a_side_that_is_whole_up_to_rounding_stays_whole():
    specs = [FeatureSpec(1, 100)]  # 100 * 1.15 is 114.99999999999999
    anchors = Anchors(
        feature_specs=specs, scale=1.15, octaves=1, ratios=(1.0,), offset=0.0, rounded=True
    )
    assert anchors([(1, 1)], CPU).boxes[0, 2].item() == 58.0  # 57.5 to the even number
