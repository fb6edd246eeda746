"""Freezing parts of a detector by name."""

import pytest
import torch
from torch import nn

from detkit.backbones.resnet import ResNet18
from detkit.detectors.base import DetectorModule
from detkit.detectors.freezing import Freezing, freeze, frozen_parameters, read_freezing
from detkit.errors import UserError
from detkit.ops.meta_device import on_meta


class Small(DetectorModule):
    def __init__(self, backbone=None):
        super().__init__()
        norm = [nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5)]
        self.backbone = backbone or nn.Sequential(*norm)
        self.neck = nn.BatchNorm2d(3)
        self.head = nn.Conv2d(3, 1, 1)


def trained(detector):
    return {name for name, parameter in detector.named_parameters() if parameter.requires_grad}


@pytest.fixture(scope="module")
def with_stages():
    with on_meta():
        return Small(ResNet18(fetch_weights=False))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, None),
        ("backbone", Freezing(("backbone",))),
        (["stem", "stage1"], Freezing(("stem", "stage1"))),
        ({"parts": "backbone", "until": 5}, Freezing(("backbone",), 5)),
    ],
)
def test_a_setting_is_read(setting, expected):
    assert read_freezing(setting) == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ([], r"names no parts, got \[\]: write freeze=backbone"),
        ({"until": 5}, r"names no parts, got \{'until': 5\}"),
        ({"parts": "backbone", "unti": 5}, r"unknown key 'unti'; allowed are parts and until"),
        ({"parts": "backbone", "until": 0}, r"freeze.until is the number of epochs, 1 or more"),
    ],
)
def test_a_wrong_setting_is_refused(setting, message):
    with pytest.raises(UserError, match=message):
        read_freezing(setting)


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (
            "backbone",
            {"backbone.0.weight", "backbone.0.bias", "backbone.1.weight", "backbone.1.bias"},
        ),
        ("*.bias", {"backbone.0.bias", "backbone.1.bias", "neck.bias", "head.bias"}),
        ("head.weight", {"head.weight"}),
        ("backbone.[1]", {"backbone.1.weight", "backbone.1.bias"}),
    ],
)
def test_parts_are_modules_or_patterns(part, names):
    assert frozen_parameters(Small(), [part]) == names


def test_stages_are_those_of_the_backbone(with_stages):
    names = frozen_parameters(with_stages, ["stem", "stage1"])
    assert {name.split(".")[1] for name in names} == {"conv1", "bn1", "layer1"}
    assert frozen_parameters(with_stages, ["stage*", "stem"]) == {
        name for name, _ in with_stages.named_parameters() if name.startswith("backbone.")
    }


def test_a_name_that_matches_nothing_lists_what_exists(with_stages):
    expected = (
        r"'layer3'. Did you mean 'backbone.layer3'\? .*stem, stage1, stage2, stage3, stage4\), "
        r"the parts backbone, neck, head"
    )
    with pytest.raises(UserError, match=expected):
        frozen_parameters(with_stages, ["layer3"])
    with pytest.raises(UserError, match=r"'backbone\.2'"):  # dropout
        frozen_parameters(Small(), ["backbone.2"])


def test_frozen_modules_stay_in_evaluation_mode_after_each_call_of_train():
    detector = Small().train()
    freeze(detector, Freezing(("backbone",)))
    for mode in (True, False, True):
        detector.train(mode)
        assert not any(module.training for module in detector.backbone.modules())
        assert detector.neck.training is mode
    assert trained(detector) == {"neck.weight", "neck.bias", "head.weight", "head.bias"}


def test_a_module_with_other_parameters_stays_in_training_mode():
    detector = Small().train()
    freeze(detector, Freezing(("backbone.1.weight",)))
    assert detector.backbone[1].training
    assert "backbone.1.weight" not in trained(detector)


def test_unfreezing_restores_what_was_trained_before():
    with on_meta():
        detector = Small(ResNet18(fetch_weights=False, frozen_stages=2)).train()
    before = trained(detector)
    freeze(detector, Freezing(("backbone",)))
    detector.unfreeze()
    assert trained(detector) == before
    assert not detector.backbone.bn1.training  # frozen by the backbone itself
    assert detector.backbone.layer3.training


def test_the_line_says_how_much_does_not_train():
    line = freeze(Small(), Freezing(("backbone", "neck"), until=3))
    assert line == (
        "freeze: backbone and neck: 0.00 of 0.00 M parameters do not train; all train from epoch "
        "4 on"
    )


def test_freezing_everything_is_refused():
    with pytest.raises(UserError, match=r"with neck and \* frozen, no parameter of the detector"):
        freeze(Small(), Freezing(("neck", "*")))


def test_another_kind_of_detector_is_refused():
    with pytest.raises(UserError, match=r"Linear does not derive from .*set freeze=null"):
        freeze(nn.Linear(1, 1), Freezing(("weight",)))


def test_frozen_statistics_do_not_change():
    detector = Small().train()
    freeze(detector, Freezing(("backbone",)))
    detector.backbone(torch.rand(2, 3, 4, 4))
    assert torch.equal(detector.backbone[1].running_mean, torch.zeros(3))
