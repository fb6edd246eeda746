"""The same weights give torchvision's losses, gradients and detections."""

from __future__ import annotations

import pytest
import torch
from torchvision_weights import (
    inputs_of_torchvision,
    our_model,
    our_names,
    require_same_training,
    torchvision_model,
)

from detkit.structures import PaddedTargets

LOSS_NAMES = {
    "classification": "loss/classification",
    "bbox_regression": "loss/box",
    "bbox_ctrness": "loss/quality",
}


@pytest.fixture(scope="module", params=["retinanet", pytest.param("fcos", marks=pytest.mark.slow)])
def models(request, batch):
    theirs = torchvision_model(request.param, batch.images)
    return theirs, our_model(request.param, theirs.state_dict())


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
    require_same_training(models, (expected, found), our_names, least=0.01)


def test_detections(models, batch):
    theirs, ours = models
    with torch.no_grad():
        expected = theirs(inputs_of_torchvision(batch)[0])
    for found, image in zip(ours.predict(batch), expected, strict=True):
        assert len(image["labels"]) > 5
        assert torch.equal(found.labels, image["labels"])
        torch.testing.assert_close(found.scores, image["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, image["boxes"], rtol=0, atol=0.01)
