"""From scored boxes of regions to detections, for all roi heads."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.interfaces import Postprocess, Sizes
from detkit.ops import clip_boxes, select_candidates, sides_at_least
from detkit.roi_heads.regions import pad
from detkit.structures import Detections, RegionPredictions, Target


def with_objects(regions: list[Tensor], targets: list[Target]) -> list[Tensor]:
    """Append the boxes of each image's objects to its regions."""
    return [
        torch.cat([boxes.float(), target.boxes[~target.ignored]])
        for boxes, target in zip(regions, targets, strict=True)
    ]


def clip_each(boxes: Tensor, counts: list[int], image_sizes: Sizes) -> list[Tensor]:
    """Split boxes (M, ..., 4) by image and clip them to it."""
    pairs = zip(torch.split(boxes, counts), image_sizes, strict=True)
    return [clip_boxes(image_boxes, size) for image_boxes, size in pairs]


def region_predictions(
    boxes: Tensor, scores: Tensor, counts: list[int], image_sizes: Sizes
) -> RegionPredictions:
    """Split boxes (M, D, 4) and scores (M, C) by image, with `counts` regions in each."""
    clipped = clip_each(boxes, counts, image_sizes)
    return RegionPredictions(pad(clipped, 0.0), pad(list(torch.split(scores, counts)), 0.0))


def detect(
    predictions: RegionPredictions, postprocess: Postprocess, min_size: float
) -> list[Detections]:
    """The detections of each image, best first, without boxes that have a side below `min_size`."""
    detections = []
    for boxes, scores in zip(*predictions, strict=True):
        level = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
        best = select_candidates(
            scores, level, postprocess.score_threshold, postprocess.max_candidates
        )
        best_boxes = boxes[best.prior, best.label if boxes.shape[1] > 1 else 0]
        large = sides_at_least(best_boxes, min_size)
        detections.append(postprocess(best_boxes[large], best.score[large], best.label[large]))
    return detections
