import pytest
import torch

from detkit.backbones.deformable import DeformableBackbone
from detkit.backbones.mobile import MobileNetV1
from detkit.backbones.resnet import ResNet18
from detkit.backbones.swin_convnext import SwinTiny
from detkit.backbones.timm import TimmBackbone
from detkit.errors import UserError
from detkit.layers.deformable import DeformableConv

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def changed_in(backbone):
    return [name for name, m in backbone.named_modules() if isinstance(m, DeformableConv)]


@pytest.mark.parametrize("modulated", [False, True])
def test_starts_with_the_maps_of_the_backbone(modulated):
    plain = ResNet18().eval()
    expected = [level.detach() for level in plain(IMAGES)]
    deformable = DeformableBackbone(backbone=plain, modulated=modulated).eval()
    assert deformable.feature_specs == plain.feature_specs
    for level, before in zip(deformable(IMAGES), expected, strict=True):
        torch.testing.assert_close(level, before, rtol=1e-4, atol=1e-4)


def test_only_chosen_levels_change():
    backbone = DeformableBackbone(backbone=ResNet18(), levels=(5,))
    names = [f"backbone.layer4.{block}.conv{conv}" for block in (0, 1) for conv in (1, 2)]
    assert changed_in(backbone) == names


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(MobileNetV1, marks=pytest.mark.slow),
        lambda: TimmBackbone(model="test_resnet"),
        ResNet18,
    ],
)
def test_all_parameters_learn_in_any_convolutional_backbone(build):
    torch.manual_seed(0)
    backbone = DeformableBackbone(backbone=build())
    assert backbone.training
    assert changed_in(backbone)
    sum(level.sum() for level in backbone(IMAGES)).backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


def test_frozen_stages_stay_frozen():
    backbone = DeformableBackbone(backbone=ResNet18(frozen_stages=3), levels=(3, 5)).train()
    assert not any(p.requires_grad for p in backbone.backbone.layer2.parameters())
    assert all(p.requires_grad for p in backbone.backbone.layer4.parameters())


def test_measuring_leaves_the_statistics_alone():
    backbone = DeformableBackbone(backbone=ResNet18())
    assert not backbone.backbone.bn1.running_mean.any()


def test_is_described_without_memory():
    with torch.device("meta"):
        backbone = DeformableBackbone(backbone=ResNet18())
        assert [level.shape[1] for level in backbone(IMAGES.to("meta"))] == [128, 256, 512]


def test_a_backbone_without_such_convolutions_is_refused():
    with torch.device("meta"), pytest.raises(UserError, match=r"no 3x3 convolution at level 3"):
        DeformableBackbone(backbone=SwinTiny())
