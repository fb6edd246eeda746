"""The two backbones that SSD and SSDlite bring."""

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.vgg import cfgs, make_layers

from detkit.backbones.mobilenet_ssd import MobileNetV3ForSSD
from detkit.backbones.vgg_ssd import VGG16ForRefineDet, VGG16ForSSD
from detkit.errors import UserError
from detkit.structures import FeatureSpec

BUILDERS = [VGG16ForSSD, MobileNetV3ForSSD]


def vgg_weights():
    """Those of torchvision's VGG-16; its fully connected layers take no memory."""
    torch.manual_seed(1)
    layers = nn.Sequential(*make_layers(cfgs["D"])).state_dict()
    features = {f"features.{name}": value for name, value in layers.items()}
    rows = torch.arange(4096.0)
    return {
        **features,
        "classifier.0.weight": rows[:, None].expand(-1, 25088),
        "classifier.0.bias": rows,
        "classifier.3.weight": rows[None].expand(4096, -1),
        "classifier.3.bias": -rows,
    }


@pytest.mark.parametrize(
    ("build", "levels", "specs"),
    [
        (VGG16ForSSD, (3, 4), [(512, 8), (1024, 16)]),
        (VGG16ForSSD, (2, 3, 4), [(256, 4), (512, 8), (1024, 16)]),
        (MobileNetV3ForSSD, (4, 5), [(672, 16), (480, 32)]),
        (MobileNetV3ForSSD, (2, 3, 4, 5), [(24, 4), (40, 8), (672, 16), (480, 32)]),
    ],
)
def test_maps_have_the_published_channels_and_strides(build, levels, specs):
    backbone = build(levels=levels).eval()
    assert backbone.feature_specs == [FeatureSpec(*spec) for spec in specs]
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 3, 64, 96))
    sizes = [(1, channels, 64 // stride, 96 // stride) for channels, stride in specs]
    assert [tuple(level.shape) for level in maps] == sizes


def test_maps_of_refinedet():
    with torch.device("meta"):
        backbone = VGG16ForRefineDet()
        maps = backbone(torch.zeros(1, 3, 320, 320))
    assert [tuple(level.shape[1:]) for level in maps] == [
        (512, 40, 40),
        (512, 20, 20),
        (1024, 10, 10),
    ]
    assert [spec.stride for spec in backbone.feature_specs] == [8, 16, 32]


def test_two_levels_of_refinedet_have_learned_lengths():
    with torch.no_grad():
        fine, middle, _ = VGG16ForRefineDet(scales=(7.0, 3.0))(torch.randn(1, 3, 64, 64))
    torch.testing.assert_close(fine.norm(dim=1), torch.full((1, 8, 8), 7.0))
    torch.testing.assert_close(middle.norm(dim=1), torch.full((1, 4, 4), 3.0))


@pytest.mark.parametrize("build", BUILDERS)
def test_other_levels_are_refused(build):
    with pytest.raises(UserError, match=r"does not support levels \[2, 4\]: set levels to \["):
        build(levels=(2, 4))


def test_third_pooling_rounds_up():
    with torch.device("meta"):
        maps = VGG16ForSSD()(torch.zeros(1, 3, 300, 300))
    assert [tuple(level.shape[-2:]) for level in maps] == [(38, 38), (19, 19)]


def test_cells_of_the_first_level_have_the_learned_length():
    with torch.no_grad():
        first, _ = VGG16ForSSD(first_scale=7.0)(torch.randn(1, 3, 32, 32))
    torch.testing.assert_close(first.norm(dim=1), torch.full((1, 4, 4), 7.0))


def test_an_image_without_any_feature_gives_no_nan():
    backbone = VGG16ForSSD()
    for parameter in backbone.features.parameters():
        nn.init.zeros_(parameter)
    first, _ = backbone(torch.zeros(1, 3, 32, 32))
    first.sum().backward()
    assert (first == 0).all()
    assert backbone.scale.grad.isfinite().all()


@pytest.mark.parametrize(
    "build", [VGG16ForSSD, pytest.param(VGG16ForRefineDet, marks=pytest.mark.slow)]
)
def test_vgg_weights_give_fc6_and_fc7_a_part_of_the_fully_connected_layers(tmp_path, build):
    torch.save(vgg_weights(), tmp_path / "vgg.pth")
    backbone = build(weights=str(tmp_path / "vgg.pth"))
    every_fourth = torch.arange(0, 4096.0, 4)
    assert torch.equal(backbone.features[28].weight, vgg_weights()["features.28.weight"])
    assert torch.equal(backbone.fc6.weight, every_fourth[:, None, None, None].expand(-1, 512, 3, 3))
    assert torch.equal(backbone.fc6.bias, every_fourth)
    assert torch.equal(backbone.fc7.weight[5, :, 0, 0], every_fourth)
    assert torch.equal(backbone.fc7.bias, -every_fourth)


def test_weights_without_the_convolutions_are_refused(tmp_path):
    torch.save({"classifier.6.bias": torch.zeros(2)}, tmp_path / "vgg.pth")
    with pytest.raises(UserError, match=r"do not fit: of 31 tensors 26 .* are missing"):
        VGG16ForSSD(weights=str(tmp_path / "vgg.pth"))


def test_mobilenet_takes_a_classifiers_weights(tmp_path):
    whole = models.mobilenet_v3_large()
    torch.save(whole.state_dict(), tmp_path / "a.pth")
    backbone = MobileNetV3ForSSD(weights=str(tmp_path / "a.pth"), reduced_tail=False)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_published_weights_and_a_reduced_tail_exclude_each_other():
    with pytest.raises(UserError, match="set `reduced_tail` to false"):
        MobileNetV3ForSSD(weights="imagenet")


@pytest.mark.parametrize("build", BUILDERS)
def test_nothing_is_fetched_on_the_meta_device_or_where_a_checkpoint_brings_it(build, monkeypatch):
    monkeypatch.delattr("torchvision.models._api.load_state_dict_from_url")
    options = {} if build is VGG16ForSSD else {"reduced_tail": False}
    with torch.device("meta"):
        assert build(weights="imagenet", **options).feature_specs
    assert build(weights="nowhere.pth", fetch_weights=False).feature_specs


@pytest.mark.parametrize(("frozen", "count"), [(0, 0), (1, 2), (3, 7), (5, 13)])
def test_frozen_blocks_of_vgg_do_not_learn_and_keep_their_statistics(frozen, count):
    with torch.device("meta"):
        backbone = VGG16ForSSD(frozen_stages=frozen, norm="batch").train()
    convs = [layer for layer in backbone.features if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in backbone.features if isinstance(layer, nn.BatchNorm2d)]
    assert [conv.weight.requires_grad for conv in convs] == [False] * count + [True] * (13 - count)
    assert [norm.training for norm in norms] == [False] * count + [True] * (13 - count)


@pytest.mark.parametrize("build", BUILDERS)
def test_gradients_reach_every_parameter_and_batch_equals_single(build):
    torch.manual_seed(0)
    backbone = build().eval()
    images = torch.randn(2, 3, 64, 64)
    maps = backbone(images)
    for level, alone in zip(maps, backbone(images[:1]), strict=True):
        torch.testing.assert_close(level[:1], alone, rtol=1e-4, atol=1e-5)
    sum(level.square().sum() for level in maps).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
