"""Published weights by name: `coco`, `hf://...`, and ImageNet's for a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit import registry
from detkit.errors import UserError, did_you_mean
from detkit.remote.addresses import HUB, WANDB
from detkit.remote.hub_model import HubModel, hub_model
from detkit.remote.wandb_model import WandbModel, wandb_model
from detkit.structures.published_weights import TORCHVISION_LICENCE, PublishedWeights
from detkit.text import listed
from detkit.weights.download import WebFile
from detkit.weights.hub_file import USUAL_FILE, HubFile, hub_file

COCO = "coco"
# Pages of conf/model, and the names of their weights in torchvision.models.detection.
_TORCHVISION = {
    "torchvision_faster_rcnn": "FasterRCNN_ResNet50_FPN_Weights",
    "torchvision_faster_rcnn_v2": "FasterRCNN_ResNet50_FPN_V2_Weights",
    "torchvision_fcos": "FCOS_ResNet50_FPN_Weights",
    "torchvision_mask_rcnn": "MaskRCNN_ResNet50_FPN_Weights",
    "torchvision_mask_rcnn_v2": "MaskRCNN_ResNet50_FPN_V2_Weights",
    "torchvision_retinanet": "RetinaNet_ResNet50_FPN_Weights",
    "torchvision_retinanet_v2": "RetinaNet_ResNet50_FPN_V2_Weights",
    "torchvision_ssd300": "SSD300_VGG16_Weights",
    "torchvision_ssdlite": "SSDLite320_MobileNet_V3_Large_Weights",
}


def published_file(weights: str) -> WebFile | HubFile | HubModel | WandbModel | None:
    """The file or bundle that a value of `weights` names; None if it is a path.

    Args:
        weights: `coco:PAGE`, an address `hf://...` or `wandb://...`, or a path. A repository of the
            hub without a file name is its bundle, or the file `model.safetensors`.

    Raises:
        UserError: There are no such weights.
    """
    if weights.startswith(WANDB):
        return wandb_model(weights, "weights")
    if weights.startswith(HUB):
        model = hub_model(weights, "weights", fallback=USUAL_FILE)
        return model if model.file is None else hub_file(weights)
    name, _, page = weights.partition(":")
    if name != COCO:
        return None
    if page not in _TORCHVISION:
        received = f"the page model={page}" if page else "this model"
        raise UserError(
            f"weights=coco: there are no published weights for {received}."
            f"{did_you_mean(page, _TORCHVISION)} Pages that have some: "
            f"{listed(f'model={other}' for other in _TORCHVISION)}. weights=imagenet starts from "
            "the published weights of the backbone alone."
        )
    from torchvision.models import detection  # takes over a second

    published = getattr(detection, _TORCHVISION[page]).COCO_V1
    return WebFile(published.url, TORCHVISION_LICENCE, published.meta.get("_file_size"))


def local_file(weights: str, key: str = "weights") -> str:
    """The path of the file that a value names; downloads nothing.

    Raises:
        UserError: It was not downloaded, or there are no such weights.
    """
    file = published_file(weights)
    if file is None:
        return weights
    path = file.cached()
    if path is None:
        raise file.missing(f"{key}={weights}", "is not in the cache")
    return str(path)


def fetch(config: Mapping[str, Any]) -> None:
    """Download the published weights that a configuration asks for, unless they are in the cache.

    Raises:
        UserError: They cannot be downloaded, or do not exist.
    """
    if config["weights"] is not None:
        fetch_weights(config["weights"])
    file = _backbone_file(config["model"].get("backbone"))
    if file is not None:
        file.fetch("weights=imagenet")


def fetch_weights(weights: str, key: str = "weights") -> None:
    """Download the file that a value names, unless it is a path or in the cache.

    Raises:
        UserError: It cannot be downloaded, or there are no such weights.
    """
    file = published_file(weights)
    if file is not None:
        file.fetch(f"{key}={weights}")


def _backbone_file(backbone: Any) -> WebFile | HubFile | None:
    """The published weights that a backbone, or the one inside it, will load."""
    if not isinstance(backbone, Mapping):
        return None
    if isinstance(backbone.get("backbone"), Mapping):
        return _backbone_file(backbone["backbone"])
    if backbone.get("weights") != "imagenet" and backbone.get("pretrained") is not True:
        return None
    describe = getattr(registry.get("backbone", backbone["name"]), "published_weights", None)
    published: PublishedWeights | None = describe(backbone) if describe else None
    if published is None:  # a plugin's backbone, which fetches by itself, or it will refuse
        return None
    if published.source.startswith(HUB):
        file = hub_file(published.source)
        return HubFile(file.repository, file.name, file.revision, published.licence)
    return WebFile(published.source, published.licence, published.megabytes)
