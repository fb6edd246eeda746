"""Backbones that are networks of torchvision or timm; the list grows with the registry."""

import math

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from detkit import registry
from detkit.backbones.densenet import DenseNet121
from detkit.backbones.inception import GoogLeNet, InceptionV3, Xception
from detkit.backbones.mobile import MobileNetV1, MobileNetV2, ShuffleNetHalf
from detkit.backbones.network import Network
from detkit.backbones.recipe import measure
from detkit.backbones.resnet_timm import ResNetV2Depth50, SEResNet50
from detkit.backbones.squeezenet import SqueezeNet
from detkit.backbones.swin_convnext import ConvNeXtTiny, SwinTiny
from detkit.errors import UserError
from detkit.ops.frozen_batch_norm import FrozenBatchNorm

PARTS = {name: registry.get("backbone", name) for name in registry.names("backbone")}
NETWORKS = {
    name: part
    for name, part in PARTS.items()
    if isinstance(part, type) and issubclass(part, Network)
}
# Variants of a smaller backbone in the list, and the slowest of those that another test runs.
LARGE = {
    *("resnet101", "resnet152", "resnetv2_101", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "seresnext50_32x4d", "densenet169", "densenet201", "vgg16_bn", "vgg19_bn"),
    *("convnext_small", "convnext_base", "swin_small", "swin_base", "vgg19", "mobilenet_v3_large"),
    *("efficientnet_b0", "seresnet50", "densenet121", "inception_v3", "mobilenet_v3_small"),
    *("mobilenet_v2", "resnet34", "resnet50", "resnext50_32x4d", "resnetv2_50"),
}
ODD = (75, 107)  # no multiple of any stride
ONE_OF_A_KIND = ["densenet121", "mobilenet_v1", "googlenet", "resnetv2_50", "xception"]
# What the papers and libraries publish, of the three coarsest levels.
CHANNELS = {
    "alexnet": [192, 256, 256],
    "convnext_tiny": [192, 384, 768],
    "densenet121": [512, 1024, 1024],
    "googlenet": [480, 832, 1024],
    "inception_v3": [288, 768, 2048],
    "mobilenet_v1": [256, 512, 1024],
    "mobilenet_v2": [32, 96, 1280],
    "mobilenet_v3_large": [40, 112, 960],
    "resnetv2_50": [512, 1024, 2048],
    "resnext50_32x4d": [512, 1024, 2048],
    "seresnet50": [512, 1024, 2048],
    "shufflenet_v2_x1_0": [116, 232, 1024],
    "squeezenet1_1": [128, 256, 512],
    "swin_tiny": [192, 384, 768],
    "vgg16": [512, 512, 512],
    "xception": [256, 728, 2048],
}


def on_meta(name, *size, **values):
    with torch.device("meta"):
        backbone = NETWORKS[name](**values)
        return backbone, backbone(torch.zeros(2, 3, *size))


def images(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


def fill(backbone, whole):
    backbone.load_state_dict({n: whole.state_dict()[n] for n in backbone.state_dict()})
    return backbone.eval()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in NETWORKS],
)
# pain 15
def test_maps_match_the_specs_and_each_parameter_gets_a_gradient(name):
    backbone, maps = on_meta(name, *ODD)
    assert len(maps) == len(backbone.feature_specs) == 3
    for level, spec in zip(maps, backbone.feature_specs, strict=True):
        assert level.shape[:2] == (2, spec.channels)
        for side, cells in zip(ODD, level.shape[2:], strict=True):
            assert math.floor(side / spec.stride) <= cells <= math.ceil(side / spec.stride)
    sum(level.sum() for level in maps).backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in CHANNELS],
)
def test_channels_are_the_published_ones(name):
    backbone, _ = on_meta(name, 64, 64)
    assert [spec.channels for spec in backbone.feature_specs] == CHANNELS[name]
    start = 4 if name == "squeezenet1_1" else 8
    assert [spec.stride for spec in backbone.feature_specs] == [start, 2 * start, 4 * start]


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
# pain 15
def test_layers_without_an_output_map_are_not_built(name):
    whole = measure(NETWORKS[name].recipe)
    fine, maps = on_meta(name, 64, 64, levels=(2,))
    last = next(place for place, layer in enumerate(whole) if layer.stride > 4)
    later = tuple(f"{layer.name}." for layer in whole[last:])
    assert not [n for n in fine.state_dict() if n.startswith(later)]
    maps[0].sum().backward()
    assert [n for n, p in fine.named_parameters() if p.grad is None] == []


