"""YOLOv2's squared errors, with the gradients of Darknet."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.distributed
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, NonNegativeInt, register


@register("loss", "squared_score")
class SquaredScore(nn.Module):
    """Half the squared differences of scores and targets; YOLO's loss of the objectness.

    Darknet programs the gradients of this loss and reports twice its value.

    Paper: You Only Look Once (Redmon et al., 2016), equation 3, https://arxiv.org/abs/1506.02640

    Args:
        object_weight: Factor of the losses of objects; background has 1.
        linear: Whether outputs are scores themselves, as in the first YOLO; else a sigmoid makes
            scores of them.
        soft_clip: Whether linear scores approach 1 above 0.8 instead of stopping at 1, so that
            outputs beyond 1 still rank. DenseBox needs this: nothing else ranks its best boxes.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "classes"
    activation: Literal["sigmoid", "identity", "soft_clip"] = "sigmoid"
    normalised: ClassVar = False

    def __init__(
        self,
        *,
        object_weight: NonNegativeFloat = 1.0,
        linear: bool = False,
        soft_clip: bool = False,
        weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        if soft_clip and not linear:
            raise UserError(
                "loss 'squared_score': soft_clip=true limits linear outputs, and a sigmoid has no "
                "output above 1: set linear=true, or soft_clip=false."
            )
        self.activation = "sigmoid" if not linear else "soft_clip" if soft_clip else "identity"
        self.object_weight = object_weight
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C) logits and (...) labels to (...) losses, summed over classes."""
        predicted = at_least_float32(logits)
        if self.activation == "sigmoid":
            predicted = predicted.sigmoid()
        is_object = labels >= 0
        values = torch.ones_like(predicted[..., 0]) if scores is None else scores.to(predicted)
        values = torch.where(is_object, values, 0)
        index = labels.clamp(min=0)[..., None]
        target = torch.zeros_like(predicted).scatter(-1, index, values[..., None])
        losses = (predicted - target).square().sum(dim=-1) / 2
        return torch.where(is_object, self.object_weight * losses, losses)


@register("loss", "yolov2")
class YOLOv2BoxLoss(nn.Module):
    """Half the squared differences of positions in the cell and of logarithms of the sides.

    The codes are those of box coder `yolov3`: a sigmoid gives the position. Small objects count up
    to twice as much. At first, priors without an object learn the box of their anchor, in the
    centre of their cell.

    Paper: YOLO9000: Better, Faster, Stronger (Redmon and Farhadi, 2017),
    https://arxiv.org/abs/1612.08242; weights of Darknet's yolov2.cfg and region layer

    Args:
        prior_weight: Factor of the losses of priors without an object.
        prior_images: Number of images, from the start of the training, with these losses.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "codes"
    images_seen: Tensor

    def __init__(
        self,
        *,
        prior_weight: NonNegativeFloat = 0.01,
        prior_images: NonNegativeInt = 12_800,
        weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        self.prior_weight = prior_weight
        self.prior_images = prior_images
        self.weight = weight
        self.register_buffer("images_seen", torch.zeros((), dtype=torch.int64))

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(..., 4) and (..., 4) to (...)."""
        predicted, target = at_least_float32(predicted), at_least_float32(target)
        centres = predicted[..., :2].sigmoid() - target[..., :2].sigmoid()
        sides = predicted[..., 2:] - target[..., 2:]
        return (centres.square() + sides.square()).sum(dim=-1) / 2

    def size_weights(self, area_shares: Tensor) -> Tensor:
        """(M,) weights of objects with these shares of the image's area: 2 down to 1."""
        return 2 - area_shares

    def unmatched(self, codes: Tensor, positive: Tensor) -> Tensor:
        """(B, P) losses of codes (B, P, 4), 0 at positives and after the first images.

        Codes of 0 are the anchor in the centre of the cell.
        """
        factor = self.prior_weight * (self.images_seen < self.prior_images)
        if self.training:
            self.images_seen += len(codes) * _count_ranks()
        losses: Tensor = factor * self.forward(codes, torch.zeros_like(codes))
        return torch.where(positive, 0, losses)


def _count_ranks() -> int:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1
