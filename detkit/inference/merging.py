"""Merge detections of the same image from several views: flips, scales, tiles, detectors.

NumPy is enough for the methods of `merge_methods`; other registered post-processors run in PyTorch.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit import registry
from detkit.errors import UserError, did_you_mean
from detkit.inference.merge_methods import METHODS, Array, Group, Merged
from detkit.inference.plain_values import plain_text
from detkit.structures.arrays import DetectionArrays

# ensemble-boxes calls them avg and max; mean ignores how many views agree
SCORES = ("agreement", "highest", "mean")
_CHOICES = {"score": SCORES, "method": ("linear", "gaussian")}
_FRACTIONS = ("iou_threshold", "threshold", "minimum_score")
_DEFAULTS = {"max_detections": 100, "class_agnostic": False}
_MOST_CANDIDATES = 100_000  # of a registered post-processor: more than all views together


class Merging:
    """Merges detections of several views of an image.

    Args:
        name: A registered post-processor, such as `weighted_boxes_fusion`, `soft_nms` or `nms`.
        settings: Its settings; the others keep their defaults. All methods take `max_detections`
            (per image) and `class_agnostic`. Weighted boxes fusion also takes `score`:
            `agreement`, the mean score of the views that agree times their share of all views;
            `highest`, the best score; or `mean`, the mean score of the views that agree.
        key: The key that set it, for messages.

    Raises:
        UserError: There is no such post-processor, or it has no such setting or value.
    """

    def __init__(
        self,
        name: str = "weighted_boxes_fusion",
        settings: Mapping[str, Any] | None = None,
        key: str = "merge",
    ) -> None:
        defaults = _defaults_of(name, key)
        self.name = name
        self.settings = {**defaults, **(settings or {})}
        for setting, value in self.settings.items():
            if setting not in defaults:
                raise UserError(
                    f"{key}: '{name}' has no setting '{setting}'.{did_you_mean(setting, defaults)} "
                    f"It has {', '.join(defaults)}."
                )
            _require_value(f"{key}.{setting}", setting, value, defaults[setting])

    def __repr__(self) -> str:
        return f"Merging({self.name!r}, {self.settings})"

    def __call__(
        self, views: Sequence[DetectionArrays], weights: Sequence[float] | None = None
    ) -> DetectionArrays:
        """Merge the detections of one image.

        Boxes without area and detections with a score of 0 are dropped; so are masks, which the
        boxes of different views do not share.

        Args:
            views: The detections of each view, all in pixels of the same image.
            weights: How much each view counts. Fusion weights boxes and scores, and divides by the
                sum; every other method multiplies scores by the view's share of the sum. None
                weights all views alike, and then only fusion changes scores.
        """
        if not views:
            return DetectionArrays(
                np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
            )
        factors = np.ones(len(views)) if weights is None else np.array(weights, np.float64)
        shares = factors
        if self.name != "weighted_boxes_fusion" and weights is not None:
            shares = factors / factors.sum()
        view = np.repeat(np.arange(len(views)), [len(detections.scores) for detections in views])
        boxes = np.concatenate([detections.boxes for detections in views]).astype(np.float64)
        scores = np.concatenate([detections.scores for detections in views]) * shares[view]
        labels = np.concatenate([detections.labels for detections in views])
        usable = (scores > 0) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        order = np.flatnonzero(usable)
        order = order[np.argsort(-scores[order], kind="stable")]
        candidates = Group(
            boxes[order],
            scores[order],
            factors[view[order]],
            len(views),
            float(factors.sum()),
            float(factors.max()),
        )
        merge = self._merge if self.name in METHODS else self._merge_in_torch
        return merge(candidates, labels[order])

    def _merge(self, candidates: Group, labels: NDArray[np.int64]) -> DetectionArrays:
        method, settings = METHODS[self.name], dict(self.settings)
        limit, class_agnostic = settings["max_detections"], settings.pop("class_agnostic")
        if "max_detections" not in method.defaults:
            del settings["max_detections"]
        groups = np.zeros_like(labels) if class_agnostic else labels
        parts = []
        for group in np.unique(groups):
            positions = np.flatnonzero(groups == group)
            members = candidates._replace(
                boxes=candidates.boxes[positions],
                scores=candidates.scores[positions],
                weights=candidates.weights[positions],
            )
            merged = method.merge(members, **settings)
            parts.append(merged._replace(positions=positions[merged.positions]))
        return _best_first(parts, labels, limit)

    def _merge_in_torch(self, candidates: Group, labels: NDArray[np.int64]) -> DetectionArrays:
        import torch  # only these methods need it

        postprocess = registry.get("postprocess", self.name)(
            score_threshold=0.0, max_candidates=_MOST_CANDIDATES, **self.settings
        )
        columns = candidates.boxes.astype(np.float32), candidates.scores.astype(np.float32), labels
        padded = postprocess(*(torch.from_numpy(column)[None] for column in columns))
        detections = padded.split()[0]
        return DetectionArrays(*(values.numpy() for values in detections))


def merging_of(value: str | Mapping[str, Any], key: str = "merge") -> Merging:
    """The merging that a configuration value names: `nms`, or `{name: nms, iou_threshold: 0.6}`.

    Raises:
        UserError: It names no method, an unknown one, or an unknown setting.
    """
    if isinstance(value, str):
        return Merging(value, key=key)
    settings = dict(value)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        text = plain_text({"name": "nms", **settings})
        raise UserError(f"{key}: names no post-processor; write {key}={text}, for example.")
    return Merging(name, settings, key)


def _defaults_of(name: str, key: str) -> dict[str, Any]:
    """The settings of a method and their defaults.

    Raises:
        UserError: There is no such post-processor.
    """
    if name in METHODS:
        return {**METHODS[name].defaults, **_DEFAULTS}
    registered = registry.names("postprocess")
    if name not in registered:
        raise UserError(
            f"{key}={name}: there is no such post-processor.{did_you_mean(name, registered)} "
            f"Merging takes {', '.join(registered)}."
        )
    arguments = inspect.signature(registry.get("postprocess", name)).parameters.values()
    hidden = ("score_threshold", "max_candidates")
    return {a.name: a.default for a in arguments if a.name not in hidden}


def _require_value(path: str, setting: str, value: object, default: object) -> None:
    """Refuse a value of the wrong type or range.

    Raises:
        UserError: It is one.
    """
    if setting in _CHOICES:
        choices, expected = _CHOICES[setting], " or ".join(_CHOICES[setting])
        valid = value in choices
    elif isinstance(default, bool):
        expected, valid = "true or false", isinstance(value, bool)
    elif isinstance(default, int):
        expected = "a whole number above 0"
        valid = isinstance(value, int) and not isinstance(value, bool) and value > 0
    else:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        number = float(value) if is_number else -1.0  # type: ignore[arg-type]
        is_fraction = setting in _FRACTIONS
        expected = "a number from 0 to 1" if is_fraction else "a number above 0"
        valid = 0 <= number <= 1 if is_fraction else 0 < number < float("inf")
    if not valid:
        raise UserError(f"{path}={value}: expected {expected}.")


def _best_first(parts: Sequence[Merged], labels: NDArray[np.int64], limit: int) -> DetectionArrays:
    """The merged detections of all groups, best first."""
    positions = np.concatenate([np.zeros(0, np.int64), *(part.positions for part in parts)])
    boxes: Array = np.concatenate([np.zeros((0, 4)), *(part.boxes for part in parts)])
    scores: Array = np.concatenate([np.zeros(0), *(part.scores for part in parts)])
    order = np.lexsort((positions, -scores))[:limit]
    return DetectionArrays(
        boxes[order].astype(np.float32),
        scores[order].astype(np.float32),
        labels[positions[order]],
    )
