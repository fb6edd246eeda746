import re

import pytest
import torch
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from detkit.errors import UserError
from detkit.necks.fpn import FPN
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(4, 8), FeatureSpec(6, 16), FeatureSpec(10, 32)]


def maps(height=20, width=28):
    torch.manual_seed(0)
    sizes = [(height, width)]
    for _ in SPECS[1:]:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    return [torch.randn(2, spec.channels, *size) for spec, size in zip(SPECS, sizes, strict=True)]


def our_name(name):
    name = re.sub(r"inner_blocks\.(\d+)\.0", r"lateral.\1.conv", name)
    name = re.sub(r"layer_blocks\.(\d+)\.0", r"output.\1.conv", name)
    return name.replace("extra_blocks.", "extra.")


@pytest.mark.parametrize(
    ("extra", "strides"),
    [
        ("none", [8, 16, 32]),
        ("pool", [8, 16, 32, 64]),
        ("p6p7_on_p5", [8, 16, 32, 64, 128]),
        ("p6p7_on_c5", [8, 16, 32, 64, 128]),
    ],
)
def test_levels_have_the_published_channels_and_strides(extra, strides):
    neck = FPN(feature_specs=SPECS, out_channels=12, extra=extra)
    assert neck.feature_specs == [FeatureSpec(12, stride) for stride in strides]
    sizes = [tuple(level.shape) for level in neck(maps())]
    assert sizes == [(2, 12, -(-160 // stride), -(-224 // stride)) for stride in strides]


@pytest.mark.parametrize(
    ("extra", "block"),
    [
        ("none", None),
        ("pool", LastLevelMaxPool()),
        ("p6p7_on_p5", LastLevelP6P7(12, 12)),
        ("p6p7_on_c5", LastLevelP6P7(10, 12)),
    ],
)
def test_equals_torchvision(extra, block):
    ours = FPN(feature_specs=SPECS, out_channels=12, extra=extra)
    theirs = FeaturePyramidNetwork([4, 6, 10], 12, extra_blocks=block)
    ours.load_state_dict({our_name(name): value for name, value in theirs.state_dict().items()})
    features = maps(21, 29)  # odd sizes, so that upsampling by 2 would not fit
    expected = theirs({str(i): level for i, level in enumerate(features)}).values()
    for level, other in zip(ours(features), expected, strict=True):
        assert torch.equal(level, other)


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("extra", ["none", "pool", "p6p7_on_p5", "p6p7_on_c5"])
def test_all_parameters_learn(norm, extra):
    neck = FPN(feature_specs=SPECS, out_channels=12, extra=extra, norm=norm)
    sum(level.square().sum() for level in neck(maps())).backward()
    assert all(parameter.grad is not None for parameter in neck.parameters())


def test_batch_equals_single():
    neck = FPN(feature_specs=SPECS, out_channels=12, norm="group")
    single = neck([level[:1] for level in maps()])
    for level, alone in zip(neck(maps()), single, strict=True):
        torch.testing.assert_close(level[:1], alone)


def test_too_few_levels_are_refused():
    message = (
        r"neck 'fpn' needs 3 or more feature levels, got 2 from the backbone \(strides 16, 32\): "
        "raise model.backbone.levels"
    )
    with pytest.raises(UserError, match=message):
        FPN(feature_specs=SPECS[1:])


def test_fewer_levels_fit_where_the_user_says_so():
    neck = FPN(feature_specs=SPECS[2:], min_levels=1, extra="none")
    assert [spec.stride for spec in neck.feature_specs] == [32]


def test_the_finest_level_alone_is_that_of_the_whole_pyramid():
    whole = FPN(feature_specs=SPECS, out_channels=12, extra="none")
    finest = FPN(feature_specs=SPECS, out_channels=12, extra="none", finest=1)
    finest.load_state_dict(whole.state_dict(), strict=False)
    assert finest.feature_specs == [FeatureSpec(12, 8)]
    (level,) = finest(maps())
    assert torch.equal(level, whole(maps())[0])
    level.sum().backward()
    assert all(parameter.grad is not None for parameter in finest.parameters())


def test_extra_levels_that_the_finest_exclude_are_refused():
    with pytest.raises(UserError, match="finest=1 drops the coarse levels that extra=pool adds"):
        FPN(feature_specs=SPECS, extra="pool", finest=1)


def test_the_last_level_can_see_negative_values():
    neck = FPN(feature_specs=SPECS, out_channels=12, relu_before_extra=False)
    levels = neck(maps())
    assert (levels[3] < 0).any()
    torch.testing.assert_close(levels[4], neck.extra.p7(levels[3]))
