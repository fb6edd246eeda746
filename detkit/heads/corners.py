"""The procedure of corner heads: find corners, and pair those of the same object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.heads.corner_layers import CornerLayers, CornerMaps
from detkit.heads.corner_losses import heat_losses, pull_and_push_losses
from detkit.heads.corner_pairing import BoxCandidates, best_corners, pair_corners
from detkit.heads.corner_targets import CornerTargets, corner_targets
from detkit.interfaces import BoxLoss, Losses, Postprocess, Sizes
from detkit.layers import Norm, Probability, prior_logits
from detkit.ops import Divisors, Rows, mark_ignored, require_padded
from detkit.registry import (
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Slot,
    Wired,
    register,
)
from detkit.structures import (
    BACKGROUND,
    IGNORED,
    DensePredictions,
    FeatureSpec,
    PaddedDetections,
    PaddedTargets,
    Priors,
)


@register("head", "corners")
class CornerHead(nn.Module):
    """Finds the top left and the bottom right corner of each object, and pairs them: CornerNet.

    The maps have one stride. The head learns from each of them, such as the outputs of stacked
    hourglasses, and predicts from the last one. Heat maps show the corners of each class, similar
    embeddings pair them, and offsets place each corner in its cell. Background inside ignored
    objects is left out.

    All losses are means over the maps and sums over both kinds of corners. As in the paper's code,
    heat maps and offsets are divided by the objects. Its pull and push losses are sums over the
    images of a GPU, about five, with a weight of 0.1; here they are means over the images with
    objects, with a weight of 0.5. Sizes in cells are sizes in pixels over the stride. Testing with
    a mirrored image is left out.

    Paper: CornerNet: Detecting Objects as Paired Keypoints (Law and Deng, 2018),
        https://arxiv.org/abs/1808.01244

    Args:
        offset_loss: Loss of a corner's position in its cell.
        postprocess: Turns candidates into detections.
        width: Channels of the branches.
        pooling_width: Channels of the maps in corner pooling.
        norm: Normalisation in corner pooling.
        prior_probability: Score of each class in an untrained head.
        alpha: How strongly the loss of heat maps down-weights cells that are predicted well.
        beta: How strongly it down-weights background near a corner.
        min_overlap: IoU that a box keeps if both of its corners move to the end of their heat.
        pull_weight: Factor of the loss that brings both corners of an object together.
        push_weight: Factor of the loss that keeps the embeddings of objects apart.
        margin: Distance of embeddings from which objects are far enough apart.
        corners: Corners of each kind to pair, per image.
        distance: Largest difference of the embeddings of a pair.
        empty_image: Number of objects that an image without any adds to the divisor of heat maps
            and offsets, so that it does not outweigh others; 0 divides as the paper does, by at
            least 1.
    """

    has_one_divisor: ClassVar = False

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        offset_loss: Annotated[BoxLoss, Slot("loss", "smooth_l1", {"beta": 1.0}, space=("codes",))],
        postprocess: Annotated[
            Postprocess, Slot("postprocess", "soft_nms", {"method": "gaussian"})
        ],
        width: PositiveInt = 256,
        pooling_width: PositiveInt = 128,
        norm: Norm = "batch",
        prior_probability: Probability = 0.1,
        alpha: Annotated[float, Ge(1)] = 2.0,
        beta: NonNegativeFloat = 4.0,
        min_overlap: Annotated[Fraction, Ge(0.01)] = 0.3,
        pull_weight: NonNegativeFloat = 0.5,
        push_weight: NonNegativeFloat = 0.5,
        margin: PositiveFloat = 1.0,
        corners: PositiveInt = 100,
        distance: PositiveFloat = 0.5,
        empty_image: NonNegativeFloat = 10.0,
    ) -> None:
        super().__init__()
        require_padded(postprocess)
        self.stride = _common_stride(feature_specs)
        self.layers = CornerLayers(
            feature_specs,
            class_bias=prior_logits(prior_probability, num_classes, "sigmoid"),
            width=width,
            pooling_width=pooling_width,
            norm=norm,
        )
        self.offset_loss = offset_loss
        self.postprocess = postprocess
        self.num_classes = num_classes
        self.alpha = alpha
        self.beta = beta
        self.min_overlap = min_overlap
        self.pull_weight = pull_weight
        self.push_weight = push_weight
        self.margin = margin
        self.corners = corners
        self.distance = distance
        self.empty_image = empty_image
        self.divisors = Divisors()

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """Raw predictions of the last map: all top left corners, then all bottom right ones.

        Box codes are the offset in x and y, and the embedding.
        """
        maps = self.layers.last(features)
        codes = torch.cat([maps.offsets, maps.embeddings[:, :, None]], dim=2)
        logits, codes = (
            values.flatten(3).mT.flatten(1, 2) for values in (maps.class_logits, codes)
        )
        return DensePredictions(logits, codes, None)

    def loss(self, features: list[Tensor], targets: PaddedTargets) -> Losses:
        """The weighted and normalised losses of a batch, in float32."""
        all_maps = [_in_float32(maps) for maps in self.layers(features)]
        with torch.autocast(features[0].device.type, enabled=False):
            learned = self._targets(features, targets)
            counted = self._counted(features, targets)
            sums = torch.stack(
                [self._sums(maps, learned, counted, targets) for maps in all_maps]
            ).mean(dim=0)
            objects, images = self.divisors(self._counts(targets))
            heat, offset, pull, push = sums.unbind()
            return {
                "loss/classification": heat / objects,
                "loss/offset": self.offset_loss.weight * offset / objects,
                "loss/pull": self.pull_weight * pull / images,
                "loss/push": self.push_weight * push / images,
            }

    @torch.no_grad()
    def predict(self, features: list[Tensor], image_sizes: Tensor) -> PaddedDetections:
        """The detections of each image, best first, inside its (height, width) (B, 2)."""
        boxes, scores, labels = self._candidates(features, image_sizes)
        scores = torch.where(scores > self.postprocess.score_threshold, scores, 0)
        return self.postprocess(boxes, scores, labels)

    @torch.no_grad()
    def boxes_and_scores(
        self, features: list[Tensor], image_sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The boxes (B, M, 4) of the best pairs, and scores (B, M, C), 0 for all other classes."""
        boxes, scores, labels = self._candidates(features, image_sizes)
        is_class = labels[..., None] == torch.arange(self.num_classes, device=labels.device)
        return boxes, torch.where(is_class, scores[..., None], 0)

    @torch.no_grad()
    def assign(self, features: list[Tensor], targets: PaddedTargets) -> tuple[Priors, Tensor]:
        """The cells, once for each kind of corner, and the object (B, P) whose corner they hold.

        Of several objects with a corner in a cell it is the last one.
        """
        size = _size(features)
        learned = self._targets(features, targets)
        cells = _cells(size, self.stride, features[0].device)
        first = size[0] * size[1] * torch.arange(2, device=learned.cells.device)
        index = (learned.cells + first[:, None]).flatten(1)  # (B, 2 * N)
        number = torch.arange(targets.mask.shape[1], device=index.device)
        number = torch.where(targets.mask, number, BACKGROUND).repeat(1, 2)
        matched = index.new_full((len(index), len(cells.boxes)), BACKGROUND)
        matched.scatter_reduce_(1, index, number, "amax")
        return cells, mark_ignored(matched, cells, targets)

    def count(self, sizes: Sizes, targets: PaddedTargets) -> Tensor:
        """The (2,) divisors of a batch; they do not depend on the feature maps' sizes."""
        del sizes
        return self._counts(targets)

    def _counts(self, targets: PaddedTargets) -> Tensor:
        """The divisors of heat maps and offsets, and of embeddings."""
        has_objects = targets.mask.any(dim=1)  # (B,)
        objects = targets.mask.sum() + self.empty_image * (~has_objects).sum()
        return torch.stack([objects.float(), has_objects.sum().float()])

    def _targets(self, features: list[Tensor], targets: PaddedTargets) -> CornerTargets:
        return corner_targets(
            targets,
            _size(features),
            stride=self.stride,
            num_classes=self.num_classes,
            min_overlap=self.min_overlap,
        )

    def _counted(self, features: list[Tensor], targets: PaddedTargets) -> Tensor:
        """(B, 1, 1, H, W) whether a cell is outside of ignored objects."""
        height, width = _size(features)
        cells = _cells((height, width), self.stride, features[0].device)
        matched = cells.level.new_full((len(targets.mask), len(cells.level)), BACKGROUND)
        matched = mark_ignored(matched, cells, targets)[:, : height * width]
        return (matched != IGNORED).view(-1, 1, 1, height, width)

    def _sums(
        self, maps: CornerMaps, learned: CornerTargets, counted: Tensor, targets: PaddedTargets
    ) -> Tensor:
        """(4,) sums over a batch: heat maps, offsets, pull and push losses."""
        losses = heat_losses(maps.class_logits, learned.heat, alpha=self.alpha, beta=self.beta)
        heat = torch.where(counted | (learned.heat == 1), losses, 0).sum()
        cells = learned.cells[:, :, None].expand(-1, -1, 2, -1)
        offsets = maps.offsets.flatten(3).gather(3, cells).mT  # (B, 2, N, 2)
        rows = Rows(None, targets.mask[:, None].expand(offsets.shape[:3]).flatten())
        pairs = offsets.flatten(0, 2), learned.offsets.flatten(0, 2)
        offset = rows.clear(rows.losses(self.offset_loss, *pairs)).sum()
        embeddings = maps.embeddings.flatten(2).gather(2, learned.cells)
        pull, push = pull_and_push_losses(embeddings, targets.mask, self.margin)
        return torch.stack([heat, offset, pull.sum(), push.sum()])

    def _candidates(self, features: list[Tensor], image_sizes: Tensor) -> BoxCandidates:
        maps = _in_float32(self.layers.last(features))
        with torch.autocast(features[0].device.type, enabled=False):
            return pair_corners(
                best_corners(maps, self.corners),
                stride=self.stride,
                image_sizes=image_sizes,
                distance=self.distance,
                limit=self.postprocess.max_candidates,
            )


