"""Strengths and errors of a detector, from its detections on a data set."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.confusion import confusion
from detkit.evaluation.error_kinds import split_errors
from detkit.evaluation.image_results import CollectedImages
from detkit.evaluation.overlapping_pairs import Pairs, find_pairs
from detkit.evaluation.precision_recall import precision_recall, score_thresholds
from detkit.evaluation.ranked_detections import rank_detections
from detkit.evaluation.roc_curves import roc_curves
from detkit.structures.analysis import ERROR_KINDS, Analysis, OperatingPoint, mean_of_classes

IOU_THRESHOLDS = [0.5, 0.75]  # of the precision-recall curves
FOREGROUND, BACKGROUND = 0.5, 0.1  # TIDE's
_DETECTIONS = 100  # of an image and class, as AP counts them
_AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, math.inf)}
_USUAL_SCORE = 0.3  # if no threshold is better than another
_DIGITS = 6


def analyse(seen: CollectedImages) -> Analysis:
    """Curves, confusion, thresholds and errors of everything that was seen.

    The confusion is counted at the score threshold that gives the best F1 over all classes.
    """
    classes = len(seen.class_names)
    images = seen.by_id()
    pairs = find_pairs(images, BACKGROUND, _DETECTIONS)
    ranked = rank_detections(pairs, classes, FOREGROUND)
    thresholds = score_thresholds(ranked, FOREGROUND)
    best = thresholds.best[-1].score_threshold
    return Analysis(
        class_names=seen.class_names,
        images=len(images),
        objects=pairs.objects_of_classes(classes),
        objects_by_size=_sizes(pairs),
        detections=len(pairs.scores),
        precision_recall=precision_recall(pairs, classes, IOU_THRESHOLDS),
        confusion=confusion(
            pairs,
            classes,
            iou_threshold=FOREGROUND,
            score_threshold=_USUAL_SCORE if math.isnan(best) else best,
        ),
        thresholds=thresholds,
        roc=roc_curves(ranked, len(images), FOREGROUND),
        errors=split_errors(pairs, classes, foreground=FOREGROUND, background=BACKGROUND),
    )


def _sizes(pairs: Pairs) -> dict[str, int]:
    """Objects of each size; one on a border is in both, as COCO counts."""
    areas = pairs.areas[~pairs.ignored]
    return {n: int(((areas >= low) & (areas <= high)).sum()) for n, (low, high) in _AREAS.items()}


def analysis_content(analysis: Analysis) -> dict[str, Any]:
    """An analysis as plain values for JSON; NaN stays NaN."""
    names = analysis.class_names
    curves, thresholds = analysis.precision_recall, analysis.thresholds
    table, errors = analysis.confusion, analysis.errors
    return {
        "images": analysis.images,
        "detections": analysis.detections,
        "objects": dict(zip(names, analysis.objects.tolist(), strict=True)),
        "objects_by_size": dict(analysis.objects_by_size),
        "errors": {
            "iou_found": errors.foreground,
            "iou_background": errors.background,
            "AP": errors.average_precision,
            "AP_gained": dict(errors.gains),
            "AP_gained_without_false_positives": errors.false_positive_gain,
            "AP_gained_without_false_negatives": errors.false_negative_gain,
            "counts": {kind: int(errors.counts[kind].sum()) for kind in ERROR_KINDS},
            "counts_by_class": {
                name: {kind: int(errors.counts[kind][label]) for kind in ERROR_KINDS}
                for label, name in enumerate(names)
            },
        },
        "score_thresholds": {
            "iou": thresholds.iou_threshold,
            "all_classes": _point(thresholds.best[-1]),
            "classes": {
                name: _point(point) for name, point in zip(names, thresholds.best[:-1], strict=True)
            },
        },
        "roc": _roc_content(analysis),
        "confusion": {
            "iou": table.iou_threshold,
            "score_threshold": table.score_threshold,
            "rows_are_objects_columns_are_detections": [*names, "background"],
            "counts": table.counts.tolist(),
        },
        "precision_recall": {
            "recall": _rounded(curves.recall),
            "precision": {
                f"IoU {threshold:.2f}": {
                    name: _rounded(curves.precision[row, label]) for label, name in enumerate(names)
                }
                for row, threshold in enumerate(curves.iou_thresholds)
            },
        },
    }


def _roc_content(analysis: Analysis) -> dict[str, Any]:
    return {
        "iou": analysis.roc.iou_threshold,
        "froc_score": _by_class(analysis, analysis.roc.froc_score),
        "area": _by_class(analysis, analysis.roc.area),
    }


def _by_class(analysis: Analysis, values: NDArray[np.float64]) -> dict[str, Any]:
    """Values of each class, of all classes together, and their mean."""
    rows = _rounded(values)
    return {
        "all_classes": rows[-1],
        "mean": _rounded(mean_of_classes(values[:-1, None]))[0],
        "classes": dict(zip(analysis.class_names, rows[:-1], strict=True)),
    }


def _point(point: OperatingPoint) -> dict[str, float]:
    return {
        "score_threshold": point.score_threshold,
        "precision": point.precision,
        "recall": point.recall,
        "f1": point.f1,
    }


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(value, _DIGITS) for value in values.tolist()]


def errors_table(analysis: Analysis, width: int = 24) -> str:
    """The error split and the best score threshold in a few lines for a terminal."""
    errors, best = analysis.errors, analysis.thresholds.best[-1]
    if not math.isfinite(errors.average_precision):
        counts = {kind: int(errors.counts[kind].sum()) for kind in ERROR_KINDS}
        errors_by_kind = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        return f"no AP, since there are no objects to find; errors: {errors_by_kind or 'none'}"
    lines = [
        f"what COCO's AP at IoU {errors.foreground:.2f}, {errors.average_precision:.3f}, would "
        "gain without each kind of error"
    ]
    highest = max([0.0, *errors.gains.values()])
    for kind in ERROR_KINDS:
        gain = errors.gains[kind]
        count = int(errors.counts[kind].sum())
        bar = "█" * round(width * gain / highest) if highest else ""
        lines.append(f"  {kind:<14}  +{gain:.3f}  {count:>7,}  {bar}".rstrip())
    if math.isfinite(best.score_threshold):
        lines.append(
            f"best F1 {best.f1:.3f} at score_threshold={best.score_threshold:.2f}: "
            f"precision {best.precision:.3f}, recall {best.recall:.3f}"
        )
    return "\n".join(lines)
