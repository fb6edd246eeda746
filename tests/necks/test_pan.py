import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.necks.pan import PAN
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(2, 8), FeatureSpec(3, 16), FeatureSpec(4, 32)]


def test_the_way_back_is_that_of_the_paper():
    torch.manual_seed(0)
    neck = PAN(feature_specs=SPECS, out_channels=5, extra="none")
    features = [torch.randn(2, s.channels, 64 // s.stride, 64 // s.stride) for s in SPECS]
    p3, p4, p5 = neck.top_down(features)
    n4 = F.relu(neck.merging[0].conv(F.relu(neck.halving[0].conv(p3)) + p4))
    n5 = F.relu(neck.merging[1].conv(F.relu(neck.halving[1].conv(n4)) + p5))
    for level, expected in zip(neck(features), (p3, n4, n5), strict=True):
        torch.testing.assert_close(level, expected)


def test_maps_of_backbones_that_round_down_fit():
    neck = PAN(feature_specs=SPECS, out_channels=4)
    sizes = [(9, 13), (4, 6), (2, 3)]
    found = neck([torch.randn(1, s.channels, *size) for s, size in zip(SPECS, sizes, strict=True)])
    assert [tuple(level.shape[2:]) for level in found] == [*sizes, (1, 2), (1, 1)]


def test_all_levels_hear_of_the_finest():
    neck = PAN(feature_specs=SPECS, out_channels=4, extra="pool")
    for parameter in neck.parameters():
        nn.init.constant_(parameter, 0.1)
    features = [torch.rand(1, s.channels, 64 // s.stride, 64 // s.stride) for s in SPECS]
    features[0].requires_grad_()
    for level in neck(features):
        (gradient,) = torch.autograd.grad(level.sum(), features[0], retain_graph=True)
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (SPECS[:2], r"neck 'pan' needs 3 or more feature levels, got 2 .*\(strides 8, 16\)"),
        ([SPECS[0], SPECS[2], FeatureSpec(4, 64)], r"neck 'pan' .* got strides 8, 32, 64: list"),
    ],
)
def test_levels_that_do_not_fit_are_refused(specs, message):
    with pytest.raises(UserError, match=message):
        PAN(feature_specs=specs)
