"""Test-time augmentation and ensembles: their settings, and the backend they make.

Imports no torch, so that it works with exported files too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detkit.api.augmented_backend import AugmentedBackend, ViewBackend
from detkit.api.backend import Backend
from detkit.api.merged_backend import MergedBackend
from detkit.errors import UserError
from detkit.inference.augmented_views import EXAMPLE, AugmentedViews, views_of
from detkit.inference.merging import Merging, merging_of
from detkit.inference.plain_values import block_in_words
from detkit.text import counted

# The best on average of those that scripts/inference/ensembles.py measures. An object that another
# scale hides is no less certain; one that another detector does not see is.
_MERGE = {"name": "weighted_boxes_fusion", "iou_threshold": 0.7, "score": "agreement"}
_MERGE_VIEWS = {**_MERGE, "score": "highest"}
_EXAMPLES = {
    "tta": EXAMPLE,
    "merge": "merge={name: soft_nms, iou_threshold: 0.6}",
    "ckpt_weights": "ckpt_weights=[2, 1]",
}


@dataclass(frozen=True)
class ViewSettings:
    """How several views or detectors become one detector.

    Attributes:
        views: Mirror images and scales; None for the image as it is.
        view_merging: Merges the detections of views.
        merging: Merges the detections of detectors.
        weights: How much each detector counts; None weights all alike.
    """

    views: AugmentedViews | None
    view_merging: Merging
    merging: Merging
    weights: tuple[float, ...] | None

    def backend(self, networks: Sequence[ViewBackend]) -> Backend:
        """One backend of several networks, or of one.

        Raises:
            UserError: A network cannot take the views, or the networks do not fit together.
        """
        members: list[Any] = list(networks)
        if self.views is not None:
            members = [AugmentedBackend(n, self.views, self.view_merging) for n in networks]
        if len(members) == 1:
            backend: Backend = members[0]
            return backend
        return MergedBackend(members, self.merging, self.weights)


def view_settings(
    detectors: int,
    *,
    tta: AugmentedViews | Mapping[str, Any] | None = None,
    merge: str | Mapping[str, Any] | None = None,
    weights: Sequence[float] | None = None,
) -> ViewSettings | None:
    """Check the settings; None where one detector sees each image once.

    Args:
        detectors: The number of detectors.
        tta: The views; see `AugmentedViews`.
        merge: A post-processor by name, or a mapping of its name and settings; None takes weighted
            boxes fusion, with an object's best score in any view, and a lower one where a detector
            misses it.
        weights: One for each detector.

    Raises:
        UserError: A value does not fit, or has nothing to act on.
    """
    views = views_of(tta)
    if views is None and detectors == 1 and merge is not None:
        raise UserError(
            f"merge={merge}: there is nothing to merge: give several checkpoints, "
            "ckpt=[RUN_A,RUN_B], or views, tta={flip: true}."
        )
    if weights is not None:
        _require_weights(weights, detectors)
    if views is None and detectors == 1:
        return None
    view_merging, merging = (
        merging_of(default if merge is None else merge) for default in (_MERGE_VIEWS, _MERGE)
    )
    shares = None if weights is None else tuple(map(float, weights))
    return ViewSettings(views, view_merging, merging, shares)


def configured_views(config: Mapping[str, Any], detectors: int = 1) -> ViewSettings | None:
    """The settings in a configuration of the root `predict` or `evaluate`.

    Raises:
        UserError: A value does not fit, or has nothing to act on.
    """
    keys = {"tta": "tta", "merge": "merge", "weights": "ckpt_weights"}
    values = {argument: config.get(key) for argument, key in keys.items()}
    return view_settings(detectors, **values)


def views_in_words(words: Sequence[str], detectors: int) -> tuple[ViewSettings | None, list[str]]:
    """The settings among the words of a command on exported files, and the other words.

    Raises:
        UserError: A value cannot be read, does not fit, or has nothing to act on.
    """
    values: dict[str, Any] = {}
    others = list(words)
    for key, example in _EXAMPLES.items():
        values[key], others = block_in_words(others, key, example)
    merge, weights = values["merge"], values["ckpt_weights"]
    if merge is not None and not isinstance(merge, str | Mapping):
        raise UserError(f"merge={merge}: expected a name or a mapping: {_EXAMPLES['merge']}.")
    if weights is not None and not isinstance(weights, list):
        raise UserError(f"ckpt_weights={weights}: expected a list: {_EXAMPLES['ckpt_weights']}.")
    settings = view_settings(detectors, tta=values["tta"], merge=merge, weights=weights)
    return settings, others


def _require_weights(weights: Sequence[float], detectors: int) -> None:
    """Refuse weights that do not belong to the detectors.

    Raises:
        UserError: There are too few or too many, or one is not above 0.
    """
    text = f"ckpt_weights={list(weights)}"
    if detectors == 1:
        raise UserError(f"{text}: there is one detector: give several, ckpt=[RUN_A,RUN_B].")
    if len(weights) != detectors:
        raise UserError(f"{text}: expected {counted(detectors, 'number')}, one for each detector.")
    numbers = [w for w in weights if isinstance(w, int | float) and not isinstance(w, bool)]
    if len(numbers) < detectors or not all(0 < number < math.inf for number in numbers):
        raise UserError(f"{text}: expected numbers above 0.")
