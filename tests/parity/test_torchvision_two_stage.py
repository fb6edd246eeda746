"""The same weights give torchvision's proposals, losses, gradients and detections."""

from __future__ import annotations

import pytest
import torch
from torchvision_two_stage import our_two_stage, our_values, smooth, torchvision_two_stage, versions
from torchvision_weights import inputs_of_torchvision, require_same_training

LOSS_NAMES = {
    "loss_objectness": "loss/proposal_classification",
    "loss_rpn_box_reg": "loss/proposal_box",
    "loss_classifier": "loss/classification",
    "loss_box_reg": "loss/box",
}


@pytest.fixture(scope="module", params=versions())
def models(request, batch):
    theirs = torchvision_two_stage(request.param, batch.images)
    return theirs, our_two_stage(request.param, theirs.state_dict())


def with_proposals(model, *inputs):
    """The outputs of torchvision's model, and the proposals of its first stage with scores."""
    kept = []
    original = model.rpn.filter_proposals
    model.rpn.filter_proposals = lambda *given: kept.append(original(*given)) or kept[0]
    try:
        return model(*inputs), kept[0]
    finally:
        del model.rpn.filter_proposals


def their_training(model, batch):
    """torchvision's losses and proposals; batch norm stays in evaluation mode."""
    model.train()
    model.backbone.eval()
    model.roi_heads.box_head.eval()
    losses, proposals = with_proposals(model, *inputs_of_torchvision(batch, first_label=1))
    model.eval()
    return {LOSS_NAMES[name]: value for name, value in losses.items()}, proposals


def has_convolutions(box_head):
    return any(isinstance(layer, torch.nn.Conv2d) for layer in box_head.modules())


def require_same_regions(regions, boxes):
    for ours, theirs in zip(regions.split(), boxes, strict=True):
        assert len(theirs) > 20
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0.01)


# parity torchvision_faster_rcnn: torchvision
# parity torchvision_faster_rcnn_v2: torchvision
def test_losses_and_gradients(models, batch):
    theirs, ours = models
    heads = (theirs.roi_heads.box_head, ours.roi_head.stage.box_head)
    with smooth(*(heads if has_convolutions(heads[0]) else ())):
        (expected, _), found = their_training(theirs, batch), ours.loss(batch)
    assert any(len(target) == 0 for target in batch.targets.split())
    require_same_training(models, (expected, found), our_values, least=0.005)


def test_proposals_of_training(models, batch):
    theirs, ours = models
    _, (boxes, _) = their_training(theirs, batch)
    features = ours.features_of(batch)
    _, found = ours.proposer.loss_and_proposals(features, batch.targets, batch.size_tensor)
    require_same_regions(found, boxes)


def test_proposals_and_detections(models, batch):
    theirs, ours = models
    with torch.no_grad():
        expected, (boxes, _) = with_proposals(theirs, inputs_of_torchvision(batch)[0])
        proposed = ours.proposer.propose(ours.features_of(batch), batch.size_tensor)
    require_same_regions(proposed, boxes)
    for found, image in zip(ours.predict(batch), expected, strict=True):
        assert len(image["labels"]) > 5
        assert torch.equal(found.labels + 1, image["labels"])
        torch.testing.assert_close(found.scores, image["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, image["boxes"], rtol=0, atol=0.01)
