"""SVMs of a detector fitted on its training images, and the package that this needs."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from detkit.contracts import scenes
from detkit.errors import ConfigError
from detkit.ops import box_sides
from detkit.roi_heads.region_svms import RegionSVMs
from detkit.structures import PaddedTargets, Regions, Target
from detkit.training import svm_fitting
from detkit.training.svm_fitting import fit_svms, negative_regions, require_svm_package

CPU = torch.device("cpu")


class SideHead(nn.Module):
    """The features of a region are its width and its height."""

    def __init__(self):
        super().__init__()
        self.layer = RegionSVMs(2, 2, cost=1.0)

    @property
    def svms(self):
        return self.layer

    def region_features(self, features, regions):
        return box_sides(regions.boxes)


class SideDetector(nn.Module):
    """Proposes squares; the objects of class 0 are wide, those of class 1 are tall."""

    def __init__(self):
        super().__init__()
        self.roi_head = SideHead()

    def features_of(self, batch):
        return [batch.images.float()]

    def regions_of(self, features, batch):
        squares = torch.tensor([[60.0, 0, 70, 10], [60, 20, 80, 40], [70, 30, 80, 40]])
        return Regions.of([squares] * len(batch))


def batches(blank=()):
    boxes = torch.tensor([[0.0, 0, 30, 5], [0, 0, 5, 30]])
    target = Target(boxes, torch.tensor([0, 1]), torch.tensor([False, False]))
    return [replace(scenes.batch([target, target]), blank=blank)]


def test_svms_tell_objects_from_regions_and_from_other_classes():
    pytest.importorskip("sklearn", reason="SVMs need scikit-learn")
    detector = SideDetector()
    fit_svms(detector, batches(), CPU, ["wide", "tall"])
    sides = torch.tensor([[30.0, 5], [5, 30], [10, 10], [20, 20]])
    margins = detector.roi_head.svms(sides)
    assert (margins > 0).tolist() == [[True, False], [False, True], [False] * 2, [False] * 2]
    assert detector.roi_head.svms.fitted


def test_fitted_svms_stay_as_they_are():
    detector = SideDetector()
    detector.roi_head.svms.set(torch.ones(2, 2), torch.ones(2))
    assert fit_svms(detector, batches(), CPU, ["wide", "tall"]) == {}
    assert fit_svms(nn.Linear(1, 1), batches(), CPU, []) == {}


def test_without_readable_objects_softmax_remains(caplog):
    detector = SideDetector()
    assert fit_svms(detector, batches(blank=(0, 1)), CPU, ["wide", "tall"]) == {}
    assert not detector.roi_head.svms.fitted
    assert "no objects to fit SVMs to: softmax scores classes" in caplog.text


def test_negatives_overlap_no_object_of_their_class_by_three_tenths():
    # IoU with the object of class 0: 1, 0.35 and 0.25; the last region is inside a crowd.
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 3.5], [0, 0, 10, 2.5], [50, 0, 55, 5]])
    objects = torch.tensor([[0.0, 0, 10, 10], [50, 0, 70, 20]])
    targets = PaddedTargets.of([Target(objects, torch.tensor([0, 1]), torch.tensor([False, True]))])
    negatives = negative_regions(boxes[None], targets, 2)[0]
    assert negatives.tolist() == [[False, True], [False, True], [True, True], [False, False]]


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(svm_fitting, "find_spec", lambda name: None)
    require_svm_package({"roi_head": {"svm_cost": None}})
    require_svm_package({"head": {}})
    with pytest.raises(ConfigError, match=r"svm_cost=0.001: .* pip install 'detkit\[svm\]'"):
        require_svm_package({"roi_head": {"svm_cost": 0.001}})
