"""Test-time augmentation: the views of an image that a detector sees, and the way back.

Imports no torch, so that it works with exported files too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from detkit.errors import UserError, did_you_mean
from detkit.inference.exported_images import fit_of
from detkit.pixels.image_decoding import Pixels
from detkit.pixels.resizing import Size, rounded_length
from detkit.structures.arrays import DetectionArrays

EXAMPLE = "tta={flip: true, scales: [0.8, 1.0, 1.2]}"
_LARGEST_SCALE = 4.0
Steps = Mapping[str, Mapping[str, Any] | None]


class View(NamedTuple):
    """One version of an image.

    Attributes:
        scale: Factor of the size that the network usually sees.
        mirrored: Whether left and right are swapped.
    """

    scale: float
    mirrored: bool

    def pixels(self, pixels: Pixels) -> Pixels:
        """The image (H, W, C), mirrored if the view is; its size does not change."""
        return np.ascontiguousarray(pixels[:, ::-1]) if self.mirrored else pixels

    def back(self, detections: DetectionArrays, size: Size) -> DetectionArrays:
        """Detections in pixels of the view as boxes in the image of (height, width)."""
        if not self.mirrored:
            return detections.with_masks(None)
        boxes = detections.boxes.copy()
        boxes[:, [0, 2]] = size[1] - detections.boxes[:, [2, 0]]
        return DetectionArrays(boxes, detections.scores, detections.labels)


@dataclass(frozen=True)
class AugmentedViews:
    """The views that test-time augmentation detects in.

    Args:
        flip: Whether to add the mirror image of each scale.
        scales: Factors of the size that the network usually sees; null sees that size alone.
    """

    flip: bool = False
    scales: tuple[float, ...] | None = None

    def __iter__(self) -> Iterator[View]:
        """The views, scale by scale."""
        for scale in self.scales or (1.0,):
            yield View(scale, mirrored=False)
            if self.flip:
                yield View(scale, mirrored=True)

    @property
    def changes_size(self) -> bool:
        """Whether a view has another size than the network usually sees."""
        return any(view.scale != 1 for view in self)


def views_of(value: AugmentedViews | Mapping[str, Any] | None) -> AugmentedViews | None:
    """The views of a configuration value or of an argument; None without augmentation.

    Raises:
        UserError: It has an unknown key or a value that does not fit.
    """
    if value is None or isinstance(value, AugmentedViews):
        return value
    if not isinstance(value, Mapping):
        raise UserError(f"tta={value}: expected a mapping such as {EXAMPLE}.")
    settings = [item.name for item in fields(AugmentedViews)]
    for key in value:
        if key not in settings:
            raise UserError(
                f"tta.{key}: there is no such setting.{did_you_mean(str(key), settings)} "
                f"Test-time augmentation has {', '.join(settings)}."
            )
    flip, scales = value.get("flip", False), value.get("scales")
    if not isinstance(flip, bool):
        raise UserError(f"tta.flip={flip}: expected true or false.")
    if scales is None:
        return AugmentedViews(flip) if flip else None
    if not isinstance(scales, list | tuple) or not scales or not all(map(_is_scale, scales)):
        raise UserError(
            f"tta.scales={scales}: expected a list of numbers above 0, up to {_LARGEST_SCALE:g}, "
            "such as [0.8, 1.0, 1.2]."
        )
    if len(set(scales)) < len(scales):
        raise UserError(f"tta.scales={scales}: a scale occurs twice.")
    views = AugmentedViews(flip, tuple(map(float, scales)))
    if len(list(views)) == 1 and not views.changes_size:
        raise UserError(f"tta={dict(value)}: adds no view: set flip or scales, as in {EXAMPLE}.")
    return views


def _is_scale(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < float(value) <= _LARGEST_SCALE  # type: ignore[arg-type]


def scaled_steps(
    steps: Steps, size: Size, scale: float, multiple: int
) -> dict[str, Mapping[str, Any]]:
    """The transforms that make an image of a size `scale` times as large as the original ones do.

    The last transform that resizes gets another size; all others stay as they are. `require_scales`
    has refused what this cannot change.

    Args:
        steps: Label to configuration node, in order.
        size: (height, width) of the image.
        scale: The factor.
        multiple: Sides of a canvas become a multiple of this.
    """
    nodes = {label: node for label, node in steps.items() if node is not None}
    last = _last_resizing(nodes)
    changed: dict[str, Mapping[str, Any]] = {}
    for label, node in nodes.items():
        fit = fit_of(node, size)[0] if _resizes(node) else None
        if label != last or fit is None:
            changed[label] = node
            size = size if fit is None else fit.canvas
            continue
        rounding = node.get("multiple", 1)
        inner = [rounded_length(length * scale, rounding) for length in fit.inner]
        changed[label] = {"name": "resize_exact", "height": inner[0], "width": inner[1]}
        if node["name"] == "letterbox":
            sides = [
                max(math.ceil(node[key] * scale / multiple) * multiple, length)
                for key, length in zip(("height", "width"), inner, strict=True)
            ]
            canvas = {"height": sides[0], "width": sides[1], "enlarge": False}
            changed[f"{label}_canvas"] = {**node, **canvas}
    return changed


def require_scales(steps: Steps, source: str) -> None:
    """Refuse scales where no transform decides the size, or one that changes it otherwise.

    Raises:
        UserError: It is so.
    """
    nodes = {label: node for label, node in steps.items() if node is not None}
    last = _last_resizing(nodes)
    names = [str(node["name"]) for node in nodes.values()]
    before = [n for n in names[: list(nodes).index(last)] if n not in _RESIZING] if last else names
    if last is None or before:
        raise UserError(
            f"tta.scales: the images of {source} go through {', '.join(names) or 'no transform'}, "
            "and scales need resize, resize_exact or letterbox without another transform before "
            "it: leave out tta.scales."
        )


_RESIZING = ("resize", "resize_exact", "letterbox")


def _resizes(node: Mapping[str, Any]) -> bool:
    return node["name"] in _RESIZING


def _last_resizing(nodes: Mapping[str, Mapping[str, Any]]) -> str | None:
    return next((label for label in reversed(list(nodes)) if _resizes(nodes[label])), None)
