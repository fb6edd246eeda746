"""DETR equals transformers' implementation with the same weights, also in a padded batch."""

import copy

import pytest
import torch
from torch.testing import assert_close
from transformers_detr import (
    detkit_detr,
    padded_batch,
    transformers_detr,
    transformers_input,
)

transformers = pytest.importorskip("transformers", reason="the reference of this test")


@pytest.fixture(scope="module")
def pair():
    reference = transformers_detr(transformers)
    detector, batch = detkit_detr(reference.state_dict()), padded_batch()
    output = reference(**transformers_input(detector, batch))
    losses = detector.loss(batch)
    output.loss.backward()
    parts = [value for name, value in losses.items() if name != "loss/auxiliary"]
    sum(parts).backward()
    return reference, output, detector, losses, batch


def test_logits_and_boxes_are_equal(pair):
    _, output, detector, _, batch = pair
    with torch.no_grad():
        logits, boxes = detector.head.layers(detector.features_of(batch), batch.size_tensor)
    assert_close(logits[-1], output.logits, rtol=0, atol=1e-4)
    assert_close(boxes[-1], output.pred_boxes, rtol=0, atol=1e-4)


def test_the_matching_is_identical(pair):
    from transformers.loss.loss_for_object_detection import HungarianMatcher

    _, output, detector, _, batch = pair
    matcher = HungarianMatcher(class_cost=1, bbox_cost=5, giou_cost=2)
    labels = transformers_input(detector, batch)["labels"]
    expected = matcher({"logits": output.logits, "pred_boxes": output.pred_boxes}, labels)
    targets = batch.targets._replace(image_sizes=batch.size_tensor)
    _, matched = detector.head.assign(detector.features_of(batch), targets)
    for row, (queries, objects) in zip(matched, expected, strict=True):
        assert row[queries].tolist() == objects.tolist()
        assert int((row >= 0).sum()) == len(queries)


@pytest.mark.parametrize(
    ("name", "theirs", "weight"),
    [("classification", "loss_ce", 1), ("code", "loss_bbox", 5), ("box", "loss_giou", 2)],
)
def test_loss_parts_are_equal(pair, name, theirs, weight):
    _, output, _, losses, _ = pair
    expected = weight * output.loss_dict[theirs]
    assert_close(losses[f"loss/{name}"], expected, rtol=1e-5, atol=1e-5)


def test_auxiliary_losses_are_equal(pair):
    from transformers.loss.loss_for_object_detection import ForObjectDetectionLoss

    reference, _, detector, losses, batch = pair
    logits, boxes = detector.head.layers(detector.features_of(batch), batch.size_tensor)
    labels = transformers_input(detector, batch)["labels"]
    config = copy.deepcopy(reference.config)
    config.auxiliary_loss = True
    _, parts, _ = ForObjectDetectionLoss(
        logits[-1], labels, logits.device, boxes[-1], config, logits, boxes
    )
    weights = {"loss_ce": 1, "loss_bbox": 5, "loss_giou": 2}
    expected = sum(w * parts[f"{name}_{n}"] for name, w in weights.items() for n in range(2))
    assert_close(losses["loss/auxiliary"], expected, rtol=1e-5, atol=1e-5)


def test_gradients_are_equal(pair):
    from detkit.weights.detr_source import tensors_of_detr

    reference, _, detector, _, _ = pair
    named = reference.named_parameters()
    expected = tensors_of_detr({n: p.grad for n, p in named if p.grad is not None})
    ours = {n: p.grad for n, p in detector.named_parameters() if p.grad is not None}
    unmatched = {name for name in ours.keys() - expected.keys() if name.startswith("backbone.")}
    assert ours.keys() - expected.keys() == unmatched  # transformers freezes the first stages
    for name in ours.keys() & expected.keys():
        assert_close(ours[name], expected[name], rtol=1e-4, atol=1e-4)
