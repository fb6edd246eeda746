from functools import cache
from itertools import product

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18
from weight_fakes import classes, tiny_detector, tiny_model

from detkit import assembly
from detkit.config.compose import compose
from detkit.errors import UserError
from detkit.runs.bundle import Bundle, write_bundle
from detkit.runs.checkpoint_record import Record
from detkit.weights import torchvision_source
from detkit.weights.class_layers import class_rows
from detkit.weights.source import name_classes, read_source
from detkit.weights.start import start_from
from detkit.weights.tensor_names import library_of_detector
from detkit.weights.transfer import transfer


def fill(model):
    """Random values everywhere, so that no initial value is right by chance."""
    with torch.no_grad():
        for value in model.state_dict().values():
            value.copy_(torch.randn(value.shape) if value.is_floating_point() else value + 3)
    return model


@cache
def small(backbone, *words):
    chosen = [
        f"model/backbone={backbone}",
        "model.neck.out_channels=32",
        "model.head.layers.convs=1",
    ]
    return compose("train", ["model=retinanet", *chosen, *words])["model"]


def imported(model, source):
    detector = assembly.build_detector(model, classes("a"))
    coverage = transfer(detector, source, "a", class_rows(model, classes("a")))
    return detector, coverage


WRAPPED = ["", "state_dict", "model", "model_ema"]
PREFIXES = ["", "module.", "module._orig_mod."]
QUICK = {*zip(WRAPPED, [*PREFIXES, ""], strict=True)}


@pytest.mark.parametrize(
    ("wrapped", "prefix"),
    [
        pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow)
        for pair in product(WRAPPED, PREFIXES)
    ],
)
def test_a_classifier_gives_a_backbone_its_weights(tmp_path, wrapped, prefix):
    theirs = fill(resnet18())
    state = {f"{prefix}{name}": value for name, value in theirs.state_dict().items()}
    torch.save({wrapped: state, "epoch": 3} if wrapped else state, tmp_path / "a.pth")
    detector, coverage = imported(small("resnet18"), read_source(str(tmp_path / "a.pth")))
    for name, value in detector.backbone.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name
    assert sorted(coverage.unused) == ["fc.bias", "fc.weight"]
    assert {name.split(".")[0] for name in coverage.missing} == {"neck", "head"}


@pytest.mark.parametrize("file", ["a.safetensors", "a.pth"])
def test_a_timm_model_gives_a_timm_backbone_its_weights(tmp_path, file):
    theirs = fill(timm.create_model("test_resnet")).state_dict()
    (save_file if file.endswith("safetensors") else torch.save)(theirs, tmp_path / file)
    detector, coverage = imported(tiny_model(), read_source(str(tmp_path / file)))
    for name, value in detector.backbone.model.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    assert sorted(coverage.unused) == ["fc.bias", "fc.weight"]


def test_timm_names_with_dots_are_found_where_timm_takes_the_model_apart(tmp_path):
    model = small("timm", "model.backbone.model=test_convnext", "model.backbone.levels=[3,4,5]")
    theirs = fill(timm.create_model("test_convnext")).state_dict()
    torch.save(theirs, tmp_path / "a.pth")
    detector, coverage = imported(model, read_source(str(tmp_path / "a.pth")))
    assert not [name for name in coverage.missing if name.startswith("backbone.")]
    first = detector.backbone.model.state_dict()["stem_0.weight"]
    assert torch.equal(first, theirs["stem.0.weight"])


def test_a_detector_of_another_kind_gives_its_backbone_only(tmp_path):
    theirs = {f"backbone.body.{n}": v for n, v in fill(resnet18()).state_dict().items()}
    theirs["backbone.fpn.inner_blocks.0.0.bias"] = torch.ones(32)  # of C2, which is not our first
    theirs["roi_heads.box_head.fc6.bias"] = torch.ones(4)
    torch.save(theirs, tmp_path / "a.pth")
    source = read_source(str(tmp_path / "a.pth"))
    detector, coverage = imported(small("resnet18"), source)
    assert "of another kind" in source.kind
    assert torch.equal(detector.backbone.conv1.weight, theirs["backbone.body.conv1.weight"])
    assert "neck.lateral.0.conv.bias" in coverage.missing
    assert "backbone.fpn.inner_blocks.0.0.bias" in coverage.unused


def test_bare_tensors_of_detkit_take_names_of_classes(tmp_path):
    torch.save(tiny_detector("ab").state_dict(), tmp_path / "a.pth")
    source = read_source(str(tmp_path / "a.pth"))
    assert (source.logits, source.slots) == (2, None)
    assert name_classes(source, ["x", "y"]).slots.names == ["x", "y"]
    with pytest.raises(UserError, match="classes: gives 3 names, and the file's detector has 2"):
        name_classes(source, ["x", "y", "z"])


