"""Losses, targets and predictions of masks, and the contract of every mask head."""

import math

import pytest
import torch
from contract_cases import each_promise
from rectangle_masks import with_rectangles

from detkit.errors import UserError
from detkit.ops import Divisors
from detkit.ops.selection import fixed_shapes
from detkit.roi_heads.mask_head import ConvMaskHead
from detkit.roi_heads.masks import mask_losses, mask_targets, with_masks
from detkit.roi_heads.regions import RegionRows, SampledRegions
from detkit.roi_heads.roi_align import RoIAlign
from detkit.structures import FeatureSpec, PaddedDetections, PaddedTargets, Regions, Target

FEATURES = [torch.zeros(2, 1, 4, 4)]
SIZES = [(32, 32), (32, 32)]
LN2 = math.log(2)


@each_promise("mask_head", needed={"conv": {"channels": 16}})
def test_a_mask_head_keeps_its_contract(case):
    case()


class EachClass:
    """Logits that are the number of the class; keeps the regions."""

    side, weight, regions_per_image = 2, 1.0, 8

    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, features, boxes, image):
        self.boxes, self.image = boxes, image
        logits = self.factor * torch.arange(3.0)
        return logits[None, :, None, None].expand(len(boxes), 3, 2, 2)


def objects(*boxes, label=0):
    count = len(boxes)
    boxes = torch.tensor(boxes).float().view(-1, 4)
    target = Target(boxes, torch.full((count,), label), torch.zeros(count, dtype=torch.bool))
    return with_rectangles(target)


def sampled(boxes, matched):
    """Regions of two images, with the object of each."""
    regions = Regions.of([torch.tensor(image).float().view(-1, 4) for image in boxes])
    matched = torch.tensor(matched)
    return SampledRegions(RegionRows.of(regions), regions.mask, matched, matched, matched, None)


def loss(head, regions, targets, sizes=SIZES):
    padded = PaddedTargets.of(targets, sizes)
    return mask_losses(head, Divisors(), FEATURES, regions, padded)["loss/mask"]


BOX = [4.0, 4, 20, 12]
# What torchvision's RoIAlign sees of an object in its own box: half of the last column and row.
SHARE = (15.5 / 16) * (7.5 / 8)


def binary_cross_entropy(logit, goal):
    return math.log(1 + math.exp(logit)) - goal * logit


def test_loss_is_the_mean_over_the_pixels_of_regions_with_an_object():
    regions = sampled([[BOX, [0.0, 0, 8, 8]], [BOX, BOX]], [[0, -1], [-1, -1]])
    targets = [objects(BOX, label=2), objects(BOX)]
    expected = binary_cross_entropy(2, SHARE)
    assert loss(EachClass(), regions, targets).item() == pytest.approx(expected)
    assert loss(EachClass(0.0), regions, targets).item() == pytest.approx(LN2)


def test_an_object_without_a_mask_is_not_learned():
    first, second = objects([0.0, 0, 8, 8]), objects(BOX, label=1)
    unmasked = Target(first.boxes, first.labels, first.ignored)
    regions = sampled([[[0.0, 0, 8, 8]], [BOX]], [[0], [0]])
    found = loss(EachClass(), regions, [unmasked, second])
    assert found.item() == pytest.approx(binary_cross_entropy(1, SHARE))


# pain 14
def test_without_objects_the_loss_is_zero_and_one_region_passes_through():
    head = EachClass()
    regions = sampled([[BOX], [BOX]], [[-1], [-1]])
    assert loss(head, regions, [objects(), objects()]) == 0
    assert len(head.boxes) == 1


def test_no_more_regions_learn_than_allowed():
    head = EachClass()
    head.regions_per_image = 1
    regions = sampled([[[0.0, 0, 8, 8], BOX, BOX], [BOX] * 3], [[-1, 0, 0], [0, 0, 0]])
    loss(head, regions, [objects(BOX), objects(BOX)])
    assert head.boxes.tolist() == [BOX, BOX]
    assert head.image.tolist() == [0, 1]


def test_accelerators_compute_the_same_and_repeat_regions_that_count():
    regions = sampled([[BOX, BOX], [BOX, [0.0, 0, 8, 8]]], [[0, 0], [0, -1]])
    targets = [objects([4.0, 4, 12, 12], label=1), objects(BOX)]
    head = EachClass()
    expected = loss(head, regions, targets)
    with fixed_shapes():
        torch.testing.assert_close(loss(head, regions, targets), expected)
    assert head.boxes.tolist() == [BOX] * 4


def test_targets_are_the_shares_that_an_object_covers():
    masks = PaddedTargets.of([objects([4.0, 4, 8, 8]), objects()], SIZES).masks
    boxes = torch.tensor([[[4.0, 4, 8, 8], [4, 4, 12, 8]], [[0.0] * 4] * 2])
    goals = mask_targets(masks, boxes, torch.zeros(2, 2, dtype=torch.int64), side=2)
    assert goals[0, 0].tolist() == [[1, 0.75], [0.75, 0.5625]]
    assert goals[0, 1].tolist() == [[0.875, 0], [0.65625, 0]]
    assert not goals[1].any()


def test_detections_get_the_mask_of_their_class():
    boxes = torch.tensor([[BOX, [0.0, 0, 8, 8]], [BOX, [0.0] * 4]])
    labels = torch.tensor([[2, 0], [1, 0]])
    found = PaddedDetections(boxes, torch.ones(2, 2), labels, torch.tensor([2, 1]))
    masks = with_masks(EachClass(), FEATURES, found).masks
    logits = torch.tensor([[2.0, 0], [1, 0]])
    expected = torch.where(torch.tensor([[True, True], [True, False]]), logits.sigmoid(), 0)
    torch.testing.assert_close(masks, expected[..., None, None].expand(2, 2, 2, 2))
    assert with_masks(None, FEATURES, found).masks is None


def test_a_batch_without_masks_says_what_to_do():
    regions = sampled([[BOX], [BOX]], [[0], [0]])
    with pytest.raises(UserError, match=r"train on data with masks.*mask_head=null"):
        loss(EachClass(), regions, [objects(BOX), objects(BOX)], sizes=())


def test_masks_have_twice_the_side_of_their_pooling():
    pooling = RoIAlign(feature_specs=[FeatureSpec(4, 8)], size=5)
    head = ConvMaskHead(num_classes=3, convs=2, channels=6, pooling=pooling)
    features, image = [torch.randn(1, 4, 8, 8)], torch.zeros(1, dtype=torch.int64)
    assert head(features, torch.tensor([BOX]), image).shape == (1, 3, 10, 10)
    assert head.side == 10
    assert [conv.conv.in_channels for conv in head.convs] == [4, 6]
