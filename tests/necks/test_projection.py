import torch

from detkit.necks.projection import NoNeck, Projection
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(2, 8), FeatureSpec(3, 16)]
MAPS = [torch.randn(1, 2, 8, 8), torch.randn(1, 3, 4, 4)]


def test_projection_looks_at_no_neighbour():
    neck = Projection(feature_specs=SPECS, out_channels=5, extra="none")
    found = neck(MAPS)
    cell = neck.project[0].conv(MAPS[0][:, :, 3:4, 5:6])
    torch.testing.assert_close(found[0][:, :, 3:4, 5:6], cell)
    assert neck.feature_specs == [FeatureSpec(5, 8), FeatureSpec(5, 16)]


def test_none_gives_the_same_maps():
    neck = NoNeck(feature_specs=SPECS)
    assert neck(MAPS) is MAPS
    assert neck.feature_specs == SPECS
