"""The same weights give torchvision's losses, gradients and detections."""

from __future__ import annotations

import pytest
import torch
from pictures import photograph_batch, rendered_batch
from torchvision_weights import DIVISOR, our_model, torchvision_model

from detkit.structures import PaddedTargets
from detkit.weights.tensor_names import name_of_torchvision_detector

LOSS_NAMES = {
    "classification": "loss/classification",
    "bbox_regression": "loss/box",
    "bbox_ctrness": "loss/quality",
}


@pytest.fixture(
    scope="module",
    params=[
        "rendered",
        pytest.param("photographs", marks=[pytest.mark.needs_bccd, pytest.mark.slow]),
    ],
)
def batch(request):
    if request.param == "rendered":
        return rendered_batch(DIVISOR)
    return photograph_batch(request.getfixturevalue("bccd"), DIVISOR)


@pytest.fixture(scope="module", params=["retinanet", pytest.param("fcos", marks=pytest.mark.slow)])
def models(request, batch):
    theirs = torchvision_model(request.param, batch.images)
    return theirs, our_model(request.param, theirs.state_dict())


def inputs_of_torchvision(batch):
    images = [
        image[:, :height, :width].float()
        for image, (height, width) in zip(batch.images, batch.image_sizes, strict=True)
    ]
    return images, [{"boxes": t.boxes, "labels": t.labels} for t in batch.targets.split()]


def their_losses(model, batch):
    """torchvision's losses; batch norm stays in evaluation mode, so images do not mix."""
    model.train()
    model.backbone.eval()
    losses = model(*inputs_of_torchvision(batch))
    model.eval()
    return {LOSS_NAMES[name]: value for name, value in losses.items()}


def our_losses(detector, batch):
    if detector.head.quality_target is not None:  # FCOS
        return detector.loss(batch)
    features = detector.features_of(batch)
    images = [
        detector.head.loss([level[i : i + 1] for level in features], PaddedTargets.of([target]))
        for i, target in enumerate(batch.targets.split())
    ]
    return {key: torch.stack([losses[key] for losses in images]).mean() for key in images[0]}


# parity retinanet: torchvision
# parity fcos: torchvision
def test_losses_and_gradients(models, batch):
    theirs, ours = models
    expected, found = their_losses(theirs, batch), our_losses(ours, batch)
    assert any(len(target) == 0 for target in batch.targets.split())
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert value > 0.01
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=0)
    for model, losses in ((theirs, expected), (ours, found)):
        model.zero_grad()
        sum(losses.values()).backward()
    parameters = dict(ours.named_parameters())
    expected_gradients = {
        name_of_torchvision_detector(key): p.grad for key, p in theirs.named_parameters()
    }
    assert expected_gradients.keys() == parameters.keys()
    for key, gradient in expected_gradients.items():
        difference = (parameters[key].grad - gradient).norm()
        assert difference <= 1e-4 * gradient.norm(), key


def test_detections(models, batch):
    theirs, ours = models
    with torch.no_grad():
        expected = theirs(inputs_of_torchvision(batch)[0])
    for found, image in zip(ours.predict(batch), expected, strict=True):
        assert len(image["labels"]) > 5
        assert torch.equal(found.labels, image["labels"])
        torch.testing.assert_close(found.scores, image["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, image["boxes"], rtol=0, atol=0.01)
