"""Fit the SVMs of a trained roi head on the training images, as in R-CNN."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.ops import iou, share_inside
from detkit.structures import Batch, PaddedTargets, Regions
from detkit.text import counted, duration
from detkit.training.linear_svm import SVMs

_log = logging.getLogger("detkit.training")
_BACKGROUND = 0.3  # IoU with every object of a class below which a region is its negative
_INSIDE = 0.5  # share of a region inside an ignored object that excludes it, as in assigners


class _RegionSVMs(Protocol):
    """The layer of a roi head that holds its SVMs."""

    cost: float
    weight: Tensor  # (C, F)
    fitted: Tensor

    def set(self, weight: Tensor, bias: Tensor) -> None: ...


@runtime_checkable
class _RoIHead(Protocol):
    @property
    def svms(self) -> _RegionSVMs | None: ...

    def region_features(self, features: list[Tensor], regions: Regions) -> Tensor: ...  # (B, R, F)


class _Detector(Protocol):
    roi_head: _RoIHead

    def features_of(self, batch: Batch) -> list[Tensor]: ...

    def regions_of(self, features: list[Tensor], batch: Batch) -> Regions: ...


class _Counts(NamedTuple):
    """What SVMs were fitted on."""

    objects: int
    regions: int


def require_svm_package(model: Mapping[str, Any]) -> None:
    """Refuse a model with SVMs if scikit-learn, which fits them, is not installed.

    Raises:
        ConfigError: It is not.
    """
    cost = (model.get("roi_head") or {}).get("svm_cost")
    if cost is not None and find_spec("sklearn") is None:
        raise ConfigError(
            [
                f"model.roi_head.svm_cost={cost}: SVMs need scikit-learn, which is not installed: "
                "run pip install 'detkit[svm]', or set model.roi_head.svm_cost=null to score "
                "classes by softmax."
            ]
        )


def fit_svms(
    detector: nn.Module,
    loader: Iterable[Batch],
    device: torch.device,
    class_names: Sequence[str],
) -> dict[str, Tensor]:
    """Fit the SVMs of a detector, in place; do nothing if it has none or they are fitted.

    Positives are the objects; negatives are the regions, and objects of other classes, whose IoU
    with every object of the class is below 0.3. The images are read twice: for the objects, and for
    the regions.

    Args:
        detector: The detector; all its other tensors stay as they are.
        loader: The training images without augmentation.
        device: Where the network runs.
        class_names: The C names.

    Returns:
        The detector's tensors that changed, by name.
    """
    roi_head = getattr(detector, "roi_head", None)
    if not isinstance(roi_head, _RoIHead) or roi_head.svms is None or roi_head.svms.fitted:
        return {}
    _log.info("fitting SVMs in two passes over the training images")
    start = time.monotonic()
    detector.to(device).eval()
    num_classes, width = roi_head.svms.weight.shape
    svms = SVMs(width, num_classes, cost=roi_head.svms.cost)
    counts = _add_examples(svms, detector, loader, device)  # type: ignore[arg-type]
    if not counts.objects:
        _log.warning("the training images have no objects to fit SVMs to: softmax scores classes")
        return {}
    fitted = svms.fit()
    roi_head.svms.set(fitted.weight, fitted.bias)
    objects, regions = counted(counts.objects, "object"), counted(counts.regions, "other region")
    seconds = duration(time.monotonic() - start)
    _log.info("fitted SVMs to %s and %s in %s: they score classes now", objects, regions, seconds)
    without_objects = fitted.bias.isnan().nonzero().flatten().tolist()
    _warn(class_names, without_objects, "has no training objects and is never detected")
    _warn(class_names, fitted.unconverged, "has not converged: lower model.roi_head.svm_cost")
    return {name: value for name, value in detector.state_dict().items() if ".svms." in name}


def _warn(class_names: Sequence[str], labels: Sequence[int], problem: str) -> None:
    for label in labels:
        _log.warning("the SVM of class '%s' %s", class_names[label], problem)


@torch.no_grad()
def _add_examples(
    svms: SVMs, detector: _Detector, loader: Iterable[Batch], device: torch.device
) -> _Counts:
    """Add the objects of all images, then mine hard negatives among all regions."""
    objects = regions = 0
    for batch in loader:
        objects += _add_objects(svms, detector, batch.to(device))
    for batch in loader if objects else ():
        regions += _add_regions(svms, detector, batch.to(device))
    return _Counts(objects, regions)


def _add_objects(svms: SVMs, detector: _Detector, batch: Batch) -> int:
    """Add the objects of a batch; returns their number."""
    targets = batch.targets
    mask = _outside_blank(targets.mask, batch)
    regions = Regions(targets.boxes, mask)
    features = detector.roi_head.region_features(detector.features_of(batch), regions)
    svms.add_objects(features[mask].cpu(), targets.labels[mask].cpu())
    return int(mask.sum())


def _add_regions(svms: SVMs, detector: _Detector, batch: Batch) -> int:
    """Add the regions of a batch and its objects; returns the number of regions."""
    features, targets = detector.features_of(batch), batch.targets
    proposed = detector.regions_of(features, batch).to(targets.boxes.device)
    boxes = torch.cat([proposed.boxes, targets.boxes], dim=1)
    mask = _outside_blank(torch.cat([proposed.mask, targets.mask], dim=1), batch)
    region_features = detector.roi_head.region_features(features, Regions(boxes, mask))
    negatives = negative_regions(boxes, targets, svms.num_classes)
    for rows, image_features, is_negative in zip(mask, region_features, negatives, strict=True):
        svms.add_regions(image_features[rows].cpu(), is_negative[rows].cpu())
    return int(mask.sum() - targets.mask[mask.any(dim=1)].sum())


def _outside_blank(mask: Tensor, batch: Batch) -> Tensor:
    """Regions (B, R) without those of blank images, which replace unreadable files."""
    mask = mask.clone()
    mask[list(batch.blank)] = False
    return mask


def negative_regions(boxes: Tensor, targets: PaddedTargets, num_classes: int) -> Tensor:
    """(B, R, C) whether regions (B, R, 4) are negatives of each class."""
    overlaps = iou(boxes[:, :, None], targets.distant_padding()[:, None])  # (B, R, N)
    highest = overlaps.new_zeros((*boxes.shape[:2], num_classes))
    labels = targets.labels[:, None].expand_as(overlaps)
    highest = highest.scatter_reduce(2, labels, overlaps, "amax")
    inside = share_inside(boxes, targets.ignored_boxes) >= _INSIDE  # (B, R, M)
    return (highest < _BACKGROUND) & ~inside.any(dim=2, keepdim=True)
