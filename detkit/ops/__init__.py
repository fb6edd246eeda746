"""Pure functions on boxes, scores and candidates."""

from detkit.ops.boxes import (
    box_areas,
    box_centres,
    clip_boxes,
    complete_iou,
    distance_iou,
    generalized_iou,
    iou,
    pairwise_iou,
    share_inside,
)
from detkit.ops.candidates import Candidates, select_candidates
from detkit.ops.ignoring import mark_ignored
from detkit.ops.nms import class_wise_nms

__all__ = [
    "Candidates",
    "box_areas",
    "box_centres",
    "class_wise_nms",
    "clip_boxes",
    "complete_iou",
    "distance_iou",
    "generalized_iou",
    "iou",
    "mark_ignored",
    "pairwise_iou",
    "select_candidates",
    "share_inside",
]
