"""Stacked hourglass: shapes, published size, and the network of MMDetection."""

import re
import sys
from unittest.mock import MagicMock

import pytest
import torch
from torch.testing import assert_close

from detkit.backbones.hourglass import Hourglass104, StackedHourglass
from detkit.errors import UserError
from detkit.structures import FeatureSpec

SMALL = {"stacks": 3, "channels": (16, 24, 32), "blocks": (1, 2, 3), "levels": (2, 3, 4)}


def test_levels_of_hourglass104():
    with torch.device("meta"):
        backbone = Hourglass104(levels=(2, 3, 4, 5, 6, 7))
        levels = backbone(torch.zeros(1, 3, 511, 511))
    channels = [256, 256, 384, 384, 384, 512]
    assert backbone.feature_specs == [FeatureSpec(c, 4 * 2**n) for n, c in enumerate(channels)]
    assert [level.shape for level in levels] == [
        (1, c, 128 // 2**n, 128 // 2**n) for n, c in enumerate(channels)
    ]


@pytest.mark.parametrize("size", [(64, 64), (50, 70)])
def test_maps_of_any_size_and_gradients_of_every_parameter(size):
    backbone = StackedHourglass(**SMALL)
    level = backbone(torch.rand(2, 3, *size))[0]
    assert level.shape == (2, 16, -(-size[0] // 4), -(-size[1] // 4))
    level.square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_levels_with_gaps_are_refused():
    with pytest.raises(UserError, match=r"\[2, 4\]"):
        StackedHourglass(levels=(2, 4))


def test_all_stacks_return_their_output_at_stride_4():
    small = {**SMALL, "levels": (2,)}
    backbone = StackedHourglass(**small, all_stacks=True).eval()
    assert backbone.feature_specs == [FeatureSpec(16, 4)] * 3
    last_alone = StackedHourglass(**small).eval()
    last_alone.load_state_dict(backbone.state_dict())
    images = torch.rand(1, 3, 32, 48)
    assert [level.shape for level in backbone(images)] == [(1, 16, 8, 12)] * 3
    assert torch.equal(backbone(images)[-1], last_alone(images)[0])


def test_coarser_levels_beside_all_stacks_are_refused():
    with pytest.raises(UserError, match=r"stride 4 only, got levels \[2, 3\]: set levels=\[2\]"):
        StackedHourglass(levels=(2, 3), all_stacks=True)


def test_depths_without_blocks_are_refused():
    with pytest.raises(UserError, match="lists 4 depths, but `blocks` 2: list the same number"):
        StackedHourglass(blocks=(1, 1))


@pytest.fixture
def mmdet_hourglass(monkeypatch):
    """MMDetection's network, with a substitute for compiled operations that it does not use."""
    pytest.importorskip("mmengine", reason="the reference is MMDetection, which is not installed")
    compiled = MagicMock(__file__="", __spec__=None)
    monkeypatch.setitem(sys.modules, "mmcv._ext", compiled)
    return pytest.importorskip("mmdet.models.backbones.hourglass").HourglassNet


RENAMED = (
    (r"\.bn\.", ".norm."),
    (r"downsample\.0", "downsample.conv"),
    (r"downsample\.1", "downsample.norm"),
    (r"(stem\.1|inters\.\d)\.0", r"\1"),
    ("inters", "between"),
    ("hourglass_modules", "hourglasses"),
    ("up1", "skip"),
    ("low1", "down"),
    ("low2", "inner"),
    ("low3", "up"),
    ("out_convs", "outputs"),
    ("conv1x1s", "from_input"),
    ("remap_convs", "from_output"),
)


def our_name(name):
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


@pytest.mark.slow
def test_equals_mmdetection_with_the_same_weights(mmdet_hourglass):
    torch.manual_seed(0)
    theirs = mmdet_hourglass(2, 3, (16, 24, 32), (1, 2, 3), 16, norm_cfg={"type": "BN"})
    ours = StackedHourglass(**{**SMALL, "levels": (2,)}, all_stacks=True)
    ours.load_state_dict({our_name(name): value for name, value in theirs.state_dict().items()})
    outputs, gradients = [], []
    for network in (ours, theirs):
        images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
        maps = network(images.requires_grad_())
        assert len(maps) == 3
        output = torch.stack(list(maps))
        output.square().sum().backward()
        outputs.append(output)
        gradients.append(images.grad)
    assert_close(*outputs, rtol=1e-5, atol=1e-5)
    assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_hourglass104_has_the_tensors_of_mmdetection(mmdet_hourglass):
    with torch.device("meta"):
        theirs, ours = mmdet_hourglass().state_dict(), Hourglass104().state_dict()
    assert {our_name(n): v.shape for n, v in theirs.items()} == {
        n: v.shape for n, v in ours.items()
    }