def middle_of(whole, names, pictures):
    """The outputs of inner modules while the whole network runs, copied before they change."""
    found = {}
    for name in names:
        module = whole.get_submodule(name)
        module.register_forward_hook(
            lambda _, __, out, name=name: found.update({name: out.clone()})
        )
    with torch.no_grad():
        whole.eval()(pictures)
    return [found[name] for name in names]


@pytest.mark.parametrize(
    ("part", "build", "modules"),
    [
        pytest.param(
            *(DenseNet121, models.densenet121, ("denseblock2", "denseblock3", "norm5")),
            marks=pytest.mark.slow,
        ),
        (MobileNetV2, models.mobilenet_v2, ("6", "13", "18")),
        pytest.param(
            *(ConvNeXtTiny, models.convnext_tiny, ("3", "5", "7")), marks=pytest.mark.slow
        ),
        pytest.param(*(SwinTiny, models.swin_t, ("3", "5", "7")), marks=pytest.mark.slow),
    ],
)
def test_features_equal_torchvision(part, build, modules):
    torch.manual_seed(0)
    whole = build().eval()
    backbone = fill(part(), whole)
    expected = middle_of(whole, [f"features.{name}" for name in modules], images(64, 96))
    if part is SwinTiny:
        expected = [level.permute(0, 3, 1, 2) for level in expected]
    with torch.no_grad():
        for level, other in zip(backbone(images(64, 96)), expected, strict=True):
            assert torch.equal(level, other)


@pytest.mark.parametrize(
    ("part", "modules"),
    [
        pytest.param(SEResNet50, ("layer2", "layer3", "layer4"), marks=pytest.mark.slow),
        pytest.param(ResNetV2Depth50, ("stages.1", "stages.2", "norm"), marks=pytest.mark.slow),
        (MobileNetV1, ("blocks.2", "blocks.3", "blocks.4")),
    ],
)
def test_features_equal_timm(part, modules):
    torch.manual_seed(0)
    whole = timm.create_model(part.recipe.model, pretrained=False)
    backbone = fill(part(), whole)
    half = images(64, 64)
    if part.recipe.half_centred:
        half = (half * backbone._factor) + backbone._shift
    expected = middle_of(whole, modules, half)
    with torch.no_grad():
        for level, other in zip(backbone(images(64, 64)), expected, strict=True):
            torch.testing.assert_close(level, other)


def test_pixels_come_as_the_published_weights_want_them():
    torch.manual_seed(0)
    whole = models.googlenet(aux_logits=False, init_weights=False, transform_input=True)
    backbone = fill(GoogLeNet(), whole)
    expected = middle_of(whole, ("inception3b", "inception4e", "inception5b"), images(64, 64))
    with torch.no_grad():
        for level, other in zip(backbone(images(64, 64)), expected, strict=True):
            torch.testing.assert_close(level, other)


@pytest.mark.parametrize(
    "part", [pytest.param(InceptionV3, marks=pytest.mark.slow), Xception, SqueezeNet]
)
def test_maps_lie_over_the_image(part):
    """A bright square in the middle is seen in the middle; without padding it is beside it."""
    torch.manual_seed(0)
    backbone = part().eval()
    size = 192
    picture = torch.zeros(1, 3, size, size)
    dark = [level.clone() for level in backbone(picture)]
    picture[:, :, 88:104, 88:104] = 3
    changed = [
        (a - b).abs().detach().sum(1)[0] for a, b in zip(backbone(picture), dark, strict=True)
    ]
    for level, spec in zip(changed, backbone.feature_specs, strict=True):
        places = (torch.arange(level.shape[1]) + 0.5) * spec.stride
        centre = float((level.sum(0) * places).sum() / level.sum())
        assert abs(centre - size / 2) < 0.6 * spec.stride  # strides alone move it by half a cell


@pytest.mark.parametrize(
    "part",
    [MobileNetV1, pytest.param(ResNetV2Depth50, marks=pytest.mark.slow), ShuffleNetHalf],
)
@pytest.mark.parametrize(("norm", "kind"), [("frozen_batch", "Frozen"), ("group", "GroupNorm")])
def test_norms_are_replaced_and_activations_stay(part, norm, kind):
    torch.manual_seed(0)
    plain, other = part(), part(norm=norm)
    other.load_state_dict({n: plain.state_dict()[n] for n in other.state_dict()})
    kinds = {type(m).__name__ for m in other.modules() if "Norm" in type(m).__name__}
    assert kinds
    assert all(name.startswith(kind) for name in kinds)
    assert [n for n, _ in other.named_parameters()] == (
        [n for n, _ in plain.named_parameters()]
        if norm == "group"
        else [n for n, _ in other.named_parameters()]
    )
    if norm == "frozen_batch":
        with torch.no_grad():
            for level, same in zip(
                other(images(64, 64)), plain.eval()(images(64, 64)), strict=True
            ):
                torch.testing.assert_close(level, same)
    else:
        assert (other(images(64, 64))[0] - plain(images(64, 64))[0]).abs().max() > 0.01


