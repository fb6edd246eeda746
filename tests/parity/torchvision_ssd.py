"""torchvision's SSD300 and SSDlite with weights for tests, and ours with the same, from our pages.

torchvision takes no background from an image without objects, so our sampler's minimum is 0 here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection import ssd300_vgg16, ssdlite320_mobilenet_v3_large

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.weights.torchvision_ssd import tensors_of_ssd

SIDES = {"ssd300": 300, "ssdlite": 320}
CLASSES = Classes(["a", "b", "c"], [1, 2, 3])
# Builder, mean and deviation of the pixels, and the logit of background beyond the classes', by
# which a few of a hundred scores are above the threshold.
_BUILDERS = {
    "ssd300": (ssd300_vgg16, [123.0, 117.0, 104.0], [1.0] * 3, 9.0),
    "ssdlite": (ssdlite320_mobilenet_v3_large, [127.5] * 3, [127.5] * 3, 11.0),
}
_LOGITS_STD, _CODES_STD = 2.0, 0.5


def torchvision_model(name: str, images: Tensor) -> nn.Module:
    """torchvision's model in evaluation mode, without resizing, with some detections.

    Args:
        name: "ssd300" or "ssdlite".
        images: (B, 3, H, W) uint8; its weights are such that there are detections in these.
    """
    torch.manual_seed(0)
    build, mean, std, background = _BUILDERS[name]
    model = build(
        weights=None,
        weights_backbone=None,
        num_classes=1 + len(CLASSES.names),
        image_mean=mean,
        image_std=std,
    )
    model.transform.resize = lambda image, target: (image, target)
    with torch.no_grad():
        _normalise_features(model.backbone)
        mean_of, std_of = (torch.tensor(v)[:, None, None] for v in (mean, std))
        features = list(model.backbone.train()((images - mean_of) / std_of).values())
        model.eval()
        classes, boxes = model.head.classification_head, model.head.regression_head
        for level, feature in enumerate(features):
            _spread(_last(classes.module_list[level]), _LOGITS_STD, classes, level, feature)
            _spread(_last(boxes.module_list[level]), _CODES_STD, boxes, level, feature)
            _last(classes.module_list[level]).bias.view(-1, 1 + len(CLASSES.names))[:, 0].add_(
                background
            )
    return model


def _normalise_features(backbone: nn.Module) -> None:
    """Weights that keep the size of features, as a trained network's do."""
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # take the statistics from the images
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)


def _last(layer: nn.Module) -> nn.Conv2d:
    return [part for part in layer.modules() if isinstance(part, nn.Conv2d)][-1]


def _spread(conv: nn.Conv2d, std: float, head: nn.Module, level: int, feature: Tensor) -> None:
    """Rescale a predicting layer to values around 0 with a given spread."""
    outputs = head.module_list[level](feature)
    factor = std / outputs.std().clamp(min=1e-6)
    conv.weight.mul_(factor)
    conv.bias.sub_(outputs.mean()).mul_(factor)


def our_model(name: str, state: dict[str, Tensor]) -> nn.Module:
    """Ours with torchvision's weights, in evaluation mode."""
    words = [f"model=torchvision_{name}", "model.head.sampler.minimum=0"]
    detector = assembly.build_detector(compose("train", words)["model"], CLASSES)
    detector.load_state_dict(tensors_of_ssd(state))
    return detector.eval()
