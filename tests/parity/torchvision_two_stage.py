"""torchvision's Faster and Mask R-CNN (ResNet-50-FPN) with weights for tests, and ours alike.

Which anchors and regions are sampled is random; here both sides take the same first ones. Both are
given fewer regions than by default, so that a test takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor, nn
from torchvision.models.detection import (
    fasterrcnn_resnet50_fpn,
    fasterrcnn_resnet50_fpn_v2,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)
from torchvision.models.resnet import Bottleneck
from torchvision_weights import DIVISOR, MEAN, NUM_CLASSES, STD, _rescale

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.weights.tensor_names import name_of_torchvision_detector
from detkit.weights.torchvision_roi_head import background_last

CANDIDATES = {"training": 200, "testing": 120}
REGIONS = {"training": 90, "testing": 60}
POSITIVES, NEGATIVES = 12, 30
BUILDERS = {
    "faster_rcnn": fasterrcnn_resnet50_fpn,
    "faster_rcnn_v2": fasterrcnn_resnet50_fpn_v2,
    "mask_rcnn": maskrcnn_resnet50_fpn,
    "mask_rcnn_v2": maskrcnn_resnet50_fpn_v2,
}


def versions() -> list[ParameterSet]:
    """The networks without masks as test parameters; the second, twice as large, is slow."""
    slow = {"faster_rcnn_v2"}
    names = ("faster_rcnn", "faster_rcnn_v2")
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in names]


def first_of_each(labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """torchvision's sampler with the randomness taken out: masks of positives and of background."""
    positives = [(each > 0) & ((each > 0).cumsum(0) <= POSITIVES) for each in labels]
    return positives, [(each == 0) & ((each == 0).cumsum(0) <= NEGATIVES) for each in labels]


class FirstOfEach:
    """The same for ours."""

    ranks_by = "nothing"

    def __call__(self, matched: Tensor, losses: Tensor) -> Tensor:
        positives, negatives = first_of_each([1 + row for row in matched])
        return torch.stack(positives) | torch.stack(negatives)


def torchvision_two_stage(name: str, images: Tensor) -> nn.Module:
    """torchvision's model in evaluation mode, without resizing, with some detections.

    Args:
        name: One of `BUILDERS`.
        images: (B, 3, H, W) uint8; its weights are such that there are detections in these.
    """
    torch.manual_seed(0)
    model = BUILDERS[name](
        weights=None,
        weights_backbone=None,
        num_classes=NUM_CLASSES + 1,
        size_divisible=DIVISOR,
        image_mean=MEAN,
        image_std=STD,
        rpn_pre_nms_top_n_train=CANDIDATES["training"],
        rpn_pre_nms_top_n_test=CANDIDATES["testing"],
        rpn_post_nms_top_n_train=REGIONS["training"],
        rpn_post_nms_top_n_test=REGIONS["testing"],
    )
    model.transform.resize = lambda image, target: (image, target)
    model.rpn.fg_bg_sampler = model.roi_heads.fg_bg_sampler = first_of_each
    with torch.no_grad():
        _spread_the_outputs(model, images)
    return model.eval()


def _spread_the_outputs(model: nn.Module, images: Tensor) -> None:
    """Weights as of a trained network: normal features, a few good scores, boxes near priors."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # take the statistics from `images`
        if isinstance(layer, Bottleneck):  # as training does; else rounding errors grow a lot
            nn.init.constant_(layer.bn3.weight, 0.2)
    for part in (model.rpn.head, model.roi_heads):
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.normal_(layer.bias, std=0.1)
    mean, std = (torch.tensor(value)[:, None, None] for value in (MEAN, STD))
    features = model.backbone.train()((images - mean) / std)
    logits, codes = (
        torch.cat([level.flatten() for level in levels])
        for levels in model.rpn.head(list(features.values()))
    )
    _rescale(model.rpn.head.cls_logits, logits, -1.0, 1.5)
    _rescale(model.rpn.head.bbox_pred, codes, 0.0, 0.3)
    corners = torch.rand(40, 2) * 60
    regions = torch.cat([corners, corners + 20 + 60 * torch.rand(40, 2)], dim=1)
    sizes = [tuple(images.shape[-2:])] * len(images)
    pooled = model.roi_heads.box_roi_pool(features, [regions] * len(images), sizes)
    found = model.roi_heads.box_head.train()(pooled)
    predictor = model.roi_heads.box_predictor
    logits, codes = predictor(found)
    _rescale(predictor.cls_score, logits, 0.0, 2.0)
    _rescale(predictor.bbox_pred, codes, 0.0, 0.7)
    if model.roi_heads.has_mask():
        pooled = model.roi_heads.mask_roi_pool(features, [regions] * len(images), sizes)
        logits = model.roi_heads.mask_predictor(model.roi_heads.mask_head.train()(pooled))
        _rescale(model.roi_heads.mask_predictor.mask_fcn_logits, logits, 0.0, 2.0)


def our_values(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of torchvision's Faster R-CNN, or their gradients, by our names and in our order."""
    return background_last({name_of_torchvision_detector(name): v for name, v in given.items()})


def our_two_stage(name: str, state: dict[str, Tensor]) -> nn.Module:
    """Our detector of that page with torchvision's weights, in evaluation mode."""
    words = [f"model=torchvision_{name}", "model.backbone.norm=batch"]
    for slot, case in (("training_postprocess", "training"), ("postprocess", "testing")):
        words.append(f"model.proposer.{slot}.max_candidates={CANDIDATES[case]}")
        words.append(f"model.proposer.{slot}.max_detections={REGIONS[case]}")
    names = [str(label) for label in range(NUM_CLASSES)]
    classes = Classes(names, list(range(1, NUM_CLASSES + 1)))
    detector = assembly.build_detector(compose("train", words)["model"], classes)
    detector.proposer.sampler = detector.roi_head.stage.sampler = FirstOfEach()
    detector.load_state_dict(our_values(state))
    return detector.eval()


@contextmanager
def smooth(*box_heads: nn.Module) -> Iterator[None]:
    """Replace the ReLUs of box heads by SiLUs for a while.

    The slope of a ReLU jumps at 0. In a head of four convolutions, rounding errors of 1e-7 in the
    pooled maps then change the gradients by 3e-3, which would hide a wrong gradient.
    """
    parents = [
        (parent, name)
        for head in box_heads
        for parent in head.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.ReLU)
    ]
    before = [getattr(parent, name) for parent, name in parents]
    for parent, name in parents:
        setattr(parent, name, nn.SiLU())
    yield
    for (parent, name), layer in zip(parents, before, strict=True):
        setattr(parent, name, layer)
