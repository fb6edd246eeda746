"""Each backbone's blocks: in the order of depth, each parameter at most once."""

from collections import Counter

import pytest

from detkit.backbones.csp_yolov5 import CSPYOLOv5
from detkit.backbones.darknet import Darknet53
from detkit.backbones.deformable import DeformableBackbone
from detkit.backbones.resnet import ResNet18, ResNet50
from detkit.backbones.simple_pyramid import SimplePyramid
from detkit.backbones.swin_convnext import ConvNeXtTiny, SwinTiny
from detkit.backbones.timm import TimmBackbone
from detkit.ops.meta_device import on_meta

RESNET = {"stem": 1, "stage1": 2, "stage2": 2, "stage3": 2, "stage4": 2}
CASES = [
    (ResNet18, {}, RESNET),
    (ResNet50, {"levels": (2, 3)}, {"stem": 1, "stage1": 3, "stage2": 4}),
    (ConvNeXtTiny, {}, {"stem": 1, "stage1": 3, "stage2": 3, "stage3": 9, "stage4": 3}),
    (SwinTiny, {}, {"stem": 1, "stage1": 2, "stage2": 2, "stage3": 6, "stage4": 2}),
    (CSPYOLOv5, {}, dict.fromkeys(RESNET, 1)),
    (Darknet53, {}, {"stem": 1, "stage1": 2, "stage2": 8, "stage3": 8, "stage4": 4}),
    (TimmBackbone, {"model": "test_resnet"}, None),
    pytest.param(TimmBackbone, {"model": "tf_efficientnet_lite0"}, None, marks=pytest.mark.slow),
    pytest.param(TimmBackbone, {"model": "convnext_atto"}, None, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("build", "arguments", "expected"), CASES)
def test_each_parameter_is_in_one_block_and_stages_follow_each_other(build, arguments, expected):
    with on_meta():
        backbone = build(fetch_weights=False, **arguments) if has_weights(build) else build()
    blocks = backbone.ordered_blocks()
    names = [name for block in blocks for name in block.parameters]
    assert sorted(names) == sorted(name for name, _ in backbone.named_parameters())
    stages = [block.stage for block in blocks]
    assert stages == sorted(stages, key=lambda stage: (stage != "stem", stage))
    assert expected in (None, dict(Counter(stages)))


def has_weights(build):
    return build not in (CSPYOLOv5, Darknet53)


def test_the_blocks_of_a_plain_transformer_are_its_stages():
    blocks = TimmBackbone(model="test_vit", levels=(4,)).ordered_blocks()
    assert blocks[0].stage == "stem"
    assert "model.model.pos_embed" in blocks[0].parameters
    assert [block.stage for block in blocks[1:]] == [f"stage{n}" for n in range(1, len(blocks))]
    assert all(f".blocks.{n}." in name for n, b in enumerate(blocks[1:]) for name in b.parameters)


def test_backbones_around_others_list_the_inner_blocks():
    inner = ResNet18().ordered_blocks()
    outer = DeformableBackbone(backbone=ResNet18(), levels=(5,)).ordered_blocks()
    assert [block.stage for block in outer] == [block.stage for block in inner]
    assert outer[0].parameters == tuple(f"backbone.{name}" for name in inner[0].parameters)


def test_the_layers_of_a_pyramid_are_in_no_block():
    pyramid = SimplePyramid(backbone=TimmBackbone(model="test_vit", levels=(4,)), out_channels=8)
    names = {name for block in pyramid.ordered_blocks() for name in block.parameters}
    assert not any(name.startswith("branches.") for name in names)
    assert len(names) == sum(1 for _ in pyramid.backbone.parameters())