def _size(features: list[Tensor]) -> tuple[int, int]:
    return features[-1].shape[-2], features[-1].shape[-1]


def _in_float32(maps: CornerMaps) -> CornerMaps:
    return CornerMaps(*(values.float() for values in maps))


def _cells(size: tuple[int, int], stride: int, device: torch.device) -> Priors:
    """All cells as boxes, twice: as level 0 for top left corners, as level 1 for the others."""
    rows, columns = (stride * torch.arange(side, device=device).float() for side in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    corner = torch.stack([x, y], dim=-1).view(-1, 2)
    boxes = torch.cat([corner, corner + stride], dim=1).repeat(2, 1)
    strides = torch.full_like(boxes[:, 0], stride)
    level = (torch.arange(len(boxes), device=device) >= len(corner)).long()
    return Priors(boxes, strides, level, (len(corner), len(corner)))


def _common_stride(feature_specs: Sequence[FeatureSpec]) -> int:
    """The stride of all maps.

    Raises:
        UserError: They differ.
    """
    strides = [spec.stride for spec in feature_specs]
    if len(set(strides)) > 1:
        raise UserError(
            "head 'corners' reads maps of one stride, such as the outputs of hourglasses, got "
            f"strides {', '.join(map(str, strides))}: fuse them into one map with neck=fpn, "
            "neck.finest=1 and neck.extra=none; backbone.levels=[2,3,4,5] gives it stride 4."
        )
    return strides[0]
