import math

import pytest
import torch
from torch.testing import assert_close

from detkit.box_coders import DistanceCoder, DistributionCoder
from detkit.interfaces import DistributionCoder as Contract
from detkit.structures import Priors

# A point at 4, 4 with stride 8.
POINT = Priors(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([8.0]), torch.tensor([0]))


def codes_of(*sides):
    """Four lists of probabilities as logits."""
    return torch.tensor([sides]).log().flatten(-2)


def test_the_box_is_the_mean_of_each_distribution():
    # Distances 0.5, 1, 2 and 0.25 * 1 + 0.5 * 2 = 1.25 strides of 8 pixels, from 4, 4.
    codes = codes_of([0.5, 0.5, 0], [0, 1, 0], [0, 0, 1], [0.25, 0.25, 0.5])
    found = DistributionCoder(bins=3).decode(codes, POINT)
    assert_close(found, torch.tensor([[0.0, -4.0, 20.0, 14.0]]))


def test_codes_have_four_distributions():
    assert DistributionCoder().code_size == 64
    assert DistributionCoder(bins=17).code_size == 68
    assert DistributionCoder().decode(torch.zeros(1, 64), POINT)[0].tolist() == [-56, -56, 64, 64]


def test_encoding_shares_a_side_between_the_two_nearest_distances():
    box = torch.tensor([[0.0, -4.0, 20.0, 14.0]])
    found = DistributionCoder(bins=4).encode(box, POINT).exp().view(4, 4)
    expected = [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0.75, 0.25, 0]]
    assert_close(found, torch.tensor(expected), atol=1e-7, rtol=1e-6)


def test_distances_are_clipped_to_the_bins():
    coder = DistributionCoder(bins=4)
    box = torch.tensor([[12.0, -400.0, 4.0, 28.0]])  # the left is right of the point
    assert coder.distances(box, POINT).tolist() == [[0, 3, 0, 3]]
    assert coder.encode(box, POINT).isfinite().all()
    assert_close(coder.decode(coder.encode(box, POINT), POINT), torch.tensor([[4.0, -20, 4, 28]]))


def test_distances_are_the_codes_of_the_distance_coder():
    box = torch.tensor([[1.0, -7.0, 30.0, 9.0]])
    expected = DistanceCoder().encode(box, POINT)
    assert torch.equal(DistributionCoder().distances(box, POINT), expected)


def test_round_trip():
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(40, 2, generator=generator) * 200
    strides = torch.tensor([8.0, 16.0, 32.0, 64.0]).repeat(10)
    reach = strides[:, None] / 2
    priors = Priors(
        torch.cat([centres - reach, centres + reach], 1), strides, torch.zeros(40).long()
    )
    sides = torch.rand(40, 4, generator=generator) * 15 * strides[:, None]
    boxes = torch.cat([centres - sides[:, :2], centres + sides[:, 2:]], dim=1)
    coder = DistributionCoder()
    assert_close(coder.decode(coder.encode(boxes, priors), priors), boxes, atol=2e-3, rtol=0)


def test_gradients_of_the_mean():
    coder = DistributionCoder(bins=5)
    priors = Priors(*(field.double() for field in POINT[:3]))
    codes = torch.randn(1, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: coder.decode(x, priors), codes.requires_grad_())


def test_it_keeps_the_contract_that_distribution_losses_need():
    assert isinstance(DistributionCoder(), Contract)
    assert not isinstance(DistanceCoder(), Contract)


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_extreme_codes_are_finite(value):
    codes = torch.zeros(1, 64)
    codes[0, ::3] = value
    assert DistributionCoder().decode(codes, POINT).isfinite().all()
    assert math.isfinite(DistributionCoder().decode(codes.half(), POINT).sum())
