import pytest
import timm
import torch
from safetensors.torch import save_file

from detkit.backbones.timm import TimmBackbone
from detkit.errors import UserError
from detkit.structures import FeatureSpec

SMALL = "mobilenetv3_small_050"
torch.manual_seed(0)
IMAGES = torch.randn(2, 3, 64, 96)


@pytest.mark.parametrize(
    ("model", "levels", "specs"),
    [
        (SMALL, (2, 3, 4, 5), [(8, 4), (16, 8), (24, 16), (288, 32)]),
        # dla34 has a first map that timm hides by default.
        pytest.param("dla34", (3, 5), [(128, 8), (512, 32)], marks=pytest.mark.slow),
        ("vit_tiny_patch16_224", (4,), [(192, 16)]),
        pytest.param(  # channels last
            *("swin_tiny_patch4_window7_224", (2, 3), [(96, 4), (192, 8)]), marks=pytest.mark.slow
        ),
    ],
)
def test_maps_have_the_published_channels_and_strides(model, levels, specs):
    backbone = TimmBackbone(model=model, levels=levels)
    assert backbone.feature_specs == [FeatureSpec(*spec) for spec in specs]
    for features, (channels, stride) in zip(backbone(IMAGES), specs, strict=True):
        assert features.shape == (2, channels, 64 // stride, 96 // stride)


def test_all_parameters_learn():
    backbone = TimmBackbone(model=SMALL, levels=(3, 4, 5))
    sum(level.sum() for level in backbone(IMAGES)).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"no model 'convnext_tinny'. Did you mean 'convnext_tiny'"):
        TimmBackbone(model="convnext_tinny")


@pytest.mark.parametrize("model", ["hf-hub:someone/model", "local-dir:folder", "../model"])
def test_a_place_is_no_name_of_a_model(model):
    with pytest.raises(UserError, match=f"has no model '{model}'"):
        TimmBackbone(model=model)


def test_unknown_level_is_refused_with_those_that_there_are():
    with pytest.raises(UserError, match=r"has no levels \[3, 6\]: it gives levels \[1, 2, 3, 4, 5"):
        TimmBackbone(model=SMALL, levels=(3, 6))


def test_model_without_feature_maps_is_refused(monkeypatch):
    def create_model(*_, **__):
        raise AttributeError("feature_info")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(UserError, match="gives no feature maps"):
        TimmBackbone(model=SMALL)


@pytest.mark.parametrize("file", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("model", ["convnext_atto", "vit_tiny_patch16_224"])
def test_weights_of_a_file_are_loaded(tmp_path, model, file):
    whole = timm.create_model(model, pretrained=False)
    save = save_file if file.endswith("safetensors") else torch.save
    save(whole.state_dict(), tmp_path / file)
    backbone = TimmBackbone(model=model, levels=(4,), checkpoint=str(tmp_path / file))
    expected = whole.forward_intermediates(IMAGES.new_ones(1, 3, 224, 224), intermediates_only=True)
    found = backbone.eval()(IMAGES.new_ones(1, 3, 224, 224))[0]
    assert any(torch.equal(found, level) for level in expected if level.shape == found.shape)


def test_weights_of_another_model_are_refused(tmp_path):
    save_file(timm.create_model(SMALL).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match=r"do not fit: of \d+ tensors \d+ .* are missing"):
        TimmBackbone(model="convnext_atto", checkpoint=str(tmp_path / "weights.safetensors"))


def test_unreachable_weights_say_what_to_do(monkeypatch):
    create_model = timm.create_model

    def offline(*arguments, pretrained, **others):
        if pretrained:
            raise ConnectionError("no network")
        return create_model(*arguments, pretrained=False, **others)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=r"could not be fetched \(no network\).*local file"):
        TimmBackbone(model=SMALL, pretrained=True)


def test_model_without_published_weights_is_refused():
    with pytest.raises(UserError, match="no published weights for 'seresnet18'"):
        TimmBackbone(model="seresnet18", pretrained=True)


def test_two_sources_of_weights_are_refused():
    with pytest.raises(UserError, match="choose one of them"):
        TimmBackbone(model=SMALL, pretrained=True, checkpoint="weights.pth")
