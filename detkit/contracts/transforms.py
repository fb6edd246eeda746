"""Contracts of transforms: image, boxes and `to_image` change together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.tensor_checks import require, require_finite, require_same, unchanged
from detkit.interfaces import MixingTransform
from detkit.structures import Detections, Outlines, Sample, Target

_IMAGE = (60, 80)
_SEEDS = 6
_EDGE = 1.0  # pixels: a box this close to the edge of the image may have been clipped
_TOLERANCE = 0.1  # pixels between a box and the one that was mapped back
_PIXEL = 1.0  # between a box and the mask in it; hidden parts are whole pixels


def _sample(target: Target, image_id: int = 1) -> Sample:
    generator = torch.Generator().manual_seed(image_id)
    image = torch.randint(0, 256, (3, *_IMAGE), dtype=torch.uint8, generator=generator)
    return Sample(image, target, target, image_id, f"image{image_id}.png", _IMAGE)


def _with_masks(target: Target) -> Target:
    """The same objects with masks that fill their boxes."""
    corners = target.boxes.double().numpy()[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    return replace(target, outlines=Outlines.of([[ring] for ring in corners]))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _apply(transform: Any, sample: Sample, seed: int) -> Sample:
    """Apply a transform, with as many other samples as it mixes in."""
    generator = _generator(seed)
    if isinstance(transform, MixingTransform):
        count = transform.count(generator)
        require(
            isinstance(count, int) and count >= 0,
            f"`count` returned {count!r}, expected an int of 0 or more.",
        )
        others = [scenes.objects(2, _IMAGE, seed=n) for n in range(count)]
        if sample.target.outlines is not None:
            others = [_with_masks(target) for target in others]
        other_samples = [_sample(target, 2 + n) for n, target in enumerate(others)]
        return transform.mix(sample, other_samples, generator) if other_samples else sample
    result: Sample = transform(sample, generator)
    return result


def samples_are_valid(subject: Subject) -> None:
    """uint8 image, boxes inside it with an area; id, path and annotation are unchanged."""
    transform = subject.build()
    for count in (0, 1, 5, scenes.MANY):
        for seed in range(_SEEDS if count < scenes.MANY else 1):
            sample = _sample(scenes.objects(count, _IMAGE))
            result = _apply(transform, sample, seed)
            _require_form(result, f"with {count} objects")
            is_unchanged = result.original_target is sample.original_target
            is_unchanged = is_unchanged and (result.image_id, result.path) == (
                sample.image_id,
                sample.path,
            )
            require(
                is_unchanged and result.original_size == sample.original_size,
                "`original_target`, `image_id`, `path` or `original_size` changed: a transform may "
                "only change `image`, `target` and `to_image`; use sample.replace(...).",
            )


def _require_form(result: Any, when: str) -> None:
    if not isinstance(result, Sample):
        raise BrokenContractError(f"it returned {type(result).__name__} {when}, expected a Sample.")
    image, boxes = result.image, result.target.boxes
    fits = image.dtype == torch.uint8 and image.ndim == 3 and len(image) == 3  # noqa: PLR2004
    require(
        fits, f"the image is {tuple(image.shape)} {image.dtype} {when}, expected (3, H, W) uint8."
    )
    require(boxes.dtype == torch.float32, f"boxes are {boxes.dtype} {when}, expected float32.")
    require(result.target.labels.dtype == torch.int64, f"labels are not int64 {when}.")
    require_finite(boxes, f"boxes are not finite {when}.")
    limit = torch.tensor([result.size[1], result.size[0]] * 2)
    inside = bool((boxes >= 0).all()) and bool((boxes <= limit).all())
    require(inside, f"boxes extend beyond the image {when}: clip or drop them.")
    area = bool((boxes[:, 2:] > boxes[:, :2]).all())
    require(area, f"a box has no area {when}: keep x1 < x2 and y1 < y2, and drop empty boxes.")
    matrix = result.to_image
    fits = tuple(matrix.shape) == (3, 3) and matrix.dtype == torch.float64
    require(fits, f"`to_image` is {tuple(matrix.shape)} {matrix.dtype}, expected (3, 3) float64.")
    require(bool(torch.linalg.det(matrix).abs() > 0), "`to_image` has no inverse.")


def randomness_comes_from_the_generator(subject: Subject) -> None:
    """The same generator state gives the same sample; global random state has no effect."""
    transform, sample = subject.build(), _sample(scenes.objects(3, _IMAGE))
    for seed in range(_SEEDS):
        torch.manual_seed(seed)
        first = _apply(transform, sample, seed)
        torch.manual_seed(seed + 1)
        second = _apply(transform, sample, seed)
        require_same(
            (second.image, second.target, second.to_image),
            (first.image, first.target, first.to_image),
            "the same generator state gave another sample: draw all random numbers from "
            "`generator`, or a resumed run sees other images.",
        )


def samples_are_not_modified(subject: Subject) -> None:
    """The transform copies image and boxes before changing them."""
    transform, sample = subject.build(), _sample(scenes.objects(3, _IMAGE))
    for seed in range(_SEEDS):
        with unchanged(sample):
            _apply(transform, sample, seed)


def to_image_maps_boxes_back(subject: Subject) -> None:
    """`to_image` maps the original image to the new one, so detections can be mapped back.

    Checked on an off-centre box that was not clipped. If the image is rotated, the box that is
    mapped back is the upright one around it.
    """
    transform = subject.build()
    single = Target(torch.tensor([[22.0, 14, 46, 40]]), torch.tensor([1]), torch.tensor([False]))
    if isinstance(transform, MixingTransform):
        return  # the result has objects of other images, which cannot be mapped back
    for seed in range(_SEEDS):
        result = _apply(transform, _sample(single), seed)
        boxes, (height, width) = result.target.boxes, result.size
        limit = torch.tensor([width, height]) - _EDGE
        if len(boxes) != 1 or (boxes[:, :2] < _EDGE).any() or (boxes[:, 2:] > limit).any():
            continue
        detections = Detections(boxes, torch.ones(1), torch.tensor([1]))
        back = detections.to_original(result.to_image, _IMAGE).boxes[0]
        is_rotated = result.to_image[[0, 1, 2, 2], [1, 0, 0, 1]].abs().max() > 1e-9  # noqa: PLR2004
        error = (back - single.boxes[0]) * torch.tensor([1.0, 1, -1, -1])  # positive inside
        fits = bool((error < _TOLERANCE).all()) and (
            bool(is_rotated) or bool((error > -_TOLERANCE).all())
        )
        require(
            fits,
            f"a box at {single.boxes[0].tolist()} of the original image moved to "
            f"{_rounded(boxes[0])}, and to_image maps it back to {_rounded(back)}: set to_image = "
            "matrix @ sample.to_image, and transform the boxes by the same matrix.",
        )


def _rounded(box: torch.Tensor) -> list[float]:
    return [round(value, 1) for value in box.tolist()]


def masks_follow_their_boxes(subject: Subject) -> None:
    """Masks move with their boxes, for detectors that learn masks."""
    transform = subject.build()
    for seed in range(_SEEDS):
        sample = _sample(_with_masks(scenes.objects(3, _IMAGE)))
        result = _apply(transform, sample, seed)
        outlines, boxes = result.target.outlines, result.target.boxes.numpy()
        if outlines is None or len(outlines) != len(boxes):
            raise BrokenContractError(
                "the objects lose their masks: change `target` with `select`, or with "
                "`with_boxes(boxes, matrix)` and the 3x3 matrix that moves the boxes."
            )
        limit = np.array([result.size[1], result.size[0]]) - _EDGE
        for position, box in enumerate(boxes):
            points = np.concatenate([*outlines.rings(position), np.zeros((0, 2))])
            sides = np.concatenate([points.min(axis=0), points.max(axis=0)]) if len(points) else box
            margins = (sides - box) * [1, 1, -1, -1]  # positive inside the box
            is_clipped = (box[:2] < _EDGE).any() or (box[2:] > limit).any()
            fits = len(points) and (margins > -_PIXEL).all()
            require(
                bool(fits and (is_clipped or (margins < _PIXEL).all())),
                f"an object has the box {box.round(1).tolist()} and a mask around "
                f"{sides.round(1).tolist()}: pass `with_boxes` the 3x3 matrix of the boxes.",
            )
