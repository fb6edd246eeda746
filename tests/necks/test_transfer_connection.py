"""RefineDet's transfer connections."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.necks.transfer_connection import TransferConnection
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(3, 8), FeatureSpec(5, 16)]


def maps(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, spec.channels, *size, generator=generator)
        for spec, size in zip(SPECS, sizes, strict=True)
    ]


def test_a_coarse_level_is_added_to_the_finer_one():
    neck = TransferConnection(feature_specs=SPECS, out_channels=4)
    fine, coarse = maps((4, 6), (2, 3))
    top = F.relu(neck.output[1](F.relu(neck.entry[1](coarse))))
    added = neck.entry[0](fine) + neck.enlarge[0](top)
    torch.testing.assert_close(neck([fine, coarse]), [F.relu(neck.output[0](F.relu(added))), top])


@pytest.mark.parametrize("size", [(3, 5), (5, 7)])  # of backbones that round up or down
def test_odd_maps_keep_their_size(size):
    neck = TransferConnection(feature_specs=SPECS, out_channels=4)
    assert [level.shape[-2:] for level in neck(maps(size, (2, 3)))] == [size, (2, 3)]


def test_enlarging_keeps_the_variance():
    torch.manual_seed(0)
    neck = TransferConnection(feature_specs=SPECS, out_channels=256)
    assert neck.enlarge[0](torch.randn(4, 256, 8, 8)).var().item() == pytest.approx(1, rel=0.1)
    assert isinstance(neck.enlarge[0], nn.ConvTranspose2d)


def test_levels_with_a_gap_are_refused():
    with pytest.raises(UserError, match=r"'transfer_connection' needs levels .* 8, 32"):
        TransferConnection(feature_specs=[FeatureSpec(3, 8), FeatureSpec(3, 32)])
