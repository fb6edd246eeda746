"""Simple feature pyramids on plain transformers, and the maps of these."""

import pytest
import timm
import torch

from detkit.backbones.resnet import ResNet18
from detkit.backbones.simple_pyramid import SimplePyramid
from detkit.backbones.timm import TimmBackbone
from detkit.errors import UserError
from detkit.structures import FeatureSpec


def vit(**arguments):
    return TimmBackbone(model="test_vit", levels=(4,), **arguments)


def test_levels_have_strides_4_to_32_at_any_size():
    pyramid = SimplePyramid(backbone=vit(), levels=(2, 3, 4, 5), out_channels=16).eval()
    maps = pyramid(torch.rand(2, 3, 96, 64))
    assert pyramid.feature_specs == [FeatureSpec(16, stride) for stride in (4, 8, 16, 32)]
    assert [tuple(level.shape) for level in maps] == [
        (2, 16, 96 // stride, 64 // stride) for stride in (4, 8, 16, 32)
    ]


def test_every_parameter_gets_a_gradient():
    pyramid = SimplePyramid(backbone=vit(), out_channels=8)
    sum(level.square().sum() for level in pyramid(torch.rand(1, 3, 64, 64))).backward()
    assert all(p.grad is not None for p in pyramid.parameters() if p.requires_grad)


def test_several_levels_below_are_refused():
    with pytest.raises(UserError, match=r"needs a backbone with one level, got 3: list one"):
        SimplePyramid(backbone=ResNet18())


def test_levels_out_of_reach_are_refused():
    with pytest.raises(UserError, match=r"makes levels \[2, 3, 4, 5\] from a map of stride 16"):
        SimplePyramid(backbone=vit(), levels=(2, 6))


# timm's smallest models of each kind, with the image side that they were made for.
NATIVE = [
    ("test_vit", 160, (4,)),
    ("test_convnext", 160, (2, 3, 4, 5)),
    pytest.param("swin_tiny_patch4_window7_224", 224, (2, 3, 4, 5), marks=pytest.mark.slow),
    pytest.param("vit_small_patch16_dinov3", 256, (4,), marks=pytest.mark.slow),
]


@torch.no_grad()
@pytest.mark.parametrize(("model", "side", "levels"), NATIVE)
def test_maps_are_those_of_timm_at_the_native_size(model, side, levels):
    torch.manual_seed(0)
    whole = timm.create_model(model).eval()
    backbone = TimmBackbone(model=model, levels=levels).eval()
    flat = {name.replace(".", "_"): value for name, value in whole.state_dict().items()}
    state = backbone.model.state_dict()
    backbone.model.load_state_dict(
        {name: flat[name.removeprefix("model.").replace(".", "_")] for name in state}
    )
    images = torch.rand(1, 3, side, side)
    expected = whole.forward_intermediates(images, intermediates_only=True, output_fmt="NCHW")
    for level, value in zip(backbone(images), expected[-len(levels) :], strict=True):
        torch.testing.assert_close(level, value, atol=1e-5, rtol=1e-5)


@pytest.mark.slow  # builds a network of 22 M parameters
@torch.no_grad()
def test_patches_of_14_pixels_cover_16_pixels_of_the_image():
    backbone = TimmBackbone(model="vit_small_patch14_dinov2", levels=(4,)).eval()
    assert backbone.feature_specs == [FeatureSpec(384, 16)]
    images = torch.rand(1, 3, 592, 592)  # 37 patches of 16 pixels: the native grid
    small = torch.nn.functional.interpolate(images, size=(518, 518), mode="bilinear")
    expected = backbone.model.model.forward_intermediates(small, indices=1, intermediates_only=True)
    torch.testing.assert_close(backbone(images)[0], expected[0], atol=1e-5, rtol=1e-5)


def test_maps_of_any_size_are_rounded_up():
    maps = SimplePyramid(backbone=vit(), levels=(2, 5), out_channels=8)(torch.rand(1, 3, 75, 50))
    assert [tuple(level.shape[-2:]) for level in maps] == [(19, 13), (3, 2)]
