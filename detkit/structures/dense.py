"""Tensors inside a dense head. P is the number of priors over all levels, fine to coarse."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

BACKGROUND = -1
IGNORED = -2


class Priors(NamedTuple):
    """The locations where a dense head predicts; a point is a box as large as its stride.

    All fields have a leading axis B where each image has its own priors, as regions do.

    Attributes:
        boxes: (P, 4) float32 absolute xyxy.
        stride: (P,) float32 input pixels per cell.
        level: (P,) int64 index of the feature level.
        level_sizes: Number of priors of each level, known to the host; empty for a single level and
            for a selection.
    """

    boxes: Tensor
    stride: Tensor
    level: Tensor
    level_sizes: tuple[int, ...] = ()

    def images(self, start: int, stop: int) -> Priors:
        """The priors of the images start..stop-1; all priors if images share them."""
        if self.boxes.dim() == 2:  # noqa: PLR2004  # (P, 4)
            return self
        boxes, stride, level = (field[start:stop] for field in self[:3])
        return Priors(boxes, stride, level, self.level_sizes)

    def of_image(self, image: int) -> Priors:
        """The (P, ...) priors of one image."""
        return self if self.boxes.dim() == 2 else self.at(image)  # noqa: PLR2004  # (P, 4)

    def repeated(self, images: int) -> Priors:
        """(images * P) the priors of all images, whether they share them or not."""
        shared = self.boxes.dim() == 2  # noqa: PLR2004  # (P, 4)
        fields = (f.expand(images, *f.shape) if shared else f for f in self[:3])
        boxes, stride, level = (field.flatten(0, 1) for field in fields)
        return Priors(boxes, stride, level)

    def of_rows(self, rows: Tensor) -> Priors:
        """The priors (M, ...) at rows (M,) among those of all images, as `repeated` lists them."""
        shared = self.boxes.dim() == 2  # noqa: PLR2004  # (P, 4)
        rows = rows % len(self.boxes) if shared else rows
        boxes, stride, level = (f[rows] if shared else f.flatten(0, 1)[rows] for f in self[:3])
        return Priors(boxes, stride, level)

    def at(self, index: Tensor | slice | int) -> Priors:
        """The priors at an index, a mask or a slice."""
        return Priors(self.boxes[index], self.stride[index], self.level[index])


class DensePredictions(NamedTuple):
    """The outputs of a dense head's layers, in the order of the priors.

    Attributes:
        class_logits: (B, P, K); the classification loss determines K: C, or C + 1 with background
            last.
        box_codes: (B, P, D); D is the box coder's `code_size`.
        quality: (B, P) logits of localisation quality (centreness, objectness), or None.
    """

    class_logits: Tensor
    box_codes: Tensor
    quality: Tensor | None


class Assignment(NamedTuple):
    """The object that each prior is responsible for.

    Attributes:
        matched: (B, P) int64: the index of the image's object, BACKGROUND or IGNORED.
        scores: (B, P) in 0..1; for a prior with an object, the target score of its class and the
            weight of the prior in the box loss and in the number of positives; None means 1.
    """

    matched: Tensor
    scores: Tensor | None = None
