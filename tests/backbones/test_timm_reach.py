import pytest
import torch

from detkit.backbones.timm import TimmBackbone
from detkit.errors import UserError

SMALL = "mobilenetv3_small_050"
IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("model", "levels"),
    [
        (SMALL, (2, 3)),
        pytest.param("legacy_xception", (3, 4), marks=pytest.mark.slow),
        ("test_resnet", (3, 4)),
    ],
)
# pain 15
def test_each_trained_parameter_gets_a_gradient(model, levels):
    backbone = TimmBackbone(model=model, levels=levels)
    sum(level.sum() for level in backbone(IMAGES)).backward()
    trained = [(n, p) for n, p in backbone.named_parameters() if p.requires_grad]
    assert [n for n, p in trained if p.grad is None] == []
    assert trained


@pytest.mark.slow
def test_blocks_that_lead_to_no_map_are_dropped():
    whole, fine = TimmBackbone(model=SMALL, levels=(5,)), TimmBackbone(model=SMALL, levels=(3,))
    assert not [n for n in fine.state_dict() if n.startswith("model.blocks.3")]
    assert [n for n in whole.state_dict() if n.startswith("model.blocks.3")]
    fine.load_state_dict({n: whole.state_dict()[n] for n in fine.state_dict()})
    both = TimmBackbone(model=SMALL, levels=(3, 5))
    both.load_state_dict(whole.state_dict())
    assert torch.equal(fine.eval()(IMAGES)[0], both.eval()(IMAGES)[0])


@pytest.mark.slow
def test_frozen_stages_do_not_learn_and_keep_their_statistics():
    backbone = TimmBackbone(model=SMALL, frozen_stages=3).train()
    sum(level.sum() for level in backbone(IMAGES)).backward()
    learning = {
        ".".join(n.split(".")[1:3]) for n, p in backbone.named_parameters() if p.requires_grad
    }
    assert learning == {f"blocks.{number}" for number in (2, 3, 4, 5)}
    means = {
        ".".join(n.split(".")[1:3])
        for n, b in backbone.named_buffers()
        if n.endswith("running_mean") and b.any()
    }
    assert means == learning


def test_freezing_nothing_is_refused():
    with pytest.raises(UserError, match=r"freezes nothing .* stride 4: use 2 or more, or 0"):
        TimmBackbone(model="convnext_atto", frozen_stages=1)


def test_a_model_of_one_image_size_is_refused():
    message = r"'maxvit_tiny_tf_224' takes no images of other sizes than 224 x 224: choose"
    with torch.device("meta"), pytest.raises(UserError, match=message):
        TimmBackbone(model="maxvit_tiny_tf_224")
