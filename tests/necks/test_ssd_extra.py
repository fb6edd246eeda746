"""SSD's extra levels."""

import pytest
import torch
from torch import nn

from detkit.errors import UserError
from detkit.necks.ssd_extra import SSDExtra, SSDliteExtra
from detkit.structures import FeatureSpec

TWO = [FeatureSpec(6, 8), FeatureSpec(8, 16)]
SMALL = {"channels": (8, 4, 4, 4)}


def maps(*sides):
    torch.manual_seed(0)
    return [
        torch.randn(2, spec.channels, side, side) for spec, side in zip(TWO, sides, strict=False)
    ]


def sides_of(levels):
    return [level.shape[-1] for level in levels]


def test_levels_of_ssd300():
    neck = SSDExtra(feature_specs=TWO, shrink=("half", "half", "less_two", "less_two"), **SMALL)
    assert sides_of(neck(maps(38, 19))) == [38, 19, 10, 5, 3, 1]
    assert [spec.stride for spec in neck.feature_specs] == [8, 16, 32, 64, 64, 64]
    assert [spec.channels for spec in neck.feature_specs] == [6, 8, 8, 4, 4, 4]


def test_levels_of_ssd512():
    shrink = ("half",) * 4 + ("less_one",)
    neck = SSDExtra(feature_specs=TWO, levels=7, channels=(8, 4, 4, 4, 4), shrink=shrink)
    assert sides_of(neck(maps(64, 32))) == [64, 32, 16, 8, 4, 2, 1]


def test_levels_of_ssdlite():
    neck = SSDliteExtra(feature_specs=TWO, **SMALL)
    levels = neck(maps(20, 10))
    assert sides_of(levels) == [20, 10, 5, 3, 2, 1]
    assert [level.shape[1] for level in levels] == [spec.channels for spec in neck.feature_specs]
    assert [spec.stride for spec in neck.feature_specs] == [8, 16, 32, 64, 128, 256]


@pytest.mark.parametrize("build", [SSDExtra, SSDliteExtra])
def test_what_comes_in_goes_out(build):
    features = maps(20, 10)
    levels = build(feature_specs=TWO, **SMALL)(features)
    assert levels[0] is features[0]
    assert levels[1] is features[1]


@pytest.mark.parametrize("build", [SSDExtra, SSDliteExtra])
def test_behind_a_backbone_with_more_levels_the_first_extra_ones_are_left_out(build):
    three = [*TWO, FeatureSpec(10, 32)]
    neck = build(feature_specs=three, channels=(8, 7, 6, 5))
    assert [spec.channels for spec in neck.feature_specs] == [6, 8, 10, 7, 6, 5]
    assert len(build(feature_specs=three, levels=3, **SMALL).extra) == 0


def test_norm_follows_each_convolution():
    neck = SSDExtra(feature_specs=TWO, norm="batch", **SMALL)
    convs = [layer for layer in neck.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in neck.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(convs) == len(norms) == 8
    assert all(conv.bias is None for conv in convs)


def test_ssdlite_has_depthwise_convolutions_and_its_own_batch_norm():
    neck = SSDliteExtra(feature_specs=TWO, **SMALL)
    convs = [layer for layer in neck.extra[0].modules() if isinstance(layer, nn.Conv2d)]
    assert [conv.groups for conv in convs] == [1, 4, 1]
    norms = [layer for layer in neck.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(0.001, 0.03)}


@pytest.mark.parametrize(("sides", "named"), [((30, 15), "level 5 has 2 x 2"), ((8, 4), "level 4")])
def test_a_level_that_vanishes_is_named(sides, named):
    neck = SSDExtra(feature_specs=TWO, shrink=("half", "half", "less_two", "less_two"), **SMALL)
    message = rf"{named}.*SSD's priors need: resize images"
    with pytest.raises(UserError, match=message):
        neck(maps(*sides))


def test_halving_never_makes_a_level_vanish():
    neck = SSDExtra(feature_specs=TWO, **SMALL)
    assert sides_of(neck(maps(2, 1))) == [2, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("build", [SSDExtra, SSDliteExtra])
def test_counts_that_do_not_fit_are_refused(build):
    with pytest.raises(UserError, match=r"the input has 2 levels, `levels` is 1: raise"):
        build(feature_specs=TWO, levels=1)
    with pytest.raises(
        UserError, match=r"the input has 2 levels, `levels` is 8, .* lists only 4 .*: list 6"
    ):
        build(feature_specs=TWO, levels=8)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(UserError, match=r"`channels` lists 4 extra levels, but `shrink` 1"):
        SSDExtra(feature_specs=TWO, shrink=("half",))


@pytest.mark.parametrize("build", [SSDExtra, SSDliteExtra])
def test_gradients_reach_every_parameter(build):
    neck = build(feature_specs=TWO, **SMALL)
    sum(level.square().sum() for level in neck(maps(20, 10))).backward()
    assert all(parameter.grad is not None for parameter in neck.parameters())
