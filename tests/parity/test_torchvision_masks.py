"""The same weights give the losses, gradients, detections and masks of torchvision's Mask R-CNN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import rendered_batch
from test_torchvision_two_stage import LOSS_NAMES, has_convolutions
from torchvision_two_stage import our_two_stage, our_values, smooth, torchvision_two_stage
from torchvision_weights import DIVISOR, inputs_of_torchvision, require_same_training

from detkit.structures import Outlines, PaddedMasks

pytestmark = pytest.mark.slow  # two large networks

# a hexagon in the unit square, so that masks are no boxes
HEXAGON = np.array([[0.2, 0], [0.9, 0.1], [1, 0.6], [0.7, 1], [0.1, 0.9], [0, 0.4]])


def with_outlines(target):
    boxes = target.boxes.double().numpy()
    outlines = Outlines.of([[box[:2] + HEXAGON * (box[2:] - box[:2])] for box in boxes])
    return replace(target, outlines=outlines)


@pytest.fixture(scope="module")
def batch():
    batch = rendered_batch(DIVISOR)
    targets = [with_outlines(target) for target in batch.targets.split()]
    masks = PaddedMasks.of(targets, batch.image_sizes)
    return replace(batch, targets=batch.targets._replace(masks=masks))


def their_inputs(batch):
    images, targets = inputs_of_torchvision(batch, first_label=1)
    for number, target in enumerate(targets):
        target["masks"] = batch.targets.masks.bitmaps(number).byte()
    return images, targets


@pytest.fixture(scope="module", params=["mask_rcnn", "mask_rcnn_v2"])
def models(request, batch):
    theirs = torchvision_two_stage(request.param, batch.images)
    return theirs, our_two_stage(request.param, theirs.state_dict())


def their_losses(model, batch):
    model.train()
    for part in (model.backbone, model.roi_heads.box_head, model.roi_heads.mask_head):
        part.eval()
    losses = model(*their_inputs(batch))
    model.eval()
    return {{**LOSS_NAMES, "loss_mask": "loss/mask"}[name]: v for name, v in losses.items()}


# parity torchvision_mask_rcnn: torchvision
# parity torchvision_mask_rcnn_v2: torchvision
def test_losses_and_gradients(models, batch):
    theirs, ours = models
    heads = (theirs.roi_heads.box_head, ours.roi_head.stage.box_head)
    masks = (theirs.roi_heads.mask_head, theirs.roi_heads.mask_predictor, ours.roi_head.mask_head)
    with smooth(*(heads if has_convolutions(heads[0]) else ()), *masks):
        expected, losses = their_losses(theirs, batch), ours.loss(batch)
    require_same_training(models, (expected, losses), our_values, least=0.005)


def test_detections_and_pasted_masks(models, batch):
    theirs, ours = models
    with torch.no_grad():
        expected = theirs(inputs_of_torchvision(batch)[0])
    for detections, image in zip(ours.predict(batch), expected, strict=True):
        assert len(image["labels"]) > 5
        assert torch.equal(detections.labels + 1, image["labels"])
        torch.testing.assert_close(detections.scores, image["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(detections.boxes, image["boxes"], rtol=0, atol=0.01)
        pasted = torch.stack([detections.masks.pasted(n) for n in range(len(image["labels"]))])
        torch.testing.assert_close(pasted, image["masks"][:, 0], rtol=0, atol=1e-4)
        bitmaps = torch.stack([detections.masks.bitmap(n) for n in range(len(pasted))])
        clear = (image["masks"][:, 0] - 0.5).abs() > 1e-4
        assert torch.equal(bitmaps[clear], (image["masks"][:, 0] > 0.5)[clear])
