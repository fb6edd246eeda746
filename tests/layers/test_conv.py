import pytest
import torch
from torch import nn

from detkit.layers.conv import ConvBlock
from detkit.layers.norm import make_norm


@pytest.mark.parametrize(("channels", "groups"), [(256, 32), (48, 4), (100, 4), (7, 1)])
def test_group_norm_copes_with_any_number_of_channels(channels, groups):
    norm = make_norm("group", channels)
    assert norm.num_groups == groups
    assert norm(torch.randn(2, channels, 3, 3)).shape == (2, channels, 3, 3)


def test_frozen_batch_norm_has_no_parameters_and_keeps_its_statistics():
    norm = make_norm("frozen_batch", 4).train()
    before = norm.running_mean.clone()
    norm(torch.randn(2, 4, 3, 3) + 5)
    assert list(norm.parameters()) == []
    assert torch.equal(norm.running_mean, before)


def test_no_norm_passes_its_input_on():
    features = torch.randn(1, 3, 2, 2)
    assert torch.equal(make_norm("none", 3)(features), features)


@pytest.mark.parametrize(("norm", "has_bias"), [("none", True), ("group", True), ("batch", False)])
def test_convolution_has_a_bias_where_it_counts(norm, has_bias):
    assert (ConvBlock(3, 8, norm=norm).conv.bias is not None) == has_bias


def test_order_is_convolution_norm_activation():
    block = ConvBlock(1, 1, kernel_size=1)
    with torch.no_grad():
        block.conv.weight.fill_(2)
        block.conv.bias.fill_(-3)
    features = torch.tensor([1.0, 2.0]).view(1, 1, 1, 2)
    assert block(features).flatten().tolist() == [0, 1]  # relu(2x - 3)


@pytest.mark.parametrize(("stride", "size"), [(1, (5, 7)), (2, (3, 4))])
def test_size_is_divided_by_the_stride_and_rounded_up(stride, size):
    block = ConvBlock(2, 3, stride=stride, activation="none")
    assert block(torch.zeros(1, 2, 5, 7)).shape == (1, 3, *size)
    assert isinstance(block.activation, nn.Identity)


def test_bfloat16_under_autocast():
    block = ConvBlock(4, 4, norm="group")
    with torch.autocast("cpu", torch.bfloat16):
        assert block(torch.randn(1, 4, 4, 4)).isfinite().all()
