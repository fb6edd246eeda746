"""The detections and objects of images as arrays, collected for metrics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.errors import DataError
from detkit.evaluation.image_masks import ImageMasks, image_masks
from detkit.structures import Detections, Target
from detkit.text import counted

_log = logging.getLogger("detkit.evaluation")


class ImageArrays(NamedTuple):
    """The detections and objects of one image; copies, so that no batch is kept alive.

    Attributes:
        boxes: (N, 4) detections, xyxy.
        scores: (N,).
        labels: (N,).
        object_boxes: (M, 4) xyxy.
        object_labels: (M,).
        ignored: (M,).
        areas: (M,) annotated areas, or box areas if there are none.
        masks: The masks of both; None for boxes alone.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    object_boxes: NDArray[np.float32]
    object_labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float64]
    masks: ImageMasks | None = None

    def content(self) -> bytes:
        """Bytes that differ between two results for the same image."""
        arrays = b"".join(value.tobytes() for value in (self.scores, self.boxes, self.labels))
        return arrays if self.masks is None else arrays + self.masks.content()


@dataclass(frozen=True)
class Counts:
    """The size of an evaluation.

    Attributes:
        images: Images, each counted once.
        objects: Objects that count, per class.
        ignored: Crowd and difficult objects.
        detections: Detections of any score.
    """

    images: int
    objects: list[int]
    ignored: int
    detections: int

    def __str__(self) -> str:
        """The counts as a line for a person."""
        text = f"{counted(self.images, 'image')}, {counted(sum(self.objects), 'object')}"
        text += f" and {counted(self.ignored, 'ignored one')}" if self.ignored else ""
        return f"{text}, {counted(self.detections, 'detection')}"


class CollectedImages:
    """Images by id, each counted once, on one rank or merged from several.

    Args:
        class_names: The classes in label order.
        masks: Whether to collect masks too, where detections and objects have them.
    """

    def __init__(self, class_names: Sequence[str], *, masks: bool = False) -> None:
        self.class_names = list(class_names)
        self._collects_masks = masks
        self._images: dict[int, ImageArrays] = {}
        self._warned = False
        self._warned_of_masks = False
        self._lacks_outlines = False

    def update(
        self, image_ids: list[int], detections: list[Detections], targets: list[Target]
    ) -> None:
        """Add the detections and objects of images, in original coordinates.

        Raises:
            DataError: A label is none of the classes, or an object's box is not finite.
        """
        for image_id, predicted, target in zip(image_ids, detections, targets, strict=True):
            image = _arrays(predicted, target)
            self._check_labels(image_id, "detection", image.labels)
            self._check_labels(image_id, "object", image.object_labels)
            _check_boxes(image_id, image.object_boxes)
            finite = self._finite(image)
            measured = predicted if finite.all() else predicted.select(torch.from_numpy(finite))
            image = image if measured is predicted else _arrays(measured, target)
            self._images[int(image_id)] = image._replace(masks=self._masks(measured, target))

    def by_id(self) -> dict[int, ImageArrays]:
        """All images in the order of their ids."""
        return dict(sorted(self._images.items()))

    def state(self) -> dict[str, Any]:
        """The images of this rank, for `merge` on another rank."""
        return {"images": dict(self._images)}

    def merge(self, states: list[dict[str, Any]]) -> None:
        """Add the images of other ranks.

        Two ranks may have the same image from batches with different padding. The content decides
        which one counts, so that all ranks compute the same numbers.
        """
        for state in states:
            for image_id, image in state["images"].items():
                earlier = self._images.get(image_id, image)
                self._images[image_id] = min(earlier, image, key=ImageArrays.content)

    def reset(self) -> None:
        """Remove all images."""
        self._images = {}
        self._warned = False

    def counts(self) -> Counts:
        """Count the images, objects and detections."""
        images = self._images.values()
        labels = [image.object_labels[~image.ignored] for image in images]
        objects = np.bincount(
            np.concatenate([*labels, np.zeros(0, np.int64)]), minlength=len(self.class_names)
        )
        return Counts(
            images=len(images),
            objects=objects.tolist(),
            ignored=sum(int(image.ignored.sum()) for image in images),
            detections=sum(len(image.scores) for image in images),
        )

    def has_masks(self) -> bool:
        """Whether masks can be measured; warns once if only the objects lack them."""
        masks = [image.masks for image in self._images.values() if image.masks is not None]
        objects = np.concatenate([*(image.unmasked for image in masks), np.zeros(0, np.bool_)])
        lacks_masks = self._lacks_outlines or (len(objects) > 0 and bool(objects.all()))
        if lacks_masks and not self._warned_of_masks:
            self._warned_of_masks = True
            _log.warning(
                "the detections have masks, but no object of these images has one, so only "
                "boxes are measured: mask AP needs COCO annotations with segmentations."
            )
        return len(masks) > 0 and not lacks_masks

    def _masks(self, detections: Detections, target: Target) -> ImageMasks | None:
        if not self._collects_masks or detections.masks is None:
            return None
        self._lacks_outlines = self._lacks_outlines or target.outlines is None
        return image_masks(detections, target)

    def _check_labels(self, image_id: int, noun: str, labels: NDArray[np.int64]) -> None:
        wrong = labels[(labels < 0) | (labels >= len(self.class_names))]
        if len(wrong):
            raise DataError(
                f"image {image_id}: {noun} with label {int(wrong[0])}, but the metric knows "
                f"{len(self.class_names)} classes (labels 0 to {len(self.class_names) - 1}): "
                "measure with the classes that the detector was built for."
            )

    def _finite(self, image: ImageArrays) -> NDArray[np.bool_]:
        """(N,) detections without NaN and infinity, which libraries treat differently."""
        finite = np.isfinite(image.boxes).all(axis=1) & np.isfinite(image.scores)
        if not finite.all() and not self._warned:
            self._warned = True
            _log.warning(
                "detections with boxes or scores that are not finite are left out of the metric: "
                "has the training diverged?"
            )
        return finite


def _arrays(detections: Detections, target: Target) -> ImageArrays:
    """The arrays of one image, without masks."""
    object_boxes = np.array(target.boxes.cpu().float())
    areas = xywh(object_boxes)[:, 2:].prod(axis=1)
    if target.areas is not None:
        annotated = np.array(target.areas.cpu().double())
        areas = np.where(np.isnan(annotated), areas, annotated)
    return ImageArrays(
        boxes=np.array(detections.boxes.detach().cpu().float()),
        scores=np.array(detections.scores.detach().cpu().float()),
        labels=np.array(detections.labels.cpu().long()),
        object_boxes=object_boxes,
        object_labels=np.array(target.labels.cpu().long()),
        ignored=np.array(target.ignored.cpu()),
        areas=areas,
    )


def xywh(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Boxes as corner and size in float64, so that the subtraction is exact."""
    exact = boxes.astype(np.float64)
    return np.concatenate([exact[:, :2], exact[:, 2:] - exact[:, :2]], axis=1)


def _check_boxes(image_id: int, boxes: NDArray[np.float32]) -> None:
    finite = np.isfinite(boxes).all(axis=1)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        raise DataError(
            f"image {image_id}: object {first} has the box {boxes[first].tolist()}, expected "
            "finite numbers: `detkit data check` finds such annotations."
        )
