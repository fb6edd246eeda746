"""The same weights give torchvision's losses, gradients and detections: SSD300 and SSDlite.

Where two objects have the same best prior, torchvision gives it to the last one and ours gives each
object one; where an object has two equal ones, rounding decides. The batches hold no such objects.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pictures import photograph_batch, rendered_batch, squared
from torchvision_ssd import SIDES, our_model, torchvision_model

from detkit.ops import pairwise_iou
from detkit.structures import PaddedTargets
from detkit.weights.torchvision_ssd import tensors_of_ssd

LOSS_NAMES = {"classification": "loss/classification", "bbox_regression": "loss/box"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("ssd300", "rendered"), marks=pytest.mark.slow),
        ("ssdlite", "rendered"),
        pytest.param(("ssd300", "photographs"), marks=[pytest.mark.needs_bccd, pytest.mark.slow]),
        pytest.param(("ssdlite", "photographs"), marks=[pytest.mark.needs_bccd, pytest.mark.slow]),
    ],
    ids="-".join,
)
def models(request):
    """torchvision's model, ours with its weights, and a batch of images of its size."""
    name, kind = request.param
    if kind == "rendered":
        batch = squared(rendered_batch(divisor=1), SIDES[name])
    else:
        batch = squared(photograph_batch(request.getfixturevalue("bccd"), divisor=1), SIDES[name])
    theirs = torchvision_model(name, batch.images)
    ours = our_model(name, theirs.state_dict())
    targets = [with_clear_priors(ours, batch), *batch.targets.split()[1:]]
    batch = replace(batch, targets=PaddedTargets.of(targets))
    return theirs, ours, batch


def with_clear_priors(detector, batch):
    """The first image's objects that have one best prior, and for themselves."""
    target = batch.targets.split()[0]
    with torch.no_grad():
        features = detector.neck(detector.backbone(batch.images[:1].float()))
    sizes = [tuple(level.shape[-2:]) for level in features]
    priors = detector.head.priors(sizes, torch.device("cpu")).boxes
    overlaps, best = pairwise_iou(target.boxes, priors).topk(2, dim=1)
    alone = (best[:, :1] == best[None, :, 0]).sum(dim=1) == 1
    clear = alone & (overlaps[:, 0] > overlaps[:, 1] + 1e-4)
    assert clear.sum() >= 2
    return target.select(clear)


def inputs_of_torchvision(batch):
    """Images and targets; background is torchvision's class 0."""
    return [image.float() for image in batch.images], [
        {"boxes": target.boxes, "labels": target.labels + 1} for target in batch.targets.split()
    ]


def their_losses(model, batch):
    """torchvision's losses; batch norm stays in evaluation mode, as in ours."""
    model.training = True
    losses = model(*inputs_of_torchvision(batch))
    model.training = False
    return {LOSS_NAMES[name]: value for name, value in losses.items()}


# parity torchvision_ssd300: torchvision
# parity torchvision_ssdlite: torchvision
def test_losses_and_gradients(models):
    theirs, ours, batch = models
    expected, found = their_losses(theirs, batch), ours.loss(batch)
    assert sorted(count == 0 for count in batch.targets.counts) == [False, True]
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert value > 0.01
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=0)
    for model, losses in ((theirs, expected), (ours, found)):
        model.zero_grad()
        sum(losses.values()).backward()
    parameters = dict(ours.named_parameters())
    gradients = tensors_of_ssd({name: p.grad for name, p in theirs.named_parameters()})
    assert gradients.keys() == parameters.keys()
    for key, gradient in gradients.items():
        difference = (parameters[key].grad - gradient).norm()
        assert difference <= 1e-4 * gradient.norm(), key


def test_detections(models):
    theirs, ours, batch = models
    with torch.no_grad():
        expected = theirs(inputs_of_torchvision(batch)[0])
    for found, image in zip(ours.predict(batch), expected, strict=True):
        assert len(image["labels"]) > 5
        assert torch.equal(found.labels, image["labels"] - 1)
        torch.testing.assert_close(found.scores, image["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, image["boxes"], rtol=0, atol=0.01)
