import math

import pytest
import torch
from torch.testing import assert_close
from torchvision.models.detection._utils import BoxCoder

from detkit.box_coders import DeltaCoder
from detkit.structures import Priors


def priors_of(boxes):
    return Priors(boxes, torch.ones(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64))


PRIOR = priors_of(torch.tensor([[0.0, 0.0, 10.0, 20.0]]))


def random_boxes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(2, count, 2, generator=generator)
    return torch.cat([corner * 300, corner * 300 + 5 + sides * 90], dim=1)


def test_encode_by_hand():
    box = torch.tensor([[5.0, 10.0, 25.0, 15.0]])  # centre 15, 12.5 and sides 20, 5
    expected = torch.tensor([[1.0, 0.125, math.log(2), math.log(1 / 4)]])
    assert_close(DeltaCoder().encode(box, PRIOR), expected)
    scaled = DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2)).encode(box, PRIOR)
    assert_close(scaled, expected * torch.tensor([10.0, 10.0, 5.0, 5.0]))


def test_decode_by_hand():
    codes = torch.tensor([[1.0, 0.125, math.log(2), math.log(1 / 4)]])
    assert_close(DeltaCoder().decode(codes, PRIOR), torch.tensor([[5.0, 10.0, 25.0, 15.0]]))


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_equals_torchvision(weights):
    theirs = BoxCoder(weights)
    ours = DeltaCoder(stds=tuple(1 / weight for weight in weights))
    boxes, priors = random_boxes(50, 0), random_boxes(50, 1)
    codes = torch.randn(50, 4, generator=torch.Generator().manual_seed(2)) * 3
    assert_close(
        ours.encode(boxes, priors_of(priors)),
        theirs.encode_single(boxes, priors),
        rtol=1e-6,
        atol=1e-6,
    )
    expected = theirs.decode_single(codes, priors)
    assert_close(ours.decode(codes, priors_of(priors)), expected, rtol=1e-6, atol=1e-4)


def test_a_box_grows_to_62_times_its_prior_at_most():
    sides = DeltaCoder().decode(torch.tensor([[0.0, 0.0, 1e4, float("inf")]]), PRIOR)[0]
    assert_close(sides[2:] - sides[:2], torch.tensor([625.0, 1250.0]))


def test_an_empty_box_has_finite_codes():
    codes = DeltaCoder().encode(torch.tensor([[5.0, 5.0, 5.0, 5.0]]), PRIOR)
    assert codes.isfinite().all()