def test_a_norm_replaced_in_a_frozen_stage_stays_frozen():
    backbone = MobileNetV1(norm="group", frozen_stages=2)
    trained = {
        n.split(".")[0] + n.split(".")[1][:1]
        for n, p in backbone.named_parameters()
        if p.requires_grad
    }
    assert trained == {"blocks2", "blocks3", "blocks4"}


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_each_batch_norm_is_replaced(name):
    with torch.device("meta"):
        for norm, kind in (("frozen_batch", FrozenBatchNorm), ("group", nn.GroupNorm)):
            modules = list(NETWORKS[name](norm=norm).modules())
            assert not any(isinstance(m, nn.BatchNorm2d) for m in modules)
            assert any(
                isinstance(m, kind) or kind.__name__[:6] in type(m).__name__ for m in modules
            )


def test_frozen_stages_do_not_learn_and_keep_their_statistics():
    backbone = ShuffleNetHalf(frozen_stages=3).train()
    sum(level.sum() for level in backbone(images(64, 64))).backward()
    learning = {n.split(".")[0] for n, p in backbone.named_parameters() if p.grad is not None}
    assert learning == {"stage3", "stage4", "conv5"}
    means = {n.split(".")[0] for n, b in backbone.named_buffers() if n.endswith("mean") and b.any()}
    assert means == learning


def test_freezing_nothing_is_refused():
    with pytest.raises(UserError, match=r"freezes nothing of 'swin_t', .* stride 4: use 2 or more"):
        on_meta("swin_tiny", 64, 64, frozen_stages=1)


def test_a_missing_level_is_refused():
    message = r"'squeezenet1_1' has no levels \[5\]: it gives levels \[1, 2, 3, 4\]"
    with pytest.raises(UserError, match=message):
        SqueezeNet(levels=(3, 4, 5))


def test_the_published_weights_of_timm_are_asked_for_by_their_tag(monkeypatch):
    asked = []
    create_model = timm.create_model

    def fetch(model, *, pretrained):
        asked.append((model, pretrained))
        return create_model(model, pretrained=False)

    monkeypatch.setattr(timm, "create_model", fetch)
    MobileNetV1(weights="imagenet")
    assert ("mobilenetv1_100.ra4_e3600_r224_in1k", True) in asked
    asked.clear()
    MobileNetV1()
    assert not any(pretrained for _, pretrained in asked)


@pytest.mark.parametrize("name", NETWORKS)
def test_there_are_published_weights(name):
    recipe = NETWORKS[name].recipe
    assert recipe.published().source.startswith(("https://", "hf://timm/"))
    if "timm" in recipe.published().source:
        assert timm.is_model_pretrained(recipe.model)


def test_unreachable_weights_of_timm_say_what_to_do(monkeypatch):
    create_model = timm.create_model

    def offline(model, *, pretrained):
        if pretrained:
            raise ConnectionError("no network")
        return create_model(model, pretrained=False)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=r"fetched from hf://timm/mobilenetv1_100.*no network"):
        MobileNetV1(weights="imagenet")


def test_names_in_the_published_densenet_are_understood(tmp_path):
    whole = models.densenet121()
    old = {
        n.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v
        for n, v in whole.state_dict().items()
    }
    save_file(old, tmp_path / "densenet.safetensors")
    backbone = DenseNet121(weights=str(tmp_path / "densenet.safetensors"))
    name = "features.denseblock2.denselayer1.conv2.weight"
    assert torch.equal(backbone.state_dict()[name], whole.state_dict()[name])


@pytest.mark.parametrize("part", [ShuffleNetHalf, SqueezeNet])
def test_runs_in_bfloat16(part):
    backbone = part().to(torch.bfloat16)
    maps = backbone(images(64, 64).to(torch.bfloat16))
    assert all(level.dtype == torch.bfloat16 and level.isfinite().all() for level in maps)
