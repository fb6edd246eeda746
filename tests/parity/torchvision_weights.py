"""torchvision's RetinaNet and FCOS (ResNet-50-FPN) with weights for tests, and ours with the same.

torchvision divides RetinaNet's loss by the positives of each image and averages; detkit divides by
those of the batch. The tests therefore compare with our loss of each image, averaged.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models.detection import (
    fcos_resnet50_fpn,
    retinanet_resnet50_fpn,
    retinanet_resnet50_fpn_v2,
)
from torchvision.models.resnet import Bottleneck

from detkit.assigners import FCOSAssigner, MaxIoUAssigner
from detkit.backbones.resnet import ResNet50
from detkit.box_coders import DeltaCoder, DistanceCoder
from detkit.detectors.one_stage import OneStageDetector
from detkit.heads import DenseHead, Towers
from detkit.interfaces import Losses
from detkit.losses import BinaryCrossEntropy, FocalLoss, GIoULoss, L1Loss
from detkit.necks.fpn import FPN
from detkit.postprocess import NMS
from detkit.priors import Anchors, Points
from detkit.quality_targets.centreness import Centreness
from detkit.samplers import KeepAll
from detkit.structures import Batch
from detkit.weights.tensor_names import name_of_torchvision_detector

NUM_CLASSES = 3
DIVISOR = 128  # of the image's sides, as torchvision takes an anchor's stride from their ratio
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def torchvision_model(name: str, images: Tensor) -> nn.Module:
    """torchvision's model in evaluation mode, without resizing, with some detections.

    Args:
        name: Which of the three.
        images: (B, 3, H, W) uint8; its weights are such that there are detections in these.
    """
    torch.manual_seed(0)
    build, logits, codes = {
        "retinanet": (retinanet_resnet50_fpn, (-6.0, 1.5), (0.0, 0.3)),
        "retinanet_v2": (retinanet_resnet50_fpn_v2, (-6.0, 1.5), (0.0, 0.3)),
        "fcos": (fcos_resnet50_fpn, (-4.0, 1.5), (1.0, 0.5)),
    }[name]
    # The mean in 0..255 as ours is; in 0..1 other roundings would flip a few ReLUs.
    model = build(
        weights=None,
        weights_backbone=None,
        num_classes=NUM_CLASSES,
        size_divisible=DIVISOR,
        image_mean=MEAN,
        image_std=STD,
    )
    model.transform.resize = lambda image, target: (image, target)
    _spread_the_outputs(model, images, logits, codes)
    return model.eval()


def _spread_the_outputs(
    model: nn.Module, images: Tensor, logits: tuple[float, float], codes: tuple[float, float]
) -> None:
    """Weights as of a trained network: normal features, a few good scores, boxes near priors."""
    head = model.head
    with torch.no_grad():
        for layer in model.backbone.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # take the statistics from `images`
        for block in model.backbone.modules():
            if isinstance(block, Bottleneck):  # as training does; else rounding errors grow a lot
                nn.init.constant_(block.bn3.weight, 0.2)
        mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
        features = list(model.backbone.train()((images - mean) / std).values())
        for layer in head.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.normal_(layer.bias, std=0.1)
        head.regression_head.bbox_reg.bias.add_(100.0)  # for now no code is cut by FCOS's ReLU
        outputs = head(features)
        _rescale(head.classification_head.cls_logits, outputs["cls_logits"], *logits)
        _rescale(head.regression_head.bbox_reg, outputs["bbox_regression"], *codes)
        if "bbox_ctrness" in outputs:
            _rescale(head.regression_head.bbox_ctrness, outputs["bbox_ctrness"], 0.0, 1.0)


def _rescale(layer: nn.Conv2d, outputs: Tensor, mean: float, std: float) -> None:
    """Rescale a layer's `outputs` to another mean and spread."""
    factor = std / outputs.std()
    layer.weight.mul_(factor)
    layer.bias.sub_(outputs.mean()).mul_(factor).add_(mean)


def our_model(name: str, state: dict[str, Tensor]) -> OneStageDetector:
    """Ours with torchvision's weights, in evaluation mode."""
    backbone = ResNet50()
    neck = FPN(feature_specs=backbone.feature_specs, extra="p6p7_on_p5")
    head = {"retinanet": _retinanet, "fcos": _fcos}[name](neck.feature_specs)
    detector = OneStageDetector(backbone=backbone, neck=neck, head=head)
    detector.load_state_dict(
        {name_of_torchvision_detector(key): value for key, value in state.items()}
    )
    return detector.eval()


def _towers(specs, priors, **changes):
    return Towers(
        feature_specs=specs,
        num_classes=NUM_CLASSES,
        per_cell=priors.per_cell,
        code_size=4,
        class_activation="sigmoid",
        **changes,
    )


def _retinanet(specs):
    priors = Anchors(feature_specs=specs, offset=0.0, rounded=True)
    return DenseHead(
        layers=_towers(specs, priors),
        priors=priors,
        box_coder=DeltaCoder(),
        assigner=MaxIoUAssigner(),
        sampler=KeepAll(),
        classification_loss=FocalLoss(),
        box_loss=L1Loss(),
        postprocess=NMS(max_detections=300),
    )


def _fcos(specs):
    priors = Points(feature_specs=specs, offset=0.0)
    return DenseHead(
        layers=_towers(specs, priors, norm="group", with_quality=True),
        priors=priors,
        box_coder=DistanceCoder(),
        assigner=FCOSAssigner(),
        sampler=KeepAll(),
        classification_loss=FocalLoss(),
        box_loss=GIoULoss(),
        quality_target=Centreness(score_exponent=0.5),
        quality_loss=BinaryCrossEntropy(),
        postprocess=NMS(score_threshold=0.2, iou_threshold=0.6),
    )


def inputs_of_torchvision(
    batch: Batch, first_label: int = 0
) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Images without their padding, and targets whose labels start at a number."""
    images = [
        image[:, :height, :width].float()
        for image, (height, width) in zip(batch.images, batch.image_sizes, strict=True)
    ]
    targets = batch.targets.split()
    return images, [{"boxes": t.boxes, "labels": t.labels + first_label} for t in targets]


def require_same_training(
    models: tuple[nn.Module, nn.Module],
    losses: tuple[Losses, Losses],
    our_values: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    least: float,
) -> None:
    """Compare the losses of torchvision's model and ours, and their gradients.

    Args:
        models: torchvision's model, and ours.
        losses: The losses of both, by our names.
        our_values: Converts torchvision's gradients to our names and order.
        least: Each loss is larger.
    """
    assert losses[0].keys() == losses[1].keys()
    for key, value in losses[0].items():
        assert value > least
        torch.testing.assert_close(losses[1][key], value, rtol=1e-5, atol=0)
    for model, parts in zip(models, losses, strict=True):
        model.zero_grad()
        sum(parts.values()).backward()
    theirs, ours = (dict(model.named_parameters()) for model in models)
    gradients = our_values({key: parameter.grad for key, parameter in theirs.items()})
    assert gradients.keys() == ours.keys()
    for key, gradient in gradients.items():
        difference = (ours[key].grad - gradient).norm()
        assert difference <= 1e-4 * gradient.norm(), key


def our_names(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a torchvision detector, or their gradients, by our names."""
    return {name_of_torchvision_detector(name): value for name, value in values.items()}
