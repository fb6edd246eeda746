"""Pure functions on boxes, scores and candidates."""

from detkit.ops.boxes import (
    box_areas,
    box_centres,
    box_sides,
    clip_boxes,
    complete_iou,
    distance_iou,
    generalized_iou,
    iou,
    pairwise_iou,
    share_inside,
    sides_at_least,
)
from detkit.ops.candidates import Candidates, select_candidates
from detkit.ops.chunks import row_chunks
from detkit.ops.collectives import Divisors, mean_over_ranks, sum_over_ranks
from detkit.ops.compatibility import require_comparable, require_padded
from detkit.ops.ignoring import mark_ignored
from detkit.ops.masked_rows import Rows, rows_in
from detkit.ops.matching import assign_batch, require_batches
from detkit.ops.nms import batched_class_nms
from detkit.ops.ordered_topk import ordered_topk
from detkit.ops.overlaps import highest_overlaps
from detkit.ops.ranking import best_first
from detkit.ops.scores import ClassActivation, binary_scores, class_scores, logits_for

__all__ = [
    "Candidates",
    "ClassActivation",
    "Divisors",
    "Rows",
    "assign_batch",
    "batched_class_nms",
    "best_first",
    "binary_scores",
    "box_areas",
    "box_centres",
    "box_sides",
    "class_scores",
    "clip_boxes",
    "complete_iou",
    "distance_iou",
    "generalized_iou",
    "highest_overlaps",
    "iou",
    "logits_for",
    "mark_ignored",
    "mean_over_ranks",
    "ordered_topk",
    "pairwise_iou",
    "require_batches",
    "require_comparable",
    "require_padded",
    "row_chunks",
    "rows_in",
    "select_candidates",
    "share_inside",
    "sides_at_least",
    "sum_over_ranks",
]


def __getattr__(name: str) -> object:
    """Say what replaces a function that plugins for an earlier version import."""
    if name == "class_wise_nms":
        raise ImportError(
            "detkit.ops.class_wise_nms took the boxes of one image: post-processors now take a "
            "batch and use batched_class_nms; `detkit plugin new postprocess NAME` writes an "
            "example"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
