import math

import pytest
import torch
from torch.testing import assert_close
from torchvision.models.detection._utils import BoxLinearCoder

from detkit.box_coders import DistanceCoder
from detkit.structures import Priors

# A point at 4, 4 with stride 8.
POINT = Priors(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([8.0]), torch.tensor([0]))
BOX = torch.tensor([[0.0, -4.0, 20.0, 12.0]])  # 4, 8, 16, 8 pixels from the point


def test_relu_codes_are_distances_in_strides():
    codes = torch.tensor([[0.5, 1.0, 2.0, 1.0]])
    assert_close(DistanceCoder().encode(BOX, POINT), codes)
    assert_close(DistanceCoder().decode(codes, POINT), BOX)


def test_exp_codes_are_their_logarithms():
    codes = torch.tensor([[math.log(0.5), 0.0, math.log(2), 0.0]])
    coder = DistanceCoder(activation="exp")
    assert_close(coder.encode(BOX, POINT), codes)
    assert_close(coder.decode(codes, POINT), BOX)


@pytest.mark.parametrize("activation", ["relu", "exp"])
def test_no_code_makes_a_side_pass_the_point(activation):
    codes = torch.tensor([[-3.0, -1e30, -0.1, float("-inf")]])
    left, top, right, bottom = DistanceCoder(activation=activation).decode(codes, POINT)[0]
    assert left <= 4 <= right
    assert top <= 4 <= bottom


def test_a_point_outside_of_its_object_has_a_negative_code_or_a_small_distance():
    away = torch.tensor([[12.0, 0.0, 20.0, 8.0]])
    assert DistanceCoder().encode(away, POINT)[0, 0] == -1
    assert_close(DistanceCoder(activation="exp").encode(away, POINT)[0, 0].exp().item(), 1e-3)


def test_huge_exp_codes_stay_finite_and_beyond_any_image():
    codes = torch.full((1, 4), 1e4)
    box = DistanceCoder(activation="exp").decode(codes, POINT)
    assert box.isfinite().all()
    assert (box.abs() > 1e5).all()


def test_relu_equals_torchvision():
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(40, 2, generator=generator) * 200
    strides = torch.tensor([8.0, 16.0, 32.0, 64.0]).repeat(10)
    boxes = torch.cat([centres - strides[:, None] / 2, centres + strides[:, None] / 2], dim=1)
    priors = Priors(boxes, strides, torch.zeros(40, dtype=torch.int64))
    targets = torch.cat([centres - 9, centres + 31], dim=1)
    codes = torch.rand(40, 4, generator=generator) * 4
    ours, theirs = DistanceCoder(), BoxLinearCoder(normalize_by_size=True)
    assert_close(ours.encode(targets, priors), theirs.encode(boxes, targets), rtol=1e-5, atol=1e-5)
    assert_close(ours.decode(codes, priors), theirs.decode(codes, boxes), rtol=1e-5, atol=1e-4)


def test_codes_in_units_of_four_strides():
    codes = torch.tensor([[0.125, 0.25, 0.5, 0.25]])
    assert_close(DistanceCoder(unit=4.0).encode(BOX, POINT), codes)
    assert_close(DistanceCoder(unit=4.0).decode(codes, POINT), BOX)


def test_codes_can_be_pixels():
    codes = torch.tensor([[4.0, 8.0, 16.0, 8.0]]).log()
    coder = DistanceCoder(activation="exp", in_strides=False)
    assert_close(coder.encode(BOX, POINT), codes)
    assert_close(coder.decode(codes, POINT), BOX)
