"""Neck 'balanced_pyramid' keeps its family's contract, and balances the levels."""

import pytest
import torch

from detkit import registry
from detkit.contracts import cases
from detkit.errors import UserError
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(8, 8), FeatureSpec(8, 16), FeatureSpec(8, 32)]


@pytest.mark.parametrize("case", cases("neck", "balanced_pyramid"), ids=str)
def test_contract(case):
    case()


def test_each_level_gets_the_mean_of_all():
    neck = registry.get("neck", "balanced_pyramid")(feature_specs=SPECS, refined_stride=16)
    torch.nn.init.zeros_(neck.refine.out.weight)
    torch.nn.init.zeros_(neck.refine.out.bias)
    levels = [
        torch.full((1, 8, side, side), value) for side, value in ((8, 1.0), (4, 2.0), (2, 6.0))
    ]
    assert [level.unique().tolist() for level in neck(levels)] == [[4.0], [5.0], [9.0]]


def test_levels_of_different_channels_are_refused():
    with pytest.raises(UserError, match=r"equal channels, got \[4, 8\]: put a neck such as 'fpn'"):
        registry.get("neck", "balanced_pyramid")(feature_specs=[*SPECS, FeatureSpec(4, 64)])
