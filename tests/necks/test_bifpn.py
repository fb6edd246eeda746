import pytest
import torch
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.necks.bifpn import BiFPN, Fusion
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(2, 8), FeatureSpec(3, 16), FeatureSpec(4, 32)]


def test_fusion_by_hand():
    fusion = Fusion(3, 1, "none")
    with torch.no_grad():
        fusion.weights.copy_(torch.tensor([1.0, 3.0, -2.0]))
    maps = [torch.full((1, 1, 2, 2), value) for value in (2.0, 6.0, 100.0)]
    expected = (1 * 2 + 3 * 6) / (4 + 1e-4)
    torch.testing.assert_close(fusion.fuse(maps), torch.full((1, 1, 2, 2), expected))


def test_one_repeat_is_that_of_the_paper():
    torch.manual_seed(0)
    neck = BiFPN(feature_specs=SPECS, out_channels=4, repeats=1, extra="none", norm="none")
    features = [torch.randn(2, s.channels, 64 // s.stride, 64 // s.stride) for s in SPECS]
    p3, p4, p5 = (project(level) for project, level in zip(neck.project, features, strict=True))
    up3, up4 = neck.repeats[0].upward
    down4, down5 = neck.repeats[0].downward
    middle = up4([p4, F.interpolate(p5, scale_factor=2)])
    out3 = up3([p3, F.interpolate(middle, scale_factor=2)])
    out4 = down4([p4, middle, F.max_pool2d(out3, 3, 2, 1)])
    out5 = down5([p5, F.max_pool2d(out4, 3, 2, 1)])
    for level, expected in zip(neck(features), (out3, out4, out5), strict=True):
        torch.testing.assert_close(level, expected)


@pytest.mark.parametrize("extra", ["none", "pool", "p6p7_on_p5", "p6p7_on_c5"])
def test_extra_levels_are_fused_too(extra):
    neck = BiFPN(feature_specs=SPECS, out_channels=8, extra=extra)
    strides = [8, 16, 32, 64, 128][: {"none": 3, "pool": 4}.get(extra, 5)]
    assert neck.feature_specs == [FeatureSpec(8, stride) for stride in strides]
    assert len(neck.repeats) == 3
    assert all(len(repeat.downward) == len(strides) - 1 for repeat in neck.repeats)


def test_maps_of_backbones_that_round_down_fit():
    neck = BiFPN(feature_specs=SPECS, out_channels=8)
    sizes = [(9, 13), (4, 6), (2, 3)]
    found = neck([torch.randn(2, s.channels, *size) for s, size in zip(SPECS, sizes, strict=True)])
    assert [tuple(level.shape[2:]) for level in found] == [*sizes, (1, 2), (1, 1)]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (SPECS[:2], r"neck 'bifpn' needs 3 or more feature levels, got 2 "),
        ([SPECS[0], SPECS[2], FeatureSpec(4, 64)], r"neck 'bifpn' .* got strides 8, 32, 64: list"),
    ],
)
def test_levels_that_do_not_fit_are_refused(specs, message):
    with pytest.raises(UserError, match=message):
        BiFPN(feature_specs=specs)
