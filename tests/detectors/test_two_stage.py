import pytest
import torch
from torch import nn

from detkit.config.compose import compose
from detkit.detectors.two_stage import TwoStageDetector
from detkit.errors import ConfigError
from detkit.structures import (
    Batch,
    FeatureSpec,
    PaddedDetections,
    PaddedTargets,
    RegionPredictions,
    Regions,
    Target,
)


class Passing(nn.Module):
    """Backbone and neck: one level, the images themselves."""

    feature_specs = (FeatureSpec(3, 1),)

    def forward(self, images):
        return images if isinstance(images, list) else [images]


def region(*box):
    """The same region in two images."""
    return Regions.of([torch.tensor([box]).float()] * 2)


class Proposing(nn.Module):
    """Proposes one region in training and another one in testing, and keeps its inputs."""

    def propose(self, features, image_sizes):
        self.features, self.image_sizes = features, image_sizes
        return region(1, 1, 2, 2)

    def loss_and_proposals(self, features, targets, image_sizes):
        self.features, self.targets, self.image_sizes = features, targets, image_sizes
        return {"loss/classification": torch.tensor(1.0)}, region(3, 3, 4, 4)


class Looking(nn.Module):
    """Keeps the regions, and detects one box per image."""

    boxes_per_region = 1

    def forward(self, features, regions, image_sizes):
        self.regions, self.image_sizes = regions, image_sizes
        boxes = regions.boxes[:, :, None].expand(-1, -1, self.boxes_per_region, -1)
        return RegionPredictions(boxes, torch.ones(2, 1, 3))

    def loss(self, features, regions, targets, image_sizes):
        self.regions, self.image_sizes = regions, image_sizes
        return {"loss/classification": torch.tensor(2.0)}

    def predict(self, features, regions, image_sizes):
        self.regions, self.image_sizes = regions, image_sizes
        boxes = torch.tensor([[[2.0, 4, 6, 8]]] * 2)
        ones = torch.ones(2, dtype=torch.int64)
        return PaddedDetections(boxes, torch.ones(2, 1), 0 * ones[:, None], ones)


def detector():
    parts = {"backbone": Passing(), "neck": Passing()}
    return TwoStageDetector(**parts, proposer=Proposing(), roi_head=Looking())


def batch(to_image=None, original_sizes=None):
    sizes = [(8, 12), (5, 7)]
    return Batch(
        images=torch.full((2, 3, 8, 12), 114, dtype=torch.uint8),
        image_sizes=sizes,
        targets=PaddedTargets.of([Target.empty()] * 2),
        original_targets=[Target.empty()] * 2,
        image_ids=[0, 1],
        paths=["a.jpg"] * 2,
        original_sizes=original_sizes or sizes,
        to_image=torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
        if to_image is None
        else to_image,
    )


def test_losses_of_the_proposer_are_named_after_it():
    losses = detector().loss(batch())
    assert losses == {"loss/proposal_classification": 1, "loss/classification": 2}


def test_the_roi_head_learns_from_the_regions_of_training():
    model = detector()
    model.loss(batch())
    assert model.roi_head.regions.boxes[1].tolist() == [[3, 3, 4, 4]]
    model.predict(batch())
    assert model.roi_head.regions.boxes[1].tolist() == [[1, 1, 2, 2]]


def test_padding_is_zero_and_belongs_to_no_image():
    model = detector()
    model.loss(batch())
    pixels = model.proposer.features[0]
    assert pixels[1, :, :5, :7].all()
    assert not pixels[1, :, 5:].any()
    assert model.proposer.image_sizes.tolist() == [[8, 12], [5, 7]]
    assert model.roi_head.image_sizes.tolist() == [[8, 12], [5, 7]]


def test_detections_are_in_the_coordinates_of_the_original_images():
    half = torch.diag(torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64)).repeat(2, 1, 1)
    found = detector().predict(batch(half, [(16, 11), (16, 24)]))
    assert found[0].boxes.tolist() == [[4, 8, 11, 16]]  # twice as large, and inside 16 x 11
    assert found[1].boxes.tolist() == [[4, 8, 12, 16]]


def test_forward_looks_at_regions_of_whole_images():
    model = detector()
    found = model(torch.zeros(2, 3, 8, 12))
    assert found.boxes.tolist() == [[[[1, 1, 2, 2]]]] * 2
    assert model.roi_head.image_sizes.tolist() == [[8, 12]] * 2


def test_detect_looks_at_regions_of_whole_images():
    model = detector()
    detections = model.detect(torch.zeros(2, 3, 8, 12))
    assert detections.boxes.tolist() == [[[2, 4, 6, 8]]] * 2
    assert model.roi_head.image_sizes.tolist() == [[8, 12]] * 2


def test_raw_detections_have_a_score_for_the_class_of_their_box():
    model = detector()
    boxes, scores = model.raw_detections(torch.zeros(2, 3, 8, 12))  # a box for all classes
    assert (boxes.shape, scores.shape) == ((2, 1, 4), (2, 1, 3))
    model.roi_head.boxes_per_region = 3
    boxes, scores = model.raw_detections(torch.zeros(2, 3, 8, 12))
    assert boxes.tolist() == [[[1, 1, 2, 2]] * 3] * 2
    assert scores[0].tolist() == torch.eye(3).tolist()


def test_colours_come_from_the_configuration_not_from_the_weights():
    assert not detector().state_dict()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["model=faster_rcnn", "model.proposer=null"],
            "a proposer is missing; choose one of external, grid, rpn",
        ),
        (["model=faster_rcnn", "model.roi_head=null"], "a roi_head is missing; choose one of bila"),
        (["model=faster_rcnn", "model/proposer=fcos"], "there is no proposer 'fcos'"),
        (["model=fcos", "model.roi_head=standard"], "model/roi_head: .* takes no roi_head"),
        (["model=fcos", "model/head=rpn"], "model/head: there is no 'rpn'"),
        (["model=fcos", "model/roi_head=standard"], "model/roi_head: .* takes no roi_head"),
        (["model=faster_rcnn", "model/head=fcos"], "model/head: .* takes no head"),
        (["model=faster_rcnn", "model.roi_head.box_loss=focal"], "works on classes, this slot"),
    ],
)
def test_what_cannot_fit_is_refused_before_anything_is_built(words, message):
    with pytest.raises(ConfigError, match=message):
        compose("train", words)


@pytest.mark.parametrize(
    "words",
    [
        ["model=mask_rcnn", "model/roi_head=cascade"],
        ["model=cascade_rcnn", "model/roi_head/mask_head=conv"],
    ],
    ids=str,
)
def test_a_cascade_has_the_mask_head_of_its_page(words):
    roi_head = compose("train", words)["model"]["roi_head"]
    assert (roi_head["name"], roi_head["mask_head"]["name"]) == ("cascade", "conv")
