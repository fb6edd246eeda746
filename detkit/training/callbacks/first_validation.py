"""Warn after the first validation if the training cannot work."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import torch

from detkit.ops import pairwise_iou
from detkit.registry import Wired, register
from detkit.runs.layout import METRICS_LOG
from detkit.structures import Batch, Detections, Target
from detkit.text import counted

_log = logging.getLogger("detkit.training")

_OVERLAP = 0.5
_SOME = 0.1  # share of objects found as another class that is worth a warning if AP50 is 0
_MOST = 0.5  # the same whatever the AP50
_ONE_SHIFT = 0.8  # share of the wrong labels that one offset must explain
_PAIRS = 3

NO_OBJECTS = (
    "NO AP AFTER THE FIRST VALIDATION: the validation images have no object that counts. Check "
    "that the annotations of the validation split belong to its images."
)
_EARLY = "After a few hundred steps from scratch this can be normal; otherwise"


@dataclass
class Hits:
    """The classes of the best detection on each object.

    Attributes:
        images: Number of images.
        detections: Number of detections in them, of any score.
        objects: Number of objects in them, except ignored ones.
        pairs: (label of the object, label of the best detection that overlaps it by 0.5 or more).
    """

    images: int = 0
    detections: int = 0
    objects: int = 0
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, detections: Detections, target: Target) -> None:
        """Add the detections and objects of one image."""
        objects = target.select(~target.ignored)
        self.images += 1
        self.detections += len(detections.scores)
        self.objects += len(objects)
        if not len(objects) or not len(detections.scores):
            return
        overlaps = pairwise_iou(objects.boxes, detections.boxes) >= _OVERLAP  # (objects, N)
        scores = torch.where(overlaps, detections.scores.float(), -1.0)
        best = scores.argmax(dim=1)
        hit = overlaps.any(dim=1)
        labels = detections.labels[best][hit].tolist()
        self.pairs.update(zip(objects.labels[hit].tolist(), labels, strict=True))

    @property
    def right(self) -> float:
        """Share of the objects whose best detection has their class."""
        return self._share(n for (label, other), n in self.pairs.items() if label == other)

    @property
    def wrong(self) -> float:
        """Share of the objects whose best detection has another class."""
        return self._share(n for (label, other), n in self.pairs.items() if label != other)

    def shift(self, classes: int) -> int | None:
        """The offset of the wrong labels, if a single one explains nearly all of them."""
        shifts: Counter[int] = Counter()
        owners: dict[int, set[int]] = {}
        for (label, other), count in self.pairs.items():
            if label != other:
                shifts[other - label] += count
                owners.setdefault(other - label, set()).add(label)
        if not shifts:
            return None
        (shift, count), *_ = shifts.most_common(1)
        several = len(owners[shift]) > 1 and classes > 2  # noqa: PLR2004  # of two, one is the other
        return shift if several and count >= _ONE_SHIFT * shifts.total() else None

    def _share(self, counts: Iterable[int]) -> float:
        return sum(counts) / max(self.objects, 1)


@register("callback", "first_validation")
class FirstValidation(pl.Callback):
    """Warn if the first validation finds no object at all, and name likely causes.

    Args:
        class_names: The classes, in label order.
    """

    def __init__(self, *, class_names: Wired[list[str]]) -> None:
        self.class_names = class_names
        self._hits = Hits()
        self._done = False

    def on_validation_batch_end(  # noqa: PLR0917  # as Lightning declares it
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Compare the detections of the first validation with the objects, on rank 0."""
        if self._done or not trainer.is_global_zero:
            return
        for detections, target in zip(outputs, batch.original_targets, strict=True):
            self._hits.add(detections, target)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the AP50 of the first validation of a new training."""
        if self._done or "val/AP50" not in trainer.callback_metrics:
            return
        self._done = True
        score = float(trainer.callback_metrics["val/AP50"])
        text = verdict(score, self._hits, self.class_names)
        if trainer.is_global_zero and text:
            _log.warning("%s", text)
        self._hits = Hits()

    def state_dict(self) -> dict[str, bool]:
        """Whether the first validation is done."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        """A resumed run has had its first validation."""
        self._done = state_dict["done"]


def verdict(score: float, hits: Hits, class_names: Sequence[str]) -> str | None:
    """The warning for an AP50 and its hits; None if nothing looks wrong."""
    if math.isnan(score):
        return NO_OBJECTS
    if hits.wrong >= (_SOME if score == 0 else _MOST) and hits.right < _SOME:
        return _of_other_classes(score, hits, class_names)
    if score > 0:
        return None
    if not hits.detections:
        return (
            f"AP50 IS 0 AFTER THE FIRST VALIDATION: nothing was detected in "
            f"{counted(hits.images, 'image')}. {_EARLY} see whether the losses in {METRICS_LOG} "
            "fall: if not, change "
            "optimizer.learning_rate; if they do, train longer or lower "
            "model.head.postprocess.score_threshold."
        )
    return (
        f"AP50 IS 0 AFTER THE FIRST VALIDATION: "
        f"{counted(hits.detections, 'detection')} in {counted(hits.images, 'image')}, and none "
        f"overlaps an object of its class (IoU {_OVERLAP}). "
        f"{_EARLY} look at the run folder's pictures (do the objects' boxes match the "
        f"objects?), at {METRICS_LOG} (if the losses do not fall, lower optimizer.learning_rate) "
        "and at the sizes (are the objects, after resizing, as large as the priors expect?)."
    )


def _of_other_classes(score: float, hits: Hits, class_names: Sequence[str]) -> str:
    wrong = Counter({pair: n for pair, n in hits.pairs.items() if pair[0] != pair[1]})
    pairs = ", ".join(
        f"'{class_names[label]}' as '{class_names[other]}' ({count})"
        for (label, other), count in wrong.most_common(_PAIRS)
    )
    shift = hits.shift(len(class_names))
    cause = "the names of the classes may be swapped or missing in one of the splits"
    if shift is not None:
        cause = (
            f"labels are off by {shift:+d} throughout, as when ids that start at 1 are taken for "
            "labels that start at 0, or a class is missing in the list of one split"
        )
    return (
        f"BOXES ARE FOUND, BUT OF OTHER CLASSES (AP50 {score:.3f} after the first validation): "
        f"{hits.wrong:.0%} of {hits.objects:,} objects are found under another class, such as "
        f"{pairs}, and {hits.right:.0%} under their own; {cause}. {_EARLY} compare the class lists "
        "and their order in the training and the validation annotations."
    )
