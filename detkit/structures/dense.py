"""What flows inside a dense head. P counts the priors of all levels, fine to coarse."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

BACKGROUND = -1
IGNORED = -2


class Priors(NamedTuple):
    """Where a dense head predicts, levels concatenated; a point is a box as large as its stride.

    Attributes:
        boxes: (P, 4) float32 absolute xyxy.
        stride: (P,) float32 input pixels per cell.
        level: (P,) int64 index of the feature level.
    """

    boxes: Tensor
    stride: Tensor
    level: Tensor


class DensePredictions(NamedTuple):
    """What the layers of a dense head compute, in the order of the priors.

    Attributes:
        class_logits: (B, P, K), K being what the classification loss asks for (C, or C + 1 with
            background last).
        box_codes: (B, P, D), D being the box coder's `code_size`.
        quality: (B, P) logits of localisation quality (centreness, objectness), or None.
    """

    class_logits: Tensor
    box_codes: Tensor
    quality: Tensor | None


class Assignment(NamedTuple):
    """Which object each prior of one image is responsible for.

    Attributes:
        matched: (P,) int64: the index of the object, BACKGROUND or IGNORED.
        scores: (P,) in 0..1, for priors with an object: the target of the score of its class, and
            what the prior counts in the box loss and in the number of positives; None is 1 for all.
    """

    matched: Tensor
    scores: Tensor | None = None
