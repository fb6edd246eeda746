"""Fast R-CNN's head gives the losses, gradients and detections of torchvision's RoIHeads."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import roi_pool
from torchvision_two_stage import FirstOfEach, first_of_each

from detkit import assembly
from detkit.config.compose import compose
from detkit.structures import FeatureSpec, PaddedTargets, Regions, Target

CLASSES, CHANNELS, WIDTH, SIZE = 3, 4, 16, (96, 128)
SAME_AS_TORCHVISION = [  # which has no lower limit for background, and other losses and NMS
    "model.roi_head.assigner.background_at_least=0",
    "model.roi_head.box_loss.beta=0.1111111111111111",
    "model.roi_head.postprocess.iou_threshold=0.5",
    "model.roi_head.box_head.dropout=0",
    f"model.roi_head.box_head.width={WIDTH}",
]


class RoIPool(nn.Module):
    def forward(self, features, boxes, image_shapes):
        return roi_pool(features["0"], boxes, 7, spatial_scale=1 / 16)


@pytest.fixture(scope="module")
def heads():
    torch.manual_seed(0)
    theirs = RoIHeads(
        RoIPool(),
        TwoMLPHead(CHANNELS * 49, WIDTH),
        FastRCNNPredictor(WIDTH, CLASSES + 1),
        *(0.5, 0.5, 64, 0.25, None),
        *(0.05, 0.5, 100),
    )
    theirs.fg_bg_sampler = first_of_each
    model = compose("train", ["model=fast_rcnn", *SAME_AS_TORCHVISION])["model"]
    names = [f"class {number}" for number in range(CLASSES)]
    wiring = {"feature_specs": [FeatureSpec(CHANNELS, 16)], "num_classes": CLASSES}
    ours = assembly.build(
        "roi_head", model["roi_head"], {**wiring, "class_names": names}, ("model", "roi_head")
    )
    ours.stage.sampler = FirstOfEach()
    ours.load_state_dict(our_names(theirs.state_dict()))
    return theirs.eval(), ours.eval()


def our_names(values):
    """Tensors of torchvision's head by our names: background last, codes before classes."""
    boxes = {}
    for kind in ("weight", "bias"):
        rows = values[f"box_predictor.bbox_pred.{kind}"]
        rows = rows.reshape(CLASSES + 1, 4, *rows.shape[1:])[1:].transpose(0, 1)
        boxes[f"stage.box_layer.{kind}"] = rows.flatten(0, 1)
        boxes[f"stage.class_layer.{kind}"] = values[f"box_predictor.cls_score.{kind}"].roll(-1, 0)
        for number, name in ((6, "first"), (7, "second")):
            boxes[f"stage.box_head.{name}.{kind}"] = values[f"box_head.fc{number}.{kind}"]
    return boxes


def scene():
    """Features, regions and objects of two images; the second has no object."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, CHANNELS, 6, 8, generator=generator)
    corners, sides = torch.rand(2, 2, 60, 2, generator=generator)
    extent = torch.tensor([SIZE[1], SIZE[0]])
    starts = corners * (extent - 12)
    boxes = torch.cat([starts, starts + 10 + sides * (extent - starts - 10)], dim=2)
    objects = torch.stack([boxes[0, 3] + 2, boxes[0, 9] - 1]).clamp(min=0)
    target = Target(objects, torch.tensor([2, 0]), torch.tensor([False, False]))
    return features, boxes, [target, Target.empty()]


# parity fast_rcnn: torchvision
def test_losses_and_gradients(heads):
    theirs, ours = heads
    features, boxes, targets = scene()
    labels = [{"boxes": t.boxes, "labels": t.labels + 1} for t in targets]
    theirs.train()
    _, expected = theirs({"0": features}, list(boxes), [SIZE, SIZE], labels)
    theirs.eval()
    sizes = torch.tensor([SIZE, SIZE], dtype=torch.float32)
    losses = ours.loss([features], Regions.of(list(boxes)), PaddedTargets.of(targets), sizes)
    torch.testing.assert_close(losses["loss/classification"], expected["loss_classifier"])
    torch.testing.assert_close(losses["loss/box"], expected["loss_box_reg"])
    assert losses["loss/box"] > 0
    for head, values in ((theirs, expected), (ours, losses)):
        head.zero_grad()
        sum(values.values()).backward()
    gradients = our_names({name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-7)


def test_detections(heads):
    theirs, ours = heads
    features, boxes, _ = scene()
    with torch.no_grad():
        expected, _ = theirs({"0": features}, list(boxes), [SIZE, SIZE])
    sizes = torch.tensor([SIZE, SIZE], dtype=torch.float32)
    detections = ours.predict([features], Regions.of(list(boxes)), sizes).split()
    for image, reference in zip(detections, expected, strict=True):
        assert len(image.scores) > 5
        assert torch.equal(image.labels + 1, reference["labels"])
        torch.testing.assert_close(image.scores, reference["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(image.boxes, reference["boxes"], rtol=0, atol=0.01)
