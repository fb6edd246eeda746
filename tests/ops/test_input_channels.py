"""A network made for red, green and blue takes other channels."""

import pytest
import torch
from torch import nn

from detkit.errors import UserError
from detkit.ops.input_channels import input_channels, widen_input, widen_values, widen_weights


def test_further_channels_take_the_mean():
    colours = torch.tensor([1.0, 2, 6])
    assert widen_values(colours, 5).tolist() == [1, 2, 6, 3, 3]
    assert widen_values(colours, 2).tolist() == [3, 3]
    assert widen_values(colours, 3) is colours


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_an_even_image_gives_the_same_map(channels):
    weights = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    wide = widen_weights(weights, channels)
    assert wide.shape == (4, channels, 3, 3)
    torch.testing.assert_close(wide.sum(1), weights.sum(1))


def test_the_first_three_of_four_channels_keep_their_proportions():
    weights = torch.arange(3.0).view(1, 3, 1, 1)
    assert widen_weights(weights, 4).flatten().tolist() == [0, 0.75, 1.5, 0.75]


def test_only_the_first_convolution_changes():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 5, 1))
    network.register_buffer("factor", torch.ones(3, 1, 1))
    network[0].requires_grad_(False)
    widen_input(network, 4)
    assert network(torch.zeros(1, 4, 2, 2)).shape == (1, 5, 2, 2)
    assert not network[0].weight.requires_grad
    assert network.factor.shape == (4, 1, 1)


def test_three_channels_change_nothing():
    network = nn.Conv2d(3, 2, 1)
    before = network.weight
    widen_input(network, 3)
    assert network.weight is before


def test_a_network_without_such_a_convolution_is_refused():
    with pytest.raises(UserError, match="no convolution of red, green and blue"):
        widen_input(nn.Identity(), 4)


def test_a_detector_without_a_mean_takes_three_channels():
    assert input_channels(nn.Identity()) == 3
