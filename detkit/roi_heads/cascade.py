"""Three stages; each refines the boxes of the previous one."""

from __future__ import annotations

from copy import deepcopy
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor, nn

from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxHead,
    BoxLoss,
    ClassificationLoss,
    Losses,
    MaskHead,
    Pooling,
    Postprocess,
    Sampler,
)
from detkit.ops import Divisors, clip_boxes, require_padded, sides_at_least
from detkit.registry import NonNegativeFloat, Slot, Wired, register
from detkit.roi_heads.masks import mask_losses, with_masks
from detkit.roi_heads.region_detections import ScoredRegions, detect, with_objects
from detkit.roi_heads.regions import RegionRows, SampledRegions
from detkit.roi_heads.stage import Outputs, Stage
from detkit.structures import PaddedDetections, PaddedTargets, RegionPredictions, Regions

_OVERLAPS = [{"foreground": x, "background": x, "low_quality": False} for x in (0.5, 0.6, 0.7)]
_WEIGHTS = (1.0, 0.5, 0.25)
_SAMPLES = {"number": 512, "positive_fraction": 0.25}
# Later stages see better boxes and so smaller codes, which they divide by smaller deviations.
_DELTAS = [{"stds": (0.1 / n, 0.1 / n, 0.2 / n, 0.2 / n)} for n in (1, 2, 3)]


class _Refined(NamedTuple):
    """The regions that passed through all stages.

    Attributes:
        regions: M regions, as the last stage got them.
        outputs: Outputs of the last stage.
        scores: (M, C) mean over the stages.
    """

    regions: RegionRows
    outputs: Outputs
    scores: Tensor


