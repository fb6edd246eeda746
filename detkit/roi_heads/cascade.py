"""Three stages; each refines the boxes of the previous one."""

from __future__ import annotations

from copy import deepcopy
from typing import Annotated

import torch
from torch import Tensor, nn

from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxHead,
    BoxLoss,
    ClassificationLoss,
    Losses,
    Pooling,
    Postprocess,
    Sampler,
    Sizes,
)
from detkit.ops import require_padded, sides_at_least
from detkit.registry import NonNegativeFloat, Slot, Wired, register
from detkit.roi_heads.region_detections import clip_each, detect, region_predictions, with_objects
from detkit.roi_heads.regions import SampledRegions, join
from detkit.roi_heads.stage import Outputs, Stage
from detkit.structures import Detections, RegionPredictions, Target

_OVERLAPS = [{"foreground": x, "background": x, "low_quality": False} for x in (0.5, 0.6, 0.7)]
_WEIGHTS = (1.0, 0.5, 0.25)
_SAMPLES = {"number": 512, "positive_fraction": 0.25}
# Later stages see better boxes and so smaller codes, which they divide by smaller deviations.
_DELTAS = [{"stds": (0.1 / n, 0.1 / n, 0.2 / n, 0.2 / n)} for n in (1, 2, 3)]


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
    """

    stages: list[Stage]

    def __init__(
        self,
        *,
        num_classes: Wired[int],
        stage_weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = _WEIGHTS,
        add_objects: bool = True,
        min_size: NonNegativeFloat = 0.01,
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
        box_loss: Annotated[BoxLoss, Slot("loss", "smooth_l1", {"beta": 1.0}, ("boxes", "codes"))],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms")],
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
        self.add_objects = add_objects
        self.min_size = min_size
        self.postprocess = postprocess

    def forward(
        self, features: list[Tensor], regions: list[Tensor], image_sizes: Sizes
    ) -> RegionPredictions:
        """Mean scores and last boxes of the regions (R_i, 4) of each image."""
        counts, stage_scores = list(map(len, regions)), []
        for stage in self.stages:
            all_regions = join(regions)
            outputs = stage(features, all_regions)
            with torch.autocast(features[0].device.type, enabled=False):
                stage_scores.append(stage.scores(outputs))
                boxes = stage.boxes(outputs, all_regions)  # (M, 1, 4)
            regions = clip_each(boxes.detach()[:, 0], counts, image_sizes)
        mean_scores = torch.stack(stage_scores).mean(dim=0)
        return region_predictions(boxes, mean_scores, counts, image_sizes)

    def loss(
        self,
        features: list[Tensor],
        regions: list[Tensor],
        targets: list[Target],
        image_sizes: Sizes,
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
                regions = self._refined(stage, outputs, sampled, image_sizes)
        return losses

    @torch.no_grad()
    def predict(
        self, features: list[Tensor], regions: list[Tensor], image_sizes: Sizes
    ) -> list[Detections]:
        """The detections of each image, best first, inside (height, width) of the image."""
        return detect(self(features, regions, image_sizes), self.postprocess, self.min_size)

    @torch.no_grad()
    def _refined(
        self, stage: Stage, outputs: Outputs, sampled: SampledRegions, image_sizes: Sizes
    ) -> list[Tensor]:
        """The refined boxes (R_i, 4) of the sampled regions, from which the next stage learns."""
        image, in_loss = sampled.regions.image, sampled.in_loss
        boxes = stage.boxes(outputs, sampled.regions)[:, 0]
        counts = image[in_loss].bincount(minlength=len(image_sizes)).tolist()
        clipped = clip_each(boxes[in_loss], counts, image_sizes)
        return [boxes[sides_at_least(boxes, self.min_size)] for boxes in clipped]
