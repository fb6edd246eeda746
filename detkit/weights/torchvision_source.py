"""Weight files of torchvision's detectors, by detkit's names."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor

from detkit.weights.class_names import COCO_LOGITS, Slots, coco_slots
from detkit.weights.tensor_names import name_of_torchvision_detector, present_names
from detkit.weights.torchvision_roi_head import MASK_LAYER, REGION_CLASS_LAYER, background_last
from detkit.weights.torchvision_ssd import logits_of_ssd, page_of_ssd, tensors_of_ssd
from detkit.weights.weight_source import CLASS_LAYER, WeightSource, logits_of_prior

ONLY_BACKBONE = "and detkit can use only its backbone"
_FOURTH_LEVEL = "neck.lateral.3.conv.weight"  # the pyramid of a ResNet, not of a MobileNet
_EPSILON = 1e-5  # of torch's and torchvision's batch norms


def is_torchvision(names: Collection[str]) -> bool:
    """Whether these tensor names come from torchvision's RetinaNet, FCOS or R-CNNs."""
    return any(name.startswith("backbone.body.") for name in names)


def read_torchvision(path: Path, named_tensors: dict[str, Tensor]) -> WeightSource:
    """Convert a RetinaNet, FCOS, Faster or Mask R-CNN of torchvision; of others, only the backbone.

    Args:
        path: The file.
        named_tensors: Its tensors by torchvision's names.
    """
    present = present_names(named_tensors)
    tensors = {name_of_torchvision_detector(present[name]): v for name, v in named_tensors.items()}
    if _is_published_without_epsilon(path):
        tensors = {name: _without_epsilon(name, value) for name, value in tensors.items()}
    if _FOURTH_LEVEL in tensors and REGION_CLASS_LAYER in tensors:
        return _two_stage(path, tensors)
    if CLASS_LAYER in tensors:
        return _one_stage(path, tensors)
    # detkit has no detector with the levels and layers of torchvision's other detectors.
    kind = f"a torchvision detector of another kind, {ONLY_BACKBONE}"
    return WeightSource(path, kind, named_tensors, is_backbone=True)


def _one_stage(path: Path, tensors: dict[str, Tensor]) -> WeightSource:
    page = "torchvision_retinanet"
    if "head.layers.quality_layer.weight" in tensors:
        page = "torchvision_fcos"
    elif "head.layers.class_tower.0.norm.weight" in tensors:
        page = "torchvision_retinanet_v2"
        tensors = {**_zero_biases(tensors), **tensors}
    logits = logits_of_prior(tensors)
    slots = coco_slots() if logits == COCO_LOGITS else None
    return WeightSource(path, _kind(page, slots), tensors, logits=logits, slots=slots, page=page)


def _two_stage(path: Path, tensors: dict[str, Tensor]) -> WeightSource:
    is_second = "roi_head.stage.box_head.convs.0.conv.weight" in tensors
    kind = "mask" if f"{MASK_LAYER}weight" in tensors else "faster"
    page = f"torchvision_{kind}_rcnn{'_v2' if is_second else ''}"
    logits = len(tensors[REGION_CLASS_LAYER])
    slots = coco_slots().without_first() if logits == COCO_LOGITS else None
    return WeightSource(
        path=path,
        kind=_kind(page, slots),
        tensors=background_last(tensors),
        logits=logits,
        slots=slots,
        background_first=True,
        page=page,
    )


def read_torchvision_ssd(path: Path, named_tensors: dict[str, Tensor]) -> WeightSource:
    """Convert torchvision's SSD300 or SSDlite.

    Args:
        path: The file.
        named_tensors: Its tensors by torchvision's names.
    """
    page, tensors = page_of_ssd(named_tensors), tensors_of_ssd(named_tensors)
    logits = logits_of_ssd(tensors)
    slots = coco_slots().without_first() if logits == COCO_LOGITS else None
    return WeightSource(
        path=path,
        kind=_kind(page, slots),
        tensors=tensors,
        logits=logits,
        slots=slots,
        background_first=True,
        page=page,
        augmentation=page.removeprefix("torchvision_"),
    )


def _kind(page: str, slots: Slots | None) -> str:
    return f"{page.replace('_', ' ')}{', with the classes of COCO' if slots else ''}"


def _zero_biases(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Zero biases for the towers of RetinaNet v2, whose convolutions have none in torchvision."""
    return {
        name.replace(".weight", ".bias"): value.new_zeros(len(value))
        for name, value in tensors.items()
        if "_tower." in name and name.endswith(".conv.weight")
    }


def _is_published_without_epsilon(path: Path) -> bool:
    """Whether torchvision published the file, judged by the hash in its published name."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return digest.startswith(tuple(hashes_without_epsilon()))


def hashes_without_epsilon() -> list[str]:
    """Beginnings of the hashes of weights for which torchvision sets the norms' epsilon to 0."""
    from torchvision.models.detection import (  # takes over a second
        FasterRCNN_ResNet50_FPN_Weights,
        MaskRCNN_ResNet50_FPN_Weights,
        RetinaNet_ResNet50_FPN_Weights,
    )

    published = (
        RetinaNet_ResNet50_FPN_Weights,
        FasterRCNN_ResNet50_FPN_Weights,
        MaskRCNN_ResNet50_FPN_Weights,
    )
    return [names.COCO_V1.url.rpartition("-")[2].removesuffix(".pth") for names in published]


def _without_epsilon(name: str, value: Tensor) -> Tensor:
    """Subtract the epsilon that our batch norms add to a variance, and torchvision's do not here.

    torchvision sets the epsilon of the norms to 0 when it loads a few of its published weights.
    """
    return value - _EPSILON if name.endswith("running_var") else value
