import pytest
import torch
from torch import nn

from detkit.layers.initialisation import normal_convolutions, prior_logits, uniform_convolutions


def test_prior_of_sigmoid_is_the_probability_of_each_class():
    probabilities = prior_logits(0.01, 3, "sigmoid").sigmoid()
    torch.testing.assert_close(probabilities, torch.full((3,), 0.01))


def test_prior_of_softmax_is_shared_by_the_classes_and_background_has_the_rest():
    probabilities = prior_logits(0.1, 4, "softmax").softmax(dim=0)
    torch.testing.assert_close(probabilities, torch.tensor([0.025, 0.025, 0.025, 0.025, 0.9]))


def test_normal_convolutions_have_the_spread_and_no_bias():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(32, 64, 3), nn.GroupNorm(2, 64))
    normal_convolutions(layers, std=0.01)
    assert layers[0].weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not layers[0].bias.any()
    assert torch.equal(layers[1].weight, torch.ones(64))


def test_uniform_convolutions_keep_the_variance():
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3, bias=False)
    uniform_convolutions(layer)
    limit = (3 / (64 * 9)) ** 0.5
    assert layer.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
