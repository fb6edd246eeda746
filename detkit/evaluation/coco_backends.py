"""The two libraries that match and accumulate as COCO defines it."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.coco_index import detections_index, objects_index
from detkit.evaluation.image_results import ImageArrays

# The index and the evaluation as `module:class`, imported when first needed: a training builds its
# metric at the start, and faster-coco-eval imports OpenCV.
_BACKENDS = {
    "faster": ("faster_coco_eval:COCO", "faster_coco_eval:COCOeval_faster"),
    "pycocotools": ("pycocotools.coco:COCO", "pycocotools.cocoeval:COCOeval"),
}


class Accumulated(NamedTuple):
    """COCOeval's arrays; -1 means not measured. T IoU thresholds, A areas, L limits.

    Attributes:
        precision: (T, 101, C, A, L), categories in the order of their ids.
        recall: (T, C, A, L).
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def accumulated(
    images: Mapping[int, ImageArrays],
    category_ids: list[int],
    limits: list[int],
    *,
    backend: str,
    kind: Literal["bbox", "segm"] = "bbox",
) -> Accumulated:
    """Match and accumulate.

    Args:
        images: By id, in ascending order, which decides between equal scores.
        category_ids: The data set's id of each label.
        limits: How many detections of an image and class count, ascending.
        backend: `faster` or `pycocotools`.
        kind: Whether boxes or masks are compared, in COCO's words.
    """
    index, evaluator = (_class(path) for path in _BACKENDS[backend])
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = evaluator(
            objects_index(images, category_ids, index, masks=kind == "segm"),
            detections_index(images, category_ids, index, masks=kind == "segm"),
            kind,
        )
        evaluation.params.maxDets = limits
        evaluation.evaluate()
        evaluation.accumulate()
    return Accumulated(
        np.asarray(evaluation.eval["precision"]), np.asarray(evaluation.eval["recall"])
    )


def _class(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
