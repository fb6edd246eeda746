"""Effective receptive fields with values by hand."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from detkit.network_summary.effective_fields import effective_fields


def ones(layers: int, stride: int = 1) -> nn.Sequential:
    """Convolutions of 3 x 3 that sum."""
    network = nn.Sequential(*(nn.Conv2d(3, 3, 3, stride, 1, bias=False) for _ in range(layers)))
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    return network


def test_two_sums_of_three_weigh_pixels_by_the_number_of_ways():
    (field,) = effective_fields(lambda x: [ones(2)(x)], (9, 9), images=1)
    ways = np.array([0, 0, 1, 2, 3, 2, 1, 0, 0]) / 3
    np.testing.assert_allclose(field.influence, np.outer(ways, ways), atol=1e-6)
    assert field.side == 5


def test_deep_networks_use_less_than_they_see():
    (field,) = effective_fields(lambda x: [ones(20)(x)], (61, 61), images=1)
    assert (field.influence > 0).sum() == 41 * 41
    assert 15 < field.side < 25  # about two standard deviations to each side


def test_each_level_has_a_field():
    first, second = ones(1, 2), ones(1, 2)
    fields = effective_fields(lambda x: [first(x), second(first(x))], (32, 32), images=1)
    assert [field.side for field in fields] == [3, 7]


def test_the_noise_is_the_same_each_time():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    results = [effective_fields(lambda x: [network(x)], (16, 16), images=2) for _ in range(2)]
    np.testing.assert_array_equal(results[0][0].influence, results[1][0].influence)
