from copy import deepcopy
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision import models

from detkit.backbones.resnet import ResNet18, ResNet34, ResNet50
from detkit.errors import UserError
from detkit.ops.frozen_batch_norm import FrozenBatchNorm

torch.manual_seed(0)
IMAGES = torch.randn(2, 3, 64, 96)


@pytest.mark.parametrize(
    ("build", "levels", "channels"),
    [
        (ResNet18, (3, 4, 5), [128, 256, 512]),
        (ResNet34, (2, 3), [64, 128]),
        (ResNet50, (2, 3, 4, 5), [256, 512, 1024, 2048]),
    ],
)
def test_maps_have_the_published_channels_and_strides(build, levels, channels):
    backbone = build(levels=levels)
    assert [spec.channels for spec in backbone.feature_specs] == channels
    assert [spec.stride for spec in backbone.feature_specs] == [2**level for level in levels]
    for features, spec in zip(backbone(IMAGES), backbone.feature_specs, strict=True):
        assert features.shape == (2, spec.channels, 64 // spec.stride, 96 // spec.stride)


def test_maps_equal_torchvision():
    whole = models.resnet18().eval()
    backbone = ResNet18().eval()
    backbone.load_state_dict(whole.state_dict(), strict=False)
    features = whole.layer1(whole.maxpool(whole.relu(whole.bn1(whole.conv1(IMAGES)))))
    stages = (whole.layer2, whole.layer3, whole.layer4)
    for stage, level in zip(stages, backbone(IMAGES), strict=True):
        features = stage(features)
        assert torch.equal(features, level)


def test_stages_beyond_the_last_level_are_not_built():
    backbone = ResNet18(levels=(2, 3))
    assert not [name for name in backbone.state_dict() if name.startswith(("layer3", "fc"))]
    sum(level.sum() for level in backbone(IMAGES)).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("frozen", "modules"),
    [(0, []), (1, ["conv1", "bn1"]), (2, ["conv1", "bn1", "layer1"])],
)
def test_frozen_stages_do_not_learn_and_keep_their_statistics(frozen, modules):
    backbone = ResNet18(frozen_stages=frozen).train()
    sum(level.sum() for level in backbone(IMAGES)).backward()
    without = {name.split(".")[0] for name, p in backbone.named_parameters() if p.grad is None}
    assert without == set(modules)
    moved = {
        name.split(".")[0]
        for name, value in backbone.named_buffers()
        if name.endswith("running_mean") and value.any()
    }
    assert moved.isdisjoint(modules)
    assert "layer4" in moved


def test_frozen_stages_stay_so_when_norms_are_replaced_or_the_model_is_copied():
    backbone = deepcopy(nn.SyncBatchNorm.convert_sync_batchnorm(ResNet18(frozen_stages=2)))
    norms = [m for m in backbone.train().modules() if isinstance(m, nn.SyncBatchNorm)]
    assert sum(not norm.training for norm in norms) == 5  # of the stem and of two blocks
    assert not backbone.bn1.training


def test_all_stages_can_be_frozen():
    assert not any(p.requires_grad for p in ResNet18(frozen_stages=5).parameters())


def test_frozen_batch_norm_is_used_everywhere():
    backbone = ResNet18(norm="frozen_batch")
    norms = [m for m in backbone.modules() if "BatchNorm" in type(m).__name__]
    assert norms
    assert all(isinstance(norm, FrozenBatchNorm) for norm in norms)


def test_weights_of_a_file_are_loaded_and_its_classifier_is_left_out(tmp_path):
    whole = models.resnet18()
    torch.save({"state_dict": whole.state_dict()}, tmp_path / "weights.pth")
    backbone = ResNet18(weights=str(tmp_path / "weights.pth"), norm="frozen_batch")
    assert torch.equal(backbone.layer4[1].conv2.weight, whole.layer4[1].conv2.weight)


def test_weights_of_another_architecture_are_refused(tmp_path):
    torch.save(models.resnet34().state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"do not fit.*are missing.*Use weights of the same"):
        ResNet50(weights=str(tmp_path / "weights.pth"))


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"there is no file 'nowhere.pth'"):
        ResNet18(weights="nowhere.pth")


def test_a_file_that_could_run_code_is_refused(tmp_path):
    torch.save(models.resnet18(), tmp_path / "model.pth")
    with pytest.raises(UserError, match="cannot be read as weights"):
        ResNet18(weights=str(tmp_path / "model.pth"))


def test_unreachable_imagenet_weights_say_what_to_do(monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(UserError, match=r"could not be fetched from https://.*put the file into"):
        ResNet18(weights="imagenet")


def test_imagenet_weights_equal_torchvision(monkeypatch):
    published = {"resnet18-f37072fd.pth": models.resnet18().state_dict()}

    def fetch(url, *_, check_hash, **__):
        assert check_hash
        return published[url.rsplit("/", 1)[1]]

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    backbone = ResNet18(weights="imagenet")
    assert torch.equal(backbone.conv1.weight, published["resnet18-f37072fd.pth"]["conv1.weight"])


def test_on_the_meta_device_nothing_is_fetched(monkeypatch):
    monkeypatch.delattr("torchvision.models._api.load_state_dict_from_url")
    with torch.device("meta"):
        assert ResNet18(weights="imagenet").feature_specs[-1].channels == 512


@pytest.mark.parametrize("levels", [(5, 4), (3, 3), ()])
def test_levels_out_of_order_are_refused(levels):
    with pytest.raises(UserError, match="are not in order"):
        ResNet18(levels=levels)


def test_weights_are_not_read_where_a_checkpoint_brings_them():
    assert ResNet18(weights="nowhere.pth", fetch_weights=False).feature_specs
