"""From scored regions to detections, for all roi heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.interfaces import BoxCoder, Postprocess
from detkit.ops import clip_boxes, select_candidates, sides_at_least
from detkit.ops.rows import take_rows
from detkit.ops.variances import VarianceCoder, VotingPostprocess
from detkit.roi_heads.regions import RegionRows, as_priors
from detkit.structures import PaddedDetections, PaddedTargets, Regions


class ScoredRegions(NamedTuple):
    """The regions of a batch with their scores and box codes.

    Attributes:
        boxes: (B, R, 4).
        scores: (B, R, C); 0 in the padding.
        codes: (B, R, D, code_size) relative to the boxes; D is C or 1.
    """

    boxes: Tensor
    scores: Tensor
    codes: Tensor

    @staticmethod
    def of(rows: RegionRows, scores: Tensor, codes: Tensor) -> ScoredRegions:
        """From M regions, scores (M, C) and codes (M, D, code_size)."""
        return ScoredRegions(*map(rows.spread, (rows.boxes, scores, codes)))


def with_objects(regions: Regions, targets: PaddedTargets) -> Regions:
    """Append the boxes of each image's objects to its regions."""
    boxes = torch.cat([regions.boxes.float(), targets.boxes], dim=1)
    return Regions(boxes, torch.cat([regions.mask, targets.mask], dim=1))


def detect(
    regions: ScoredRegions,
    image_sizes: Tensor,
    *,
    box_coder: BoxCoder,
    postprocess: Postprocess,
    min_size: float,
) -> PaddedDetections:
    """The detections of each image, best first; only boxes of the best scores are decoded.

    Args:
        regions: R regions of each image.
        image_sizes: (B, 2) height and width of each image.
        box_coder: What the codes mean.
        postprocess: Candidates to detections.
        min_size: Boxes with a shorter side, in pixels, are dropped.
    """
    boxes_per_region = regions.codes.shape[2]
    best = select_candidates(
        regions.scores, (), postprocess.score_threshold, postprocess.max_candidates
    )
    row = best.prior * boxes_per_region + (best.label if boxes_per_region > 1 else 0)
    codes = take_rows(regions.codes.flatten(1, 2), row)  # (B, K, code_size)
    boxes = box_coder.decode(codes, as_priors(take_rows(regions.boxes, best.prior)))
    boxes = clip_boxes(boxes, image_sizes[:, None])
    scores = torch.where(sides_at_least(boxes, min_size), best.score, 0)
    if isinstance(postprocess, VotingPostprocess) and isinstance(box_coder, VarianceCoder):
        return postprocess.vote(boxes, scores, best.label, box_coder.variances(codes))
    return postprocess(boxes, scores, best.label)
