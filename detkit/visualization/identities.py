"""Marks of tracked objects: the identity in the label, and a colour for each identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detkit.structures import DetectionArrays
from detkit.visualization.colours import class_colour
from detkit.visualization.draw import Mark, detection_marks


def identity_marks(
    detections: DetectionArrays, class_names: Sequence[str], identities: NDArray[np.int64]
) -> list[Mark]:
    """Marks such as `dog #3 0.87`, best detections first.

    Args:
        detections: N detections.
        class_names: The C names, in label order.
        identities: (N,) numbers from 0; an object without one, -1, is drawn like any detection.
    """
    order = np.argsort(-detections.scores, kind="stable")
    marks = detection_marks(detections.select(order), class_names)
    return [
        mark if identity < 0 else _with_identity(mark, identity)
        for mark, identity in zip(marks, identities[order].tolist(), strict=True)
    ]


def _with_identity(mark: Mark, identity: int) -> Mark:
    name, _, score = mark.text.rpartition(" ")
    return replace(mark, text=f"{name} #{identity} {score}", colour=class_colour(identity))
