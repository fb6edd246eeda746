"""Objects, regions and detections of a batch, padded to the same number in each image.

Shapes then depend on nothing that a device computes: the host never waits for a count, and graphs
of these tensors can be compiled and exported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detkit.structures.detections import Detections, boxes_in_original, unclipped_boxes
from detkit.structures.images import Target
from detkit.structures.masks import DetectionMasks, PaddedMasks

_FAR = -(2.0**20)  # pixels left of and above the image


class PaddedTargets(NamedTuple):
    """The objects of B images: N is the most in one image, at least 1, and M the most ignored ones.

    Attributes:
        boxes: (B, N, 4) float32 absolute xyxy; zeros in the padding.
        labels: (B, N) int64 in 0..C-1; 0 in the padding.
        mask: (B, N) bool, true for objects.
        ignored_boxes: (B, M, 4) float32 boxes of ignored objects; M may be 0.
        ignored_mask: (B, M) bool, true for ignored objects.
        counts: Number of objects of each image, known to the host.
        image_sizes: (B, 2) float32 height and width of each image without padding; None where no
            head needs them.
        masks: The masks of the objects; None unless the detector needs masks.
    """

    boxes: Tensor
    labels: Tensor
    mask: Tensor
    ignored_boxes: Tensor
    ignored_mask: Tensor
    counts: tuple[int, ...]
    image_sizes: Tensor | None = None
    masks: PaddedMasks | None = None

    @staticmethod
    def of(targets: Sequence[Target], sizes: Sequence[tuple[int, int]] = ()) -> PaddedTargets:
        """Pad the objects of each image; on the CPU, where sizes are known without waiting.

        Args:
            targets: The objects of each image.
            sizes: (height, width) of each image; without them, the batch has no masks.
        """
        objects = [target.select(~target.ignored) for target in targets]
        ignored = [target.boxes[target.ignored] for target in targets]
        counts = tuple(map(len, objects))
        most = max(1, *counts)
        boxes, mask = _padded([image.boxes for image in objects], most)
        labels = torch.zeros_like(mask, dtype=torch.int64)
        for row, image in zip(labels, objects, strict=True):
            row[: len(image)] = image.labels
        ignored_boxes, ignored_mask = _padded(ignored, max(map(len, ignored)))
        has_masks = bool(sizes) and any(image.outlines is not None for image in objects)
        masks = PaddedMasks.of(objects, sizes) if has_masks else None
        return PaddedTargets(boxes, labels, mask, ignored_boxes, ignored_mask, counts, masks=masks)

    def labels_of(self, matched: Tensor) -> Tensor:
        """(B, P) class of each prior's object `matched` (B, P), or `matched` itself without one."""
        return torch.where(matched >= 0, self.labels.gather(1, matched.clamp(min=0)), matched)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PaddedTargets:
        """The same objects on a device."""
        return self._each(lambda field: field.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PaddedTargets:
        """The same objects in pinned memory, for an asynchronous copy to the device."""
        return self._each(Tensor.pin_memory)

    def without_classes(self) -> PaddedTargets:
        """The same objects, all with label 0."""
        return self._replace(labels=torch.zeros_like(self.labels))

    def distant_padding(self) -> Tensor:
        """(B, N, 4) the boxes, with those in the padding far outside of the image.

        They overlap no prior and hold no centre, so that most rules of assignment need no mask.
        """
        far = torch.linspace(_FAR - 3, _FAR, 4, dtype=self.boxes.dtype, device=self.boxes.device)
        return torch.where(self.mask[..., None], self.boxes, far)

    def images(self, start: int, stop: int) -> PaddedTargets:
        """The objects of the images start..stop-1, padded to the most among them."""
        counts = self.counts[start:stop]
        most = max(1, *counts)
        return PaddedTargets(
            boxes=self.boxes[start:stop, :most],
            labels=self.labels[start:stop, :most],
            mask=self.mask[start:stop, :most],
            ignored_boxes=self.ignored_boxes[start:stop],
            ignored_mask=self.ignored_mask[start:stop],
            counts=counts,
            image_sizes=None if self.image_sizes is None else self.image_sizes[start:stop],
            masks=None if self.masks is None else self.masks.images(start, stop),
        )

    def split(self) -> list[Target]:
        """The objects of each image, then its ignored ones; waits for the device."""
        targets = []
        for image in range(len(self.counts)):
            mask, ignored_mask = self.mask[image], self.ignored_mask[image]
            labels = self.labels[image][mask]
            ignored = self.ignored_boxes[image][ignored_mask]
            boxes = torch.cat([self.boxes[image][mask], ignored])
            no_labels = labels.new_zeros(len(ignored))
            is_ignored = torch.arange(len(boxes), device=boxes.device) >= len(labels)
            targets.append(Target(boxes, torch.cat([labels, no_labels]), is_ignored))
        return targets

    def _each(self, change: Callable[[Tensor], Tensor]) -> PaddedTargets:
        fields = self._asdict().items()
        changed: dict[str, Any] = {n: change(v) for n, v in fields if isinstance(v, Tensor)}
        return self._replace(**changed, masks=self.masks and self.masks.each(change))


class Regions(NamedTuple):
    """Regions of B images that may hold an object; R is the most in one image, at least 1.

    Attributes:
        boxes: (B, R, 4) float32 absolute xyxy, best first; zeros in the padding.
        mask: (B, R) bool, true for regions; the padding may be anywhere.
    """

    boxes: Tensor
    mask: Tensor

    @staticmethod
    def of(boxes: Sequence[Tensor]) -> Regions:
        """Pad the regions (R_i, 4) of each image."""
        return Regions(*_padded(list(boxes), max(1, *map(len, boxes))))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Regions:
        """The same regions on a device."""
        return Regions(*(field.to(device, non_blocking=non_blocking) for field in self))

    def pin_memory(self) -> Regions:
        """The same regions in pinned memory, for an asynchronous copy to the device."""
        return Regions(*(field.pin_memory() for field in self))

    def split(self) -> list[Tensor]:
        """The regions (R_i, 4) of each image; waits for the device."""
        return [boxes[mask] for boxes, mask in zip(self.boxes, self.mask, strict=True)]


class _Columns(NamedTuple):
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    counts: Tensor


class PaddedDetections(_Columns):
    """The detections of B images, best first; D is the most in one image.

    Attributes:
        boxes: (B, D, 4) float32 absolute xyxy; zeros in the padding.
        scores: (B, D) float32 in 0..1; 0 in the padding.
        labels: (B, D) int64 in 0..C-1; 0 in the padding.
        counts: (B,) int64 number of detections of each image.
        masks: (B, D, S, S) float32 mask probabilities on each box; None for boxes alone.
        mask_boxes: (B, D, 4) where these maps are, if it is not `boxes`.
    """

    masks: Tensor | None = None  # no columns, so that detections unpack to four
    mask_boxes: Tensor | None = None

    def with_masks(self, masks: Tensor, boxes: Tensor | None = None) -> PaddedDetections:
        """The same detections with masks."""
        detections = PaddedDetections(*self)
        detections.masks, detections.mask_boxes = masks, boxes
        return detections

    def to_original(
        self, to_image: Tensor, original_sizes: Sequence[tuple[int, int]]
    ) -> PaddedDetections:
        """The detections on the CPU, with boxes in the original images and clipped to them.

        Args:
            to_image: (B, 3, 3) on the CPU; see `Sample.to_image`.
            original_sizes: (height, width) of each original image.
        """
        host = self._on_host()
        sizes = torch.tensor(original_sizes).reshape(-1, 2)
        moved = host._replace(boxes=boxes_in_original(host.boxes, to_image, sizes))
        if self.masks is None:
            return moved
        masks = self.masks.float().cpu()
        return moved.with_masks(masks, unclipped_boxes(host.boxes, to_image))

    def _on_host(self) -> PaddedDetections:
        """The same on the CPU, with a single copy."""
        most = self.scores.shape[1]
        parts = [self.boxes.flatten(1), self.scores, self.labels, self.counts[:, None]]
        host = torch.cat([part.float() for part in parts], dim=1).cpu()
        boxes, scores, labels, counts = torch.split(host, [4 * most, most, most, 1], dim=1)
        boxes = boxes.reshape(self.boxes.shape)
        return PaddedDetections(boxes, scores, labels.long(), counts[:, 0].long())

    def split(self, sizes: Sequence[tuple[int, int]] = ()) -> list[Detections]:
        """The detections of each image; waits for the device.

        Args:
            sizes: (height, width) of each original image, for masks.
        """
        counts = self.counts.tolist()
        images = zip(self.boxes, self.scores, self.labels, counts, strict=True)
        detections = [Detections(b[:count], s[:count], n[:count]) for b, s, n, count in images]
        if self.masks is None or not sizes:
            return detections
        mask_boxes = self.boxes if self.mask_boxes is None else self.mask_boxes
        columns = zip(detections, self.masks, mask_boxes, counts, sizes, strict=True)
        return [
            image.with_masks(DetectionMasks(maps[:count], boxes[:count], size))
            for image, maps, boxes, count, size in columns
        ]


def _padded(boxes: list[Tensor], most: int) -> tuple[Tensor, Tensor]:
    """Boxes (N_i, 4) of each image as (B, most, 4), and (B, most) where they are not padding."""
    padded = boxes[0].new_zeros((len(boxes), most, 4))
    mask = torch.zeros((len(boxes), most), dtype=torch.bool, device=padded.device)
    for row, is_box, image_boxes in zip(padded, mask, boxes, strict=True):
        row[: len(image_boxes)] = image_boxes
        is_box[: len(image_boxes)] = True
    return padded, mask
