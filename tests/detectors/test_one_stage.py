import pytest
import torch
from torch import nn

from detkit.detectors.one_stage import OneStageDetector
from detkit.errors import UserError
from detkit.structures import (
    Batch,
    DensePredictions,
    Detections,
    FeatureSpec,
    PaddedDetections,
    PaddedTargets,
    Target,
)


class Passing(nn.Module):
    """Backbone and neck: one level, the images themselves."""

    feature_specs = (FeatureSpec(3, 1),)

    def forward(self, images):
        return images if isinstance(images, list) else [images]


class Recording(nn.Module):
    """A head that keeps what it is given and finds one box per image."""

    def forward(self, features):
        return DensePredictions(features[0], features[0], None)

    def loss(self, features, targets):
        self.features, self.targets = features, targets
        return {"loss/box": features[0].sum()}

    def predict(self, features, image_sizes):
        self.features, self.image_sizes = features, image_sizes
        count = len(image_sizes)
        boxes = torch.tensor([2.0, 4, 6, 8]).expand(count, 1, 4)
        labels = torch.zeros(count, 1, dtype=torch.int64)
        return PaddedDetections(boxes, torch.ones(count, 1), labels, torch.ones(count).long())


def detector(**changes):
    parts = {"backbone": Passing(), "neck": Passing(), "head": Recording()}
    return OneStageDetector(**{**parts, **changes})


def batch(sizes, filling=0, to_image=None, original_sizes=None):
    images = torch.full((len(sizes), 3, 8, 12), filling, dtype=torch.uint8)
    for image, (height, width) in zip(images, sizes, strict=True):
        image[:, :height, :width] = 200
    count = len(sizes)
    return Batch(
        images=images,
        image_sizes=sizes,
        targets=PaddedTargets.of([Target.empty()] * count),
        original_targets=[Target.empty()] * count,
        image_ids=list(range(count)),
        paths=["a.jpg"] * count,
        original_sizes=original_sizes or sizes,
        to_image=torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
        if to_image is None
        else to_image,
    )


def test_images_are_normalised_per_channel():
    model = detector(pixel_mean=(100.0, 150.0, 200.0), pixel_std=(50.0, 25.0, 10.0))
    model.loss(batch([(8, 12)]))
    pixels = model.head.features[0]
    assert pixels.shape == (1, 3, 8, 12)
    assert pixels.dtype == torch.float32
    assert pixels[0, :, 0, 0].tolist() == [2, 2, 0]


@pytest.mark.parametrize("verb", ["loss", "predict"])
def test_padding_is_zero_whatever_filled_it(verb):
    model = detector()
    getattr(model, verb)(batch([(8, 12), (5, 7)], filling=114))
    pixels = model.head.features[0]
    assert pixels[1, :, :5, :7].all()
    assert not pixels[1, :, 5:].any()
    assert not pixels[1, :, :, 7:].any()
    assert pixels[0].all()


def test_the_batch_itself_is_left_as_it_was():
    given = batch([(5, 7)], filling=114)
    before = given.images.clone()
    detector().loss(given)
    assert torch.equal(given.images, before)


def test_forward_normalises_and_gives_raw_predictions():
    predictions = detector(pixel_mean=(0.0, 0.0, 0.0), pixel_std=(2.0, 2.0, 2.0))(
        torch.full((1, 3, 2, 2), 200, dtype=torch.uint8)
    )
    assert torch.equal(predictions.class_logits, torch.full((1, 3, 2, 2), 100.0))


def test_detections_are_in_the_coordinates_of_the_original_image():
    half = torch.diag(torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64))[None]
    found = detector().predict(batch([(8, 12)], to_image=half, original_sizes=[(16, 11)]))
    assert found[0].boxes.tolist() == [[4, 8, 11, 16]]  # twice as large, and inside 11 x 16


def test_detections_of_single_images_are_refused():
    model = detector()
    model.head.predict = lambda features, image_sizes: [Detections.empty()]
    with pytest.raises(UserError, match="predicted list, expected PaddedDetections: return the"):
        model.predict(batch([(8, 12)]))


def test_detecting_takes_images_without_padding():
    model = detector()
    found = model.detect(torch.full((2, 3, 8, 12), 200.0))
    assert found.counts.tolist() == [1, 1]
    assert model.head.image_sizes.tolist() == [[8, 12], [8, 12]]
    assert model.head.features[0].shape == (2, 3, 8, 12)


def test_a_head_without_raw_boxes_needs_its_suppression_in_the_graph():
    with pytest.raises(UserError, match=r"Recording has no method .* export with nms=true"):
        detector().raw_detections(torch.zeros(1, 3, 8, 12))


def test_predicting_keeps_no_gradients():
    model = detector()
    model.pixel_mean.requires_grad_(True)
    model.predict(batch([(8, 12)]))
    assert not model.head.features[0].requires_grad


def test_colours_come_from_the_configuration_not_from_the_weights():
    assert not detector().state_dict()
