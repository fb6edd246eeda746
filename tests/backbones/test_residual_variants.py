"""AlexNet, DetNet-59, Residual Attention, and ResNets with a dilated last stage."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models._utils import IntermediateLayerGetter

from detkit.backbones.alexnet import AlexNet
from detkit.backbones.detnet import DetNet59
from detkit.backbones.residual_attention import ResidualAttention56, ResidualAttention92
from detkit.backbones.resnet import ResNet18, ResNet50
from detkit.errors import UserError
from detkit.layers import Bottleneck, MaskedAttention, PreactivatedBottleneck
from detkit.structures import FeatureSpec

CLASSIFIER = 2048 * 1000 + 1000


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def images(*size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(0))


def test_alexnet_equals_torchvision_with_the_same_padding():
    with torch.device("meta"):
        whole = models.alexnet().features.eval()
    whole.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in whole.parameters():
        nn.init.normal_(parameter, std=0.05, generator=generator)
    backbone = AlexNet(levels=(2, 3, 4, 5)).eval()
    backbone.load_state_dict({f"features.{n}": v for n, v in whole.state_dict().items()})
    pads, expected, features = {0: 2, 2: 1, 5: 1, 12: 1}, {}, images(1, 3, 64, 96)
    with torch.no_grad():
        for index, layer in enumerate(whole):
            features = layer(F.pad(features, [pads.get(index, 0)] * 4))
            expected[index] = features.clone()
        found = backbone(images(1, 3, 64, 96))
    for level, index in zip(found, (1, 4, 11, 12), strict=True):
        assert torch.equal(level, expected[index])
    specs = [(64, 4), (192, 8), (256, 16), (256, 32)]
    assert backbone.feature_specs == [FeatureSpec(*spec) for spec in specs]


def test_detnet_has_three_levels_of_stride_16_and_the_parameters_of_its_parts():
    with torch.device("meta"):
        backbone = DetNet59()
        maps = backbone(torch.zeros(1, 3, 64, 96))
    specs = [(256, 4), (512, 8), (1024, 16), (1024, 16), (1024, 16)]
    assert backbone.feature_specs == [FeatureSpec(*spec) for spec in specs]
    assert [tuple(m.shape[1:]) for m in maps] == [(c, 64 // s, 96 // s) for c, s in specs]
    # ResNet-50 up to layer3, then twice one block with and two without a projection.
    assert parameters(backbone) == 8_543_296 + 2 * (2_167_808 + 2 * 1_117_184)


@pytest.mark.slow
def test_detnet_up_to_stride_16_equals_torchvisions_resnet50():
    torch.manual_seed(0)
    whole = models.resnet50().eval()
    backbone = DetNet59(levels=(2, 3, 4)).eval()
    pairs = zip(backbone.state_dict(), whole.state_dict().items(), strict=False)
    backbone.load_state_dict({name: value for name, (_, value) in pairs})
    layers = {"layer1": "2", "layer2": "3", "layer3": "4"}
    with torch.no_grad():
        expected = IntermediateLayerGetter(whole, layers)(images(1, 3, 64, 64))
        for level, other in zip(backbone(images(1, 3, 64, 64)), expected.values(), strict=True):
            torch.testing.assert_close(level, other)


@pytest.mark.parametrize("projects", [False, True])
def test_a_dilated_bottleneck_by_its_definition(projects):
    torch.manual_seed(0)
    block = Bottleneck(8, 4, 8, norm="batch", dilation=2, projects=projects).eval()
    weights, image = block.state_dict(), images(1, 8, 9, 9)
    scale = 1 / (1 + 1e-5) ** 0.5  # of a batch norm without statistics
    inner = (F.conv2d(image, weights["squeeze.weight"]) * scale).relu()
    inner = (F.conv2d(inner, weights["spatial.weight"], padding=2, dilation=2) * scale).relu()
    kept = F.conv2d(image, weights["shortcut.0.weight"]) * scale if projects else image
    expected = (F.conv2d(inner, weights["expand.weight"]) * scale + kept).relu()
    torch.testing.assert_close(block(image), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "millions"), [(ResidualAttention56, 31.9), (ResidualAttention92, 51.3)]
)
def test_residual_attention_is_as_large_as_the_paper_states(network, millions):
    with torch.device("meta"):
        backbone = network(levels=(1, 2, 3, 4, 5))
        maps = backbone(torch.zeros(1, 3, 64, 96))
    assert (parameters(backbone) + CLASSIFIER) / 1e6 == pytest.approx(millions, rel=0.025)
    specs = [(64, 2), (256, 4), (512, 8), (1024, 16), (2048, 32)]
    assert backbone.feature_specs == [FeatureSpec(*spec) for spec in specs]
    assert [tuple(m.shape[1:]) for m in maps] == [(c, 64 // s, 96 // s) for c, s in specs]


def identity_blocks(module):
    """Make each residual block return its input."""
    for block in module.modules():
        if isinstance(block, PreactivatedBottleneck):
            nn.init.zeros_(block.expand.weight)
    return module


def test_attention_is_one_plus_the_mask_times_the_trunk():
    module = identity_blocks(MaskedAttention(8, poolings=2, norm="none")).eval()
    image, first, second = images(1, 8, 7, 5), module.mask[2], module.mask[5]
    once = F.max_pool2d(image, 3, 2, 1)
    twice = F.max_pool2d(once, 3, 2, 1)
    up = F.interpolate(twice, (4, 3), mode="bilinear") + once
    up = F.interpolate(up, (7, 5), mode="bilinear")
    mask = second(first(up.relu()).relu()).sigmoid()
    torch.testing.assert_close(module(image), (1 + mask) * image)


@pytest.mark.slow
def test_a_dilated_last_stage_equals_torchvisions():
    torch.manual_seed(0)
    whole = models.resnet50(replace_stride_with_dilation=[False, False, True]).eval()
    backbone = ResNet50(levels=(3, 4), dilated_c5=True).eval()
    backbone.load_state_dict({n: whole.state_dict()[n] for n in backbone.state_dict()})
    assert backbone.feature_specs == [FeatureSpec(512, 8), FeatureSpec(2048, 16)]
    with torch.no_grad():
        expected = IntermediateLayerGetter(whole, {"layer2": "0", "layer4": "1"})(
            images(1, 3, 32, 32)
        )
        for level, other in zip(backbone(images(1, 3, 32, 32)), expected.values(), strict=True):
            assert torch.equal(level, other)


def test_the_last_stage_of_a_small_resnet_can_be_dilated():
    with torch.device("meta"):
        backbone = ResNet18(levels=(3, 4), dilated_c5=True)
        maps = backbone(torch.zeros(1, 3, 64, 64))
    assert backbone.feature_specs == [FeatureSpec(128, 8), FeatureSpec(512, 16)]
    assert maps[1].shape == (1, 512, 4, 4)


def test_a_dilated_network_has_no_level_5():
    with torch.device("meta"), pytest.raises(UserError, match=r"no levels \[5\]: it gives"):
        ResNet18(dilated_c5=True)


def test_strides_can_be_in_the_first_convolution():
    with torch.device("meta"):
        blocks = ResNet50(fetch_weights=False, stride_in_1x1=True).get_submodule("layer3")
    assert blocks[0].conv1.stride == (2, 2)
    assert blocks[0].conv2.stride == (1, 1)
    assert blocks[1].conv1.stride == (1, 1)
