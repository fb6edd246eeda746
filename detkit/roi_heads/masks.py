"""Learn and predict masks: what a mask head gets from its roi head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import roi_align

from detkit.errors import UserError
from detkit.interfaces import Losses, MaskHead
from detkit.ops import Divisors
from detkit.ops.rows import take_rows
from detkit.roi_heads.regions import RegionRows, SampledRegions
from detkit.structures import PaddedDetections, PaddedMasks, PaddedTargets, Regions


def mask_losses(
    mask_head: MaskHead,
    divisors: Divisors,
    features: list[Tensor],
    sampled: SampledRegions,
    targets: PaddedTargets,
) -> Losses:
    """The loss of the sampled regions with an object that has a mask; 0 without any.

    Args:
        mask_head: Its weights.
        divisors: Divide by the number of these regions over all ranks.
        features: The levels.
        sampled: The regions that the box branch learns from.
        targets: The objects.

    Raises:
        UserError: The batch was made without masks.
    """
    if targets.masks is None:
        raise UserError(
            "the detector has a mask head, but the batch has no masks: train on data with "
            "masks, such as COCO with segmentations, or set model.roi_head.mask_head=null."
        )
    regions, objects, counts = _positives(sampled, targets.masks, mask_head.regions_per_image)
    rows = RegionRows.of(regions)
    labels = rows.rows.of(targets.labels.gather(1, objects))
    logits = _of_class(mask_head(features, rows.boxes, rows.image), labels)  # (M, S, S)
    with torch.autocast(features[0].device.type, enabled=False):
        goals = rows.rows.of(mask_targets(targets.masks, regions.boxes, objects, mask_head.side))
        losses = binary_cross_entropy_with_logits(logits, goals, reduction="none")
        in_loss = rows.rows.of(counts)
        total = torch.where(in_loss, losses.mean(dim=(1, 2)), 0).sum()
        count = divisors(in_loss.sum().to(total.dtype))
        return {"loss/mask": mask_head.weight * total / count}


@torch.no_grad()
def with_masks(
    mask_head: MaskHead | None, features: list[Tensor], detections: PaddedDetections
) -> PaddedDetections:
    """The same detections with a mask (S, S) of probabilities each, if there is a mask head."""
    if mask_head is None:
        return detections
    columns = torch.arange(detections.scores.shape[1], device=detections.scores.device)
    is_detection = columns < detections.counts[:, None]
    rows = RegionRows.of(Regions(detections.boxes, is_detection))
    labels = rows.rows.of(detections.labels)
    logits = _of_class(mask_head(features, rows.boxes, rows.image), labels)
    return detections.with_masks(rows.spread(logits.sigmoid()))


@torch.no_grad()
def mask_targets(masks: PaddedMasks, boxes: Tensor, objects: Tensor, side: int) -> Tensor:
    """The bitmaps of objects inside regions, as torchvision cuts them.

    Image by image, since bitmaps take four bytes a pixel while RoIAlign reads them.

    Args:
        masks: The masks of the batch.
        boxes: (B, K, 4) regions.
        objects: (B, K) the object of each.
        side: S, of the targets.

    Returns:
        (B, K, S, S) shares of each cell that the object covers.
    """
    goals = boxes.new_zeros(*objects.shape, side, side)
    for image, count in enumerate(masks.counts):
        if count:
            bitmaps = masks.bitmaps(image)[:, None]
            regions = torch.cat([objects[image, :, None].to(boxes.dtype), boxes[image]], dim=1)
            goals[image] = roi_align(bitmaps, regions, (side, side), 1.0)[:, 0]
    return goals


def _positives(
    sampled: SampledRegions, masks: PaddedMasks, most: int
) -> tuple[Regions, Tensor, Tensor]:
    """The first regions of each image with a mask to learn, their objects, and which count.

    As in `Stage.sample`, a region that does not count passes through the layers if none does. On
    accelerators, all rows do: the others repeat those that count, for the sake of batch norms.
    """
    matched = sampled.matched  # (B, S)
    has_mask = masks.has_mask.gather(1, matched.clamp(min=0))
    is_positive = sampled.in_loss & (matched >= 0) & has_mask
    number = min(most, is_positive.shape[1])
    totals = is_positive.sum(dim=1, keepdim=True)
    columns = torch.arange(number, device=matched.device)
    counts = columns < totals  # (B, K)
    order = is_positive.sort(dim=1, descending=True, stable=True).indices
    order = order.gather(1, columns % totals.clamp(min=1))
    is_used = counts.clone()
    is_used[0, 0] |= ~counts.any()
    boxes = take_rows(sampled.regions.spread(sampled.regions.boxes), order)
    objects = matched.clamp(min=0).gather(1, order)
    return Regions(boxes, is_used), objects, counts


def _of_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (M, C, S, S) to those of one class each (M, S, S)."""
    of_class = take_rows(logits.flatten(2), labels[:, None])
    return of_class.view(-1, *logits.shape[2:])
