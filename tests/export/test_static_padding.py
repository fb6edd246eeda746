import pytest
import torch
from torch import nn

from detkit.errors import UserError
from detkit.export.static_padding import with_static_padding

timm_layers = pytest.importorskip("timm.layers")


def strided(kernel_size, **words):
    return timm_layers.create_conv2d(3, 3, kernel_size, stride=2, padding="same", **words)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("words", [{}, {"bias": False, "depthwise": True}])
def test_constant_padding_gives_the_same_numbers(kernel_size, words):
    torch.manual_seed(0)
    network = nn.Sequential(strided(kernel_size, **words), nn.ReLU(), strided(3))
    images = torch.randn(2, 3, 24, 32)
    static = with_static_padding(network, images, multiple=4)
    assert "Same" not in str(static)
    assert torch.equal(static(images), network(images))
    assert torch.equal(static(images[..., :20]), network(images[..., :20]))


def test_a_network_without_such_layers_stays_the_same_object():
    network = nn.Conv2d(3, 3, 3, stride=2, padding=1)
    assert with_static_padding(network, torch.zeros(1, 3, 8, 8), multiple=1) is network


def test_the_network_itself_is_not_changed():
    network = nn.Sequential(strided(3))
    with_static_padding(network, torch.zeros(1, 3, 8, 8), multiple=2)
    assert type(network[0]).__name__ == "Conv2dSame"


@pytest.mark.parametrize("multiple", [1, 2])
def test_sides_that_may_be_odd_need_a_fixed_size(multiple):
    network = nn.Sequential(strided(3), strided(3))
    with pytest.raises(UserError, match=r"timm's Conv2dSame.*size=\[416,416\], or let"):
        with_static_padding(network, torch.zeros(1, 3, 8, 8), multiple)


def test_pooling_that_pads_by_the_size_needs_a_fixed_size():
    network = nn.Sequential(timm_layers.create_pool2d("max", 3, 2, padding="same"))
    with pytest.raises(UserError, match="timm's MaxPool2dSame"):
        with_static_padding(network, torch.zeros(1, 3, 8, 8), multiple=32)
