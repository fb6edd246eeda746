"""Contract of every registered box head, and the layers of each."""

import pytest
import torch
from contract_cases import each_promise
from torch import nn
from torchvision.models import resnet50

from detkit.errors import UserError
from detkit.roi_heads.box_heads import FourConvOneFC, TwoFC
from detkit.roi_heads.resnet_stage import ResNetStage

SHAPE = (4, 3, 3)


SMALL_NETWORK = {"backbone": {"name": "timm", "model": "test_resnet"}, "width": 16, "cells": 1}


@each_promise(
    "box_head",
    needed={
        "four_conv_one_fc": {"channels": 32, "width": 64},
        "crop_network": SMALL_NETWORK,
    },
)
def test_a_box_head_keeps_its_contract(case):
    case()


def test_two_layers_by_hand():
    head = TwoFC(region_shape=(1, 1, 2), width=1)
    with torch.no_grad():
        for layer, weights, bias in ((head.first, [[1.0, 2]], 1.0), (head.second, [[3.0]], -2.0)):
            layer.weight.copy_(torch.tensor(weights))
            layer.bias.fill_(bias)
    regions = torch.tensor([[[[1.0, 1]]], [[[-9.0, 1]]]])
    assert head(regions).tolist() == [[3 * (1 + 2 + 1) - 2], [0]]


def test_the_convolutions_are_as_many_and_as_wide_as_asked():
    head = FourConvOneFC(region_shape=SHAPE, convs=2, channels=16, norm="batch", width=5)
    convs = [layer for layer in head.modules() if isinstance(layer, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convs] == [(4, 16), (16, 16)]
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in head.modules()) == 2
    assert head.last.weight.shape == (5, 16 * 9)


def test_the_last_stage_of_a_resnet_is_torchvisions():
    torch.manual_seed(0)
    ours, theirs = ResNetStage(region_shape=(1024, 4, 4)).eval(), resnet50().layer4.eval()
    ours.blocks.load_state_dict(theirs.state_dict())
    regions = torch.randn(2, 1024, 4, 4)
    torch.testing.assert_close(ours(regions), theirs(regions).mean(dim=(2, 3)))
    assert ours.out_channels == 2048


def test_a_stage_needs_channels_that_it_can_divide():
    with pytest.raises(UserError, match="needs an even number of 4 or more, got 3"):
        ResNetStage(region_shape=(3, 7, 7))