@pytest.mark.parametrize("place", ["run", "run/checkpoints/best.ckpt", "bundle"])
def test_detkits_own_are_read_wherever_they_lie(tmp_path, place):
    record = Record({}, ["cat", "dog"], [1, 2])
    weights = tiny_detector("ab").state_dict()
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    state = {f"detector.{name}": value for name, value in weights.items()}
    content = {"state_dict": state, "detkit": record.plain(), "epoch": 1}
    torch.save(content, tmp_path / "run/checkpoints/best.ckpt")
    write_bundle(Bundle(record, weights, 2, {}), tmp_path / "bundle")
    source = read_source(str(tmp_path / place))
    assert source.slots.names == ["cat", "dog"]
    detector = tiny_detector(["dog"], seed=3)
    text = start_from(detector, str(tmp_path / place), tiny_model(), classes(["dog"]))
    assert "classes matched by name: 1 of 1" in text
    assert "classes of the file that are not used: cat" in text
    own = detector.state_dict()["head.layers.class_layer.weight"].view(9, 1, -1)
    assert torch.equal(own[:, 0], weights["head.layers.class_layer.weight"].view(9, 2, -1)[:, 1])
    with pytest.raises(UserError, match=r"holds its own class names \(cat, dog\)"):
        name_classes(source, ["a", "b"])


def test_a_backbone_has_no_classes_to_name(tmp_path):
    torch.save(resnet18().state_dict(), tmp_path / "a.pth")
    with pytest.raises(
        UserError, match=r"backbone weights\) holds no class layer that detkit can use"
    ):
        name_classes(read_source(str(tmp_path / "a.pth")), ["a"])


@pytest.mark.parametrize(
    ("library", "layer"),
    [
        ("MMDetection", "bbox_head.gfl_cls.weight"),
        pytest.param("MMDetection", "roi_head.bbox_head.fc_cls.weight", marks=pytest.mark.slow),
        ("Detectron2", "proposal_generator.rpn_head.conv.weight"),
        ("Ultralytics", "model.22.cv3.0.2.weight"),
        pytest.param("Ultralytics", "model.24.m.0.bias", marks=pytest.mark.slow),
        ("the DETR family", "class_embed.weight"),
    ],
)
def test_a_detector_of_another_library_is_no_backbone_without_a_head(tmp_path, library, layer):
    theirs = {f"backbone.{n}": v for n, v in fill(resnet18()).state_dict().items()}
    torch.save({**theirs, layer: torch.ones(80, 4)}, tmp_path / "a.pth")
    source = read_source(str(tmp_path / "a.pth"))
    assert source.kind.startswith(f"a detector of {library}, and detkit can use only its back")
    detector, coverage = imported(small("resnet18"), source)
    assert torch.equal(detector.backbone.conv1.weight, theirs["backbone.conv1.weight"])
    assert layer in coverage.unused


@pytest.mark.parametrize("model", ["resnet18", "convnext_tiny", "swin_tiny_patch4_window7_224"])
def test_a_backbone_is_no_detector_of_another_library(model):
    with torch.device("meta"):
        names = timm.create_model(model).state_dict()
    assert library_of_detector([f"model.{name}" for name in names]) is None
    assert library_of_detector(names) is None


def test_bare_tensors_of_a_two_stage_detector_are_detkits(tmp_path):
    layers = {"proposer.layers.class_layer.bias": torch.ones(3)}
    regions = {
        "roi_head.stage.class_layer.weight": torch.ones(5, 4),
        "roi_head.stage.box_layer.weight": torch.ones(16, 4),
    }
    torch.save(layers | regions, tmp_path / "a.pth")
    source = read_source(str(tmp_path / "a.pth"))
    assert (source.kind, source.is_backbone, source.logits) == ("detkit weights", False, 4)


def test_background_is_the_last_logit_of_detkits_bare_tensors(tmp_path):
    layers = {"class_layer": torch.ones(2 * 4, 1, 1, 1), "box_layer": torch.ones(2 * 4, 1, 1, 1)}
    state = {f"head.layers.{name}.weight": value for name, value in layers.items()}
    torch.save(state, tmp_path / "a.pth")
    source = name_classes(read_source(str(tmp_path / "a.pth")), ["a", "b", "c"])
    assert source.slots.names == ["a", "b", "c"]


@pytest.mark.parametrize("content", [[torch.ones(1)], {"a": 1}, torch.ones(2), {}])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match="holds no named tensors"):
        read_source(str(tmp_path / "a.pth"))


def test_a_missing_path_is_named_with_its_key(tmp_path):
    with pytest.raises(UserError, match="weights=nowhere: there is no such file"):
        read_source("nowhere")


