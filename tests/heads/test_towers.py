import pytest
import torch

from detkit.errors import UserError
from detkit.heads.towers import Towers
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(4, 8), FeatureSpec(4, 16)]
torch.manual_seed(0)
FEATURES = [torch.randn(2, 4, 2, 3), torch.randn(2, 4, 1, 2)]
PRIORS = (2 * 3 + 1 * 2) * 2


def towers(**changes):
    values = {
        "feature_specs": SPECS,
        "per_cell": [2, 2],
        "num_classes": 3,
        "class_activation": "sigmoid",
        "code_size": 4,
        "convs": 1,
        "norm": "none",
        "with_quality": True,
        "level_scales": True,
    }
    return Towers(**{**values, **changes})


def test_shapes_are_those_of_the_contract():
    predictions = towers()(FEATURES)
    assert predictions.class_logits.shape == (2, PRIORS, 3)
    assert predictions.box_codes.shape == (2, PRIORS, 4)
    assert predictions.quality.shape == (2, PRIORS)
    assert towers(with_quality=False)(FEATURES).quality is None


def test_order_is_level_row_column_prior():
    layers = towers(convs=0, per_cell=[2, 2], level_scales=False)
    with torch.no_grad():
        layers.box_layer.weight.zero_()
        layers.box_layer.weight[:, 0, 1, 1] = 1  # each value is the cell's first channel
        layers.box_layer.bias.copy_(torch.arange(8) / 10)  # and says which value it is
    cells = [torch.zeros(1, 4, 2, 3), torch.zeros(1, 4, 1, 2)]
    cells[0][0, 0] = torch.tensor([[0, 1, 2], [3, 4, 5]])
    cells[1][0, 0] = torch.tensor([[6, 7]])
    codes = layers(cells).box_codes[0]  # (P, 4)
    expected = torch.arange(8)[:, None, None] + torch.arange(8).view(1, 2, 4) / 10
    torch.testing.assert_close(codes, expected.reshape(16, 4))


def test_an_untrained_head_answers_with_the_prior_probability():
    scores = towers()([torch.zeros(1, 4, 2, 3)] * 2).class_logits.sigmoid()
    torch.testing.assert_close(scores, torch.full_like(scores, 0.01))


def test_softmax_has_a_logit_for_background():
    logits = towers(class_activation="softmax", prior_probability=0.03)([FEATURES[0] * 0] * 2)
    probabilities = logits.class_logits.softmax(dim=-1)[0, 0]
    torch.testing.assert_close(probabilities, torch.tensor([0.01, 0.01, 0.01, 0.97]))


def test_each_level_has_its_own_scale_on_the_box_codes_only():
    layers = towers()
    before = layers(FEATURES)
    with torch.no_grad():
        layers.scales[1] = 3
    after = layers(FEATURES)
    assert torch.equal(after.box_codes[:, :12], before.box_codes[:, :12])
    torch.testing.assert_close(after.box_codes[:, 12:], 3 * before.box_codes[:, 12:])
    assert torch.equal(after.quality, before.quality)


@pytest.mark.parametrize("norm", ["none", "group"])
def test_levels_share_all_else(norm):
    names = {name.split(".")[0] for name, _ in towers(norm=norm, convs=2).named_parameters()}
    assert names == {
        *("class_tower", "box_tower", "class_layer", "box_layer", "quality_layer", "scales")
    }


def test_levels_with_different_channels_are_brought_to_those_of_the_finest():
    layers = towers(feature_specs=[FeatureSpec(4, 8), FeatureSpec(8, 16)])
    wider = torch.cat([FEATURES[1], FEATURES[1]], dim=1)  # (2, 8, 1, 2)
    assert layers([FEATURES[0], wider]).class_logits.shape == (2, PRIORS, 3)
    layers.entry[0] = torch.nn.Identity()
    layers.entry[1] = torch.nn.Conv2d(8, 4, 1, bias=False)
    with torch.no_grad():
        layers.entry[1].weight[:] = torch.eye(4).repeat(1, 2)[..., None, None] / 2
    expected = towers()
    expected.load_state_dict(layers.state_dict(), strict=False)
    for value, other in zip(layers([FEATURES[0], wider]), expected(FEATURES), strict=True):
        torch.testing.assert_close(value, other)


def test_levels_with_different_priors_are_refused():
    with pytest.raises(UserError, match=r"same priors per cell on each, got \[2, 3\]"):
        towers(per_cell=[2, 3])


@pytest.mark.parametrize(("tower", "other"), [("class", "box"), ("box", "class")])
def test_the_quality_comes_from_the_chosen_tower(tower, other):
    layers = towers(quality_tower=tower)
    layers(FEATURES).quality.sum().backward()
    assert layers.get_submodule(f"{tower}_tower.0.conv").weight.grad.abs().sum() > 0
    assert layers.get_submodule(f"{other}_tower.0.conv").weight.grad is None
