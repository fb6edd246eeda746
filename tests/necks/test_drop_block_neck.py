import pytest
import torch

from detkit.necks.drop_block import DropBlock
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(16, 8)]
MAPS = [torch.ones(4, 16, 20, 20)]


def test_keeps_less_and_less():
    neck = DropBlock(feature_specs=SPECS, keep_probability=0.8, steps=4)
    shares = []
    for _ in range(6):
        shares.append(float(neck.keep_probability()))
        neck(MAPS)
    assert shares == pytest.approx([1, 0.95, 0.9, 0.85, 0.8, 0.8])


def test_without_a_schedule_it_starts_at_once():
    neck = DropBlock(feature_specs=SPECS, keep_probability=0.8, steps=0)
    torch.manual_seed(0)
    (found,) = neck(MAPS)
    assert abs((found > 0).float().mean() - 0.8) < 0.05
    assert abs(found.mean() - 1) < 1e-5


def test_does_nothing_in_evaluation():
    neck = DropBlock(feature_specs=SPECS, keep_probability=0.5, steps=0).eval()
    assert neck(MAPS)[0] is MAPS[0]
    assert neck.seen == 0


def test_the_schedule_continues_from_a_checkpoint():
    neck = DropBlock(feature_specs=SPECS, steps=4)
    for _ in range(3):
        neck(MAPS)
    other = DropBlock(feature_specs=SPECS, steps=4)
    other.load_state_dict(neck.state_dict())
    assert other.keep_probability() == neck.keep_probability() < 1
