"""From scored boxes of regions to detections, for all roi heads."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.interfaces import Postprocess, Sizes
from detkit.ops import clip_boxes, select_candidates, sides_at_least
from detkit.ops.rows import take_rows
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
    return [clip_boxes(image_boxes, boxes.new_tensor(size)) for image_boxes, size in pairs]


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
    boxes, scores = predictions
    best = select_candidates(scores, (), postprocess.score_threshold, postprocess.max_candidates)
    row = best.prior * boxes.shape[2] + (best.label if boxes.shape[2] > 1 else 0)
    best_boxes = take_rows(boxes.flatten(1, 2), row)
    best_scores = torch.where(sides_at_least(best_boxes, min_size), best.score, 0)
    return postprocess(best_boxes, best_scores, best.label).split()
