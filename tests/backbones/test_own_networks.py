"""Darknet-53, CSPDarknet-53 and YOLOv5's backbone: sizes as published, strides, frozen stages."""

import pytest
import torch

from detkit.backbones.csp_darknet_tiny import CSPDarknetTiny
from detkit.backbones.csp_yolo11 import CSPYOLO11
from detkit.backbones.csp_yolov5 import CSPYOLOv5
from detkit.backbones.darknet import CSPDarknet53, Darknet53
from detkit.backbones.darknet19 import Darknet19, TinyDarknet
from detkit.errors import UserError
from detkit.structures import FeatureSpec

CLASSIFIER = 1024 * 1000 + 1000  # of ImageNet, which published counts include
TINY = {"depth": 0.33, "width": 0.125}


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("network", "expected"), [(Darknet53, 41_609_928), (CSPDarknet53, 27_642_184)]
)
def test_parameters_are_those_published_with_the_classifier(network, expected):
    with torch.device("meta"):  # 41.6 M and 27.6 M
        assert parameters(network()) + CLASSIFIER == expected


@pytest.mark.parametrize(
    ("depth", "width", "channels"),
    [
        (0.33, 0.25, [64, 128, 256]),
        (0.33, 0.5, [128, 256, 512]),
        (0.67, 0.75, [192, 384, 768]),
        (1.33, 1.25, [320, 640, 1280]),
        (1.0, 0.3, [80, 160, 312]),  # 76.8, 153.6, 307.2 up to a multiple of 8
    ],
)
def test_channels_follow_the_width(depth, width, channels):
    with torch.device("meta"):
        specs = CSPYOLOv5(depth=depth, width=width).feature_specs
    assert specs == [FeatureSpec(c, s) for c, s in zip(channels, [8, 16, 32], strict=True)]


@pytest.mark.parametrize(
    ("depth", "blocks"), [(0.33, [1, 2, 3, 1]), (0.67, [2, 4, 6, 2]), (1.0, [3, 6, 9, 3])]
)
def test_blocks_follow_the_depth(depth, blocks):
    with torch.device("meta"):
        stages = CSPYOLOv5(depth=depth, width=0.25).stages
    assert [len(stage[1].blocks) for stage in stages[1:]] == blocks


def test_coarse_stages_of_yolo11_have_csp_stages_as_blocks():
    with torch.device("meta"):
        stages = CSPYOLO11(depth=0.5, width=0.25, nested_stages=2).stages[1:]
    kinds = [type(block).__name__ for stage in stages for block in stage[1].blocks]
    assert kinds == ["Residual", "Residual", "CSPStage", "CSPStage"]
    assert [stage[1].entry.conv.out_channels for stage in stages] == [32, 64, 128, 256]


@pytest.mark.parametrize("network", [Darknet53, CSPDarknet53, CSPYOLOv5, CSPYOLO11])
def test_maps_are_what_the_specs_say(network):
    with torch.device("meta"):
        backbone = network(levels=(1, 2, 3, 4, 5))
        found = backbone(torch.zeros(2, 3, 64, 96))
    assert [spec.stride for spec in backbone.feature_specs] == [2, 4, 8, 16, 32]
    for level, spec in zip(found, backbone.feature_specs, strict=True):
        assert level.shape == (2, spec.channels, 64 // spec.stride, 96 // spec.stride)


def test_stages_that_nobody_reads_are_left_out():
    with torch.device("meta"):
        assert len(Darknet53(levels=(2, 3)).stages) == 3


def test_all_parameters_learn():
    backbone = CSPYOLOv5(**TINY)
    sum(level.square().sum() for level in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_frozen_stages_neither_learn_nor_count():
    backbone = CSPYOLOv5(**TINY, frozen_stages=2).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    sum(level.sum() for level in backbone(torch.randn(2, 3, 64, 64))).backward()
    for name, parameter in backbone.named_parameters():
        frozen = name.startswith(("stages.0.", "stages.1."))
        assert parameter.requires_grad is not frozen
        assert (parameter.grad is None) is frozen
    after = backbone.state_dict()
    changed = {name.split(".")[1] for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"2", "3", "4"}  # running statistics


@pytest.mark.parametrize("norm", ["frozen_batch", "group"])
def test_the_norm_is_a_choice(norm):
    backbone = CSPYOLOv5(**TINY, norm=norm)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in backbone.modules())
    assert all(level.isfinite().all() for level in backbone(torch.randn(1, 3, 32, 32)))


def test_levels_out_of_order_are_refused():
    with pytest.raises(UserError, match=r"levels \[5, 3\] are not in order"):
        CSPYOLOv5(**TINY, levels=(5, 3))


def test_darknet19_and_its_tiny_variant_have_darknets_channels():
    with torch.device("meta"):
        network, tiny = Darknet19(levels=(1, 2, 3, 4, 5)), TinyDarknet(levels=(1, 2, 3, 4, 5))
        image = torch.zeros(1, 3, 64, 64)
        for built, channels in (
            (network, [64, 128, 256, 512, 1024]),
            (tiny, [32, 64, 128, 256, 1024]),
        ):
            shapes = [tuple(level.shape[1:]) for level in built(image)]
            assert shapes == [(c, 32 >> i, 32 >> i) for i, c in enumerate(channels)]
            strides = [2, 4, 8, 16, 32]
            assert built.feature_specs == [
                FeatureSpec(*pair) for pair in zip(channels, strides, strict=True)
            ]


def test_the_network_of_tiny_yolov4_publishes_half_of_what_its_stages_pass_on():
    with torch.device("meta"):
        backbone = CSPDarknetTiny(levels=(1, 2, 3, 4, 5))
        shapes = [tuple(level.shape[1:]) for level in backbone(torch.zeros(1, 3, 64, 64))]
        passed_on = backbone.stages[1](torch.zeros(1, 32, 32, 32)).shape[1]
    channels = [32, 64, 128, 256, 512]
    assert shapes == [(c, 32 >> i, 32 >> i) for i, c in enumerate(channels)]
    assert [spec.channels for spec in backbone.feature_specs] == channels
    assert passed_on == 128