@register("roi_head", "cascade")
class CascadeRoIHead(nn.Module):
    """Three stages that refine each region, each trained with a higher IoU threshold.

    Paper: Cascade R-CNN: Delving into High Quality Object Detection (Cai and Vasconcelos, 2018),
    https://arxiv.org/abs/1712.00726

    Each stage learns from the boxes that the stage before refined; a region has one box for all
    classes. A detection's score is the mean over the stages, each at its own boxes; its box comes
    from the last stage.

    Args:
        stage_weights: Factors of the losses of the three stages.
        add_objects: Whether the boxes of the objects are among the regions that a stage learns
            from.
        min_size: Boxes with a shorter side, in pixels, are dropped.
        score_mean: What a detection's score averages over the stages: `probabilities`, as in the
            paper, or `logits`, as in MMDetection.
        pooling: Levels and regions to small maps.
        box_head: Small maps to features; each stage has its own.
        first_assigner: Which region is responsible for which object in the first stage.
        second_assigner: The same in the second stage.
        third_assigner: The same in the third stage.
        sampler: Which regions count in the loss of a stage.
        first_box_coder: What box codes of the first stage mean, relative to the region.
        second_box_coder: The same in the second stage.
        third_box_coder: The same in the third stage.
        classification_loss: Loss of the class scores; each stage has its own.
        box_loss: Loss of the boxes; each stage has its own.
        postprocess: Candidates to detections.
        mask_head: The pixels of each object, learned from the regions of the first stage, as in
            Detectron2; null detects boxes alone.
    """

    stages: list[Stage]

    def __init__(
        self,
        *,
        num_classes: Wired[int],
        stage_weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = _WEIGHTS,
        add_objects: bool = True,
        min_size: NonNegativeFloat = 0.01,
        score_mean: Literal["probabilities", "logits"] = "probabilities",
        pooling: Annotated[Pooling, Slot("pooling", "roi_align")],
        box_head: Annotated[BoxHead, Slot("box_head", "two_fc")],
        first_assigner: Annotated[Assigner, Slot("assigner", "max_iou", _OVERLAPS[0])],
        second_assigner: Annotated[Assigner, Slot("assigner", "max_iou", _OVERLAPS[1])],
        third_assigner: Annotated[Assigner, Slot("assigner", "max_iou", _OVERLAPS[2])],
        sampler: Annotated[Sampler, Slot("sampler", "random_balanced", _SAMPLES)],
        first_box_coder: Annotated[BoxCoder, Slot("box_coder", "delta", _DELTAS[0])],
        second_box_coder: Annotated[BoxCoder, Slot("box_coder", "delta", _DELTAS[1])],
        third_box_coder: Annotated[BoxCoder, Slot("box_coder", "delta", _DELTAS[2])],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "cross_entropy", space=("classes",))
        ],
        box_loss: Annotated[
            BoxLoss, Slot("loss", "smooth_l1", {"beta": 1.0}, ("boxes", "codes", "gaussian"))
        ],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms")],
        mask_head: Annotated[MaskHead | None, Slot("mask_head")] = None,
    ) -> None:
        super().__init__()
        require_padded(postprocess)
        assigners = (first_assigner, second_assigner, third_assigner)
        coders = (first_box_coder, second_box_coder, third_box_coder)
        self.stages = nn.ModuleList(  # type: ignore[assignment]  # which iterates as a list does
            Stage(
                num_classes=num_classes,
                class_agnostic=True,
                pooling=pooling,
                # Each stage has its own weights, and its own counters in losses and samplers.
                box_head=deepcopy(box_head),
                assigner=assigner,
                sampler=deepcopy(sampler),
                box_coder=coder,
                classification_loss=deepcopy(classification_loss),
                box_loss=deepcopy(box_loss),
            )
            for assigner, coder in zip(assigners, coders, strict=True)
        )
        self.stage_weights = stage_weights
        self.add_objects, self.min_size = add_objects, min_size
        self.score_mean = score_mean
        self.postprocess = postprocess
        self.mask_head, self.mask_divisors = mask_head, Divisors()

    def forward(
        self, features: list[Tensor], regions: Regions, image_sizes: Tensor
    ) -> RegionPredictions:
        """Mean scores and last boxes of the regions of each image."""
        refined = self._refine(features, RegionRows.of(regions), image_sizes)
        with torch.autocast(features[0].device.type, enabled=False):
            boxes = self.stages[-1].boxes(refined.outputs, refined.regions)  # (M, 1, 4)
            boxes = clip_boxes(boxes, image_sizes[refined.regions.image, None])
        return RegionPredictions(
            refined.regions.spread(boxes), refined.regions.spread(refined.scores)
        )

    def loss(
        self,
        features: list[Tensor],
        regions: Regions,
        targets: PaddedTargets,
        image_sizes: Tensor,
    ) -> Losses:
        """The weighted and normalised losses of all stages, in float32, named by their stage.

        Without any object or region all are finite and give every parameter a gradient.
        """
        losses: Losses = {}
        for number, (stage, weight) in enumerate(zip(self.stages, self.stage_weights, strict=True)):
            if self.add_objects:
                regions = with_objects(regions, targets)
            sampled = stage.sample(features, regions, targets)
            outputs = stage(features, sampled.regions)
            with torch.autocast(features[0].device.type, enabled=False):
                for key, value in stage.losses(outputs, sampled).items():
                    losses[key.replace("/", f"/stage{number + 1}_")] = weight * value
                regions = self._refined_sample(stage, outputs, sampled, image_sizes)
            if self.mask_head is not None and number == 0:
                losses |= mask_losses(
                    self.mask_head, self.mask_divisors, features, sampled, targets
                )
        return losses

    @torch.no_grad()
    def predict(
        self, features: list[Tensor], regions: Regions, image_sizes: Tensor
    ) -> PaddedDetections:
        """The detections of each image, best first, inside its height and width (B, 2)."""
        refined = self._refine(features, RegionRows.of(regions), image_sizes)
        rows = refined.regions
        with torch.autocast(features[0].device.type, enabled=False):
            detections = detect(
                ScoredRegions.of(rows, refined.scores, refined.outputs.codes),
                image_sizes,
                box_coder=self.stages[-1].box_coder,
                postprocess=self.postprocess,
                min_size=self.min_size,
            )
        return with_masks(self.mask_head, features, detections)

    def _refine(self, features: list[Tensor], regions: RegionRows, image_sizes: Tensor) -> _Refined:
        """Run the stages, each on the boxes of the one before."""
        stage_logits, stage_scores, next_regions = [], [], regions
        for stage in self.stages:
            regions = next_regions
            outputs = stage(features, regions)
            with torch.autocast(features[0].device.type, enabled=False):
                stage_logits.append(outputs.logits)
                stage_scores.append(stage.scores(outputs))
                boxes = _clipped_boxes(stage, outputs, regions, image_sizes)
            next_regions = regions._replace(boxes=boxes)
        if self.score_mean == "logits":
            mean = outputs._replace(logits=torch.stack(stage_logits).mean(dim=0))
            return _Refined(regions, outputs, self.stages[-1].scores(mean))
        return _Refined(regions, outputs, torch.stack(stage_scores).mean(dim=0))

    @torch.no_grad()
    def _refined_sample(
        self, stage: Stage, outputs: Outputs, sampled: SampledRegions, image_sizes: Tensor
    ) -> Regions:
        """The refined boxes of the sampled regions, from which the next stage learns."""
        boxes = _clipped_boxes(stage, outputs, sampled.regions, image_sizes)
        boxes = sampled.regions.spread(boxes)
        mask = sampled.in_loss & sides_at_least(boxes, self.min_size)
        return Regions(torch.where(mask[..., None], boxes, 0), mask)


def _clipped_boxes(
    stage: Stage, outputs: Outputs, regions: RegionRows, image_sizes: Tensor
) -> Tensor:
    """(M, 4) the boxes that a stage refined, inside their images; without gradients."""
    boxes = stage.boxes(outputs, regions)[:, 0].detach()
    return clip_boxes(boxes, image_sizes[regions.image])
