"""What holds for every registered box head, and the layers of each."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet50

from detkit import registry
from detkit.errors import UserError
from detkit.roi_heads.box_heads import FourConvOneFC, TwoFC
from detkit.roi_heads.resnet_stage import ResNetStage

SHAPE = (4, 3, 3)
each_box_head = pytest.mark.parametrize("name", registry.names("box_head"))


def build(name):
    torch.manual_seed(0)
    return registry.get("box_head", name)(region_shape=SHAPE)


@each_box_head
@pytest.mark.parametrize("count", [0, 1, 5])
def test_features_of_any_number_of_regions(name, count):
    head = build(name)
    found = head(torch.randn(count, *SHAPE))
    assert found.shape == (count, head.out_channels)
    found.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


@each_box_head
def test_a_region_does_not_look_at_others(name):
    head, regions = build(name).eval(), torch.randn(3, *SHAPE)
    torch.testing.assert_close(head(regions)[:1], head(regions[:1]))


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
