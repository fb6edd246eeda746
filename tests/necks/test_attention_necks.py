import pytest
import torch

from detkit.errors import UserError
from detkit.necks.attention import CBAMAttention, SAMAttention, SEAttention
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(32, 8), FeatureSpec(48, 16), FeatureSpec(64, 32)]
NECKS = [SEAttention, CBAMAttention, SAMAttention]


def maps():
    torch.manual_seed(0)
    return [torch.randn(2, s.channels, 64 // s.stride, 64 // s.stride) for s in SPECS]


@pytest.mark.parametrize("neck", NECKS)
def test_works_on_the_chosen_levels_only(neck):
    changed = neck(feature_specs=SPECS, levels=(4,))(maps())
    same = [torch.equal(level, before) for level, before in zip(changed, maps(), strict=True)]
    assert same == [True, False, True]


@pytest.mark.parametrize("neck", NECKS)
def test_weighs_by_less_than_one(neck):
    for level, before in zip(neck(feature_specs=SPECS)(maps()), maps(), strict=True):
        assert (level.abs() <= before.abs()).all()


def test_se_by_hand():
    neck = SEAttention(feature_specs=[FeatureSpec(2, 8)], reduction=2)
    block = neck.blocks[0]
    with torch.no_grad():
        for layer, weight in ((block.fc1, [[1.0, 1.0]]), (block.fc2, [[1.0], [-1.0]])):
            layer.weight.copy_(torch.tensor(weight)[:, :, None, None])
            layer.bias.zero_()
    features = torch.tensor([[[[1.0, 3.0]], [[0.0, 2.0]]]])  # means 2 and 1: logits +3 and -3
    weights = torch.tensor([3.0, -3.0]).sigmoid().view(1, 2, 1, 1)
    torch.testing.assert_close(neck([features])[0], features * weights)


def test_a_level_that_does_not_come_in_is_refused():
    message = r"neck 'cbam': `levels` is \[2, 3\], but the input has levels \[3, 4, 5\]"
    with pytest.raises(UserError, match=message):
        CBAMAttention(feature_specs=SPECS, levels=(2, 3))
