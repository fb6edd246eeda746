"""Regions with scores and boxes to detections; what all roi heads end with."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.interfaces import Postprocess, Sizes
from detkit.ops import clip_boxes, select_candidates, sides_at_least
from detkit.roi_heads.regions import pad
from detkit.structures import Detections, RegionPredictions, Target


def with_objects(regions: list[Tensor], targets: list[Target]) -> list[Tensor]:
    """The regions of each image, and after them the boxes of its objects."""
    return [
        torch.cat([boxes.float(), target.boxes[~target.ignored]])
        for boxes, target in zip(regions, targets, strict=True)
    ]


def clip_each(boxes: Tensor, counts: list[int], image_sizes: Sizes) -> list[Tensor]:
    """Boxes (M, ..., 4) of all images to those of each, cut to it."""
    pairs = zip(torch.split(boxes, counts), image_sizes, strict=True)
    return [clip_boxes(of_image, size) for of_image, size in pairs]


def region_predictions(
    boxes: Tensor, scores: Tensor, counts: list[int], image_sizes: Sizes
) -> RegionPredictions:
    """Boxes (M, D, 4) and scores (M, C) of all images, by image; `counts` regions in each."""
    clipped = clip_each(boxes, counts, image_sizes)
    return RegionPredictions(pad(clipped, 0.0), pad(list(torch.split(scores, counts)), 0.0))


def detect(
    predictions: RegionPredictions, postprocess: Postprocess, min_size: float
) -> list[Detections]:
    """The detections of each image, best first; boxes with a shorter side than `min_size` drop."""
    found = []
    for boxes, scores in zip(*predictions, strict=True):
        level = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
        best = select_candidates(
            scores, level, postprocess.score_threshold, postprocess.max_candidates
        )
        chosen = boxes[best.prior, best.label if boxes.shape[1] > 1 else 0]
        kept = sides_at_least(chosen, min_size)
        found.append(postprocess(chosen[kept], best.score[kept], best.label[kept]))
    return found