def detector_file(path):
    """The few tensors by which a torchvision RetinaNet is recognised."""
    state = {
        "backbone.body.bn1.running_var": torch.tensor([0.5, 1e-5]),
        "backbone.body.bn1.weight": torch.tensor([0.5, 1.0]),
        "head.classification_head.cls_logits.weight": torch.ones(9 * 91, 1, 1, 1),
        "head.regression_head.bbox_reg.weight": torch.ones(36, 1, 1, 1),
    }
    torch.save(state, path)
    return state


def test_91_classes_are_cocos(tmp_path):
    detector_file(tmp_path / "a.pth")
    source = read_source(str(tmp_path / "a.pth"))
    assert source.slots.names[1] == "person"
    assert source.page == "torchvision_retinanet"
    assert "COCO" in source.kind
    assert source.tensors["backbone.bn1.running_var"][0] == 0.5


def test_the_published_retinanet_had_norms_without_epsilon(tmp_path, monkeypatch):
    state = detector_file(tmp_path / "a.pth")
    monkeypatch.setattr(torchvision_source, "_is_published_without_epsilon", lambda path: True)
    tensors = read_source(str(tmp_path / "a.pth")).tensors
    ours = torch.rsqrt(tensors["backbone.bn1.running_var"] + 1e-5)
    torch.testing.assert_close(ours, torch.rsqrt(state["backbone.body.bn1.running_var"]))
    assert torch.equal(tensors["backbone.bn1.weight"], state["backbone.body.bn1.weight"])


def test_the_published_file_is_recognised_by_the_hash_in_its_name(tmp_path):
    detector_file(tmp_path / "a.pth")
    assert not torchvision_source._is_published_without_epsilon(tmp_path / "a.pth")
    assert torchvision_source.hashes_without_epsilon() == ["eeacb38b", "258fb6c6", "bf2d0c1e"]


def two_stage_file(path, classes):
    """The tensors of a torchvision Faster R-CNN that matter for classes and levels."""
    state = {
        "backbone.body.bn1.weight": torch.ones(2),
        "backbone.fpn.inner_blocks.3.weight": torch.ones(4, 8, 1, 1),  # named as before 0.13
        "rpn.head.conv.weight": torch.ones(4, 4, 3, 3),
        "roi_heads.box_predictor.cls_score.weight": torch.arange(classes)[:, None].float(),
        "roi_heads.box_predictor.bbox_pred.bias": torch.arange(4 * classes).float(),
    }
    torch.save(state, path)


def test_background_and_codes_of_a_faster_rcnn_move_to_where_ours_are(tmp_path):
    two_stage_file(tmp_path / "a.pth", 3)
    source = read_source(str(tmp_path / "a.pth"))
    assert source.page == "torchvision_faster_rcnn"
    tensors = source.tensors
    assert tensors["roi_head.stage.class_layer.weight"].flatten().tolist() == [1, 2, 0]
    # Codes 4..7 belong to class 1, 8..11 to class 2: all first codes come first.
    moved = tensors["roi_head.stage.box_layer.bias"].tolist()
    assert moved == [4, 8, 5, 9, 6, 10, 7, 11]
    assert "neck.lateral.3.conv.weight" in tensors
    assert "proposer.layers.shared.0.conv.weight" in tensors


def test_the_91_classes_of_a_faster_rcnn_are_cocos_without_background(tmp_path):
    two_stage_file(tmp_path / "a.pth", 91)
    slots = read_source(str(tmp_path / "a.pth")).slots
    assert (len(slots.names), slots.names[0], slots.ids[0]) == (90, "person", 1)


@pytest.mark.parametrize("names", [["cat", "dog"], ["__background__", "cat", "dog"]])
def test_names_for_a_faster_rcnn_come_with_background_or_without(tmp_path, names):
    two_stage_file(tmp_path / "a.pth", 3)
    source = name_classes(read_source(str(tmp_path / "a.pth")), names)
    assert (source.slots.names, source.slots.ids) == (["cat", "dog"], [1, 2])


def test_a_class_where_background_is_is_refused(tmp_path):
    two_stage_file(tmp_path / "a.pth", 3)
    with pytest.raises(UserError, match=r"'cat' has label 0, which is the background of .*2 n"):
        name_classes(read_source(str(tmp_path / "a.pth")), ["cat", "dog", "cow"])


def test_the_blocks_of_old_retinanet_files_are_found(tmp_path):
    state = detector_file(tmp_path / "a.pth")
    for tower in ("classification", "regression"):
        for place in (0, 2, 4, 6):
            state[f"head.{tower}_head.conv.{place}.weight"] = torch.full((1,), float(place))
    torch.save(state, tmp_path / "a.pth")
    tensors = read_source(str(tmp_path / "a.pth")).tensors
    found = [tensors[f"head.layers.box_tower.{block}.conv.weight"].item() for block in range(4)]
    assert found == [0, 2, 4, 6]
