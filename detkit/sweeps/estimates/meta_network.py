"""Run a detector on the meta device, and count what autograd would save."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from detkit.evaluation.operation_counts import HalfProducts, saved_bytes
from detkit.heads.dense import DenseHead
from detkit.heads.two_branches import TwoBranchHead
from detkit.interfaces import ClassificationLoss
from detkit.losses.classes import UnknownClassesError
from detkit.roi_heads.pooling import LevelPooling
from detkit.roi_heads.stage import Stage
from detkit.structures import IGNORED

_REGIONS = 1000  # per image, if the configuration sets no number


class Network:
    """A detector on the meta device; it runs everything that needs no tensor values."""

    def __init__(self, detector: nn.Module, model: Mapping[str, Any]) -> None:
        """Find the parts of a detector.

        Args:
            detector: The detector.
            model: The configuration that it was built from.
        """
        self.detector = detector
        self.model = model
        self.dense = detector.get_submodule("proposer" if "proposer" in model else "head")
        self.stages = [part for part in detector.modules() if isinstance(part, Stage)]

    @property
    def layers(self) -> int:
        """The number of modules without inner modules."""
        return sum(1 for module in self.detector.modules() if not any(module.children()))

    def left_out(self) -> list[str]:
        """Parts without a counted cost."""
        unknown = "roi_head" in self.model and not self.stages
        return [f"the roi head '{self.model['roi_head']['name']}'"] if unknown else []

    def run(self, images: Tensor, postprocess: str) -> list[tuple[ClassificationLoss, Tensor]]:
        """One forward pass; a roi head gets the configured number of regions in each image.

        Pooling depends on the values of boxes, so empty tensors take the place of its results. It
        contains no matrix products; `activations` adds what autograd saves for it.

        Args:
            images: (B, 3, H, W).
            postprocess: Name of the proposer's argument that limits the number of regions.

        Returns:
            Classification losses with their logits (M, K).
        """
        # Tensors that parts create themselves, such as grids, are on the meta device, too.
        with torch.device("meta"):
            backbone, neck = map(self.detector.get_submodule, ("backbone", "neck"))
            features = neck(backbone(images))
            predictions = self.dense(features)
        outputs = []
        if isinstance(self.dense, DenseHead | TwoBranchHead):
            logits = predictions.class_logits.flatten(0, 1)
            outputs.append((self.dense.classification_loss, logits))
        for stage in self.stages:
            pooled = torch.empty(
                len(images) * self._regions(postprocess),
                *stage.pooling.region_shape,
                device="meta",
                dtype=features[0].dtype,
                requires_grad=torch.is_grad_enabled(),
            )
            box_outputs = stage.box_head(pooled)
            stage.box_layer(box_outputs)
            outputs.append((stage.classification_loss, stage.class_layer(box_outputs)))
        return outputs

    def activations(self, images: Tensor, half: torch.dtype | None) -> int:
        """Bytes that autograd saves for a batch of training images.

        Args:
            images: (B, 3, H, W).
            half: The 16-bit type of matrix products; None for 32 bits.
        """

        def step() -> None:
            with nullcontext() if half is None else HalfProducts(half):
                outputs = self.run(images, "training_postprocess")
            for loss, logits in outputs:
                _loss_of_classes(loss, logits.float())

        regions = len(images) * self._regions("training_postprocess") if self.stages else 0
        poolings = [s.pooling for s in self.stages if isinstance(s.pooling, LevelPooling)]
        in_poolings = regions * sum(pooling.saved_bytes for pooling in poolings)
        there = [*self.detector.parameters(), *self.detector.buffers()]
        return saved_bytes(step, there) + in_poolings

    def _regions(self, postprocess: str) -> int:
        """The number of regions of an image that the roi head processes."""
        after = self.model["proposer"].get(postprocess) or {}
        fixed = getattr(self.dense, "region_count", _REGIONS)
        proposed = int(after.get("max_detections", fixed))
        if postprocess == "postprocess":
            return proposed
        return int((self.model["roi_head"].get("sampler") or {}).get("number", proposed))


def _loss_of_classes(loss: ClassificationLoss, logits: Tensor) -> None:
    """Compute the classification loss, which covers all priors; other losses save little memory.

    A loss that needs values, such as a histogram, or unknown facts about the classes is left out: a
    few per cent of the total.
    """
    labels = torch.empty(len(logits), dtype=torch.int64, device="meta")
    try:
        torch.where(labels == IGNORED, 0, loss(logits, labels, None)).sum()
    except (NotImplementedError, RuntimeError, UnknownClassesError):
        return
