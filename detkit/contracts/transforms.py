"""What transforms promise: image, boxes and the way back to the original move together."""

from __future__ import annotations

from typing import Any

import torch

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.tensor_checks import require, require_finite, require_same, unchanged
from detkit.interfaces import MixingTransform
from detkit.structures import Detections, Sample, Target

_IMAGE = (60, 80)
_SEEDS = 6
_EDGE = 1.0  # pixels: a box this near to the edge of the image may have been cut
_OFF = 0.1  # pixels that a box may be off on its way back


def _sample(target: Target, image_id: int = 1) -> Sample:
    generator = torch.Generator().manual_seed(image_id)
    image = torch.randint(0, 256, (3, *_IMAGE), dtype=torch.uint8, generator=generator)
    return Sample(image, target, target, image_id, f"image{image_id}.png", _IMAGE)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _applied(transform: Any, sample: Sample, seed: int) -> Sample:
    """A sample after a transform, mixed with others as often as it asks."""
    generator = _generator(seed)
    if isinstance(transform, MixingTransform):
        count = transform.count(generator)
        require(isinstance(count, int) and count >= 0, f"`count` gave {count!r}, expected an int.")
        others = [_sample(scenes.objects(2, _IMAGE, seed=n), 2 + n) for n in range(count)]
        return transform.mix(sample, others, generator) if others else sample
    found: Sample = transform(sample, generator)
    return found


def samples_keep_their_form(subject: Subject) -> None:
    """uint8 image; boxes inside it and of an area; the sample's own id, path and annotation."""
    transform = subject.build()
    for count in (0, 1, 5, scenes.MANY):
        for seed in range(_SEEDS if count < scenes.MANY else 1):
            sample = _sample(scenes.objects(count, _IMAGE))
            found = _applied(transform, sample, seed)
            _require_form(found, f"with {count} objects")
            kept = found.original_target is sample.original_target
            kept = kept and (found.image_id, found.path) == (sample.image_id, sample.path)
            require(
                kept and found.original_size == sample.original_size,
                "`original_target`, `image_id`, `path` or `original_size` changed: only `image`, "
                "`target` and `to_image` are for transforms, use sample.replace(...).",
            )


def _require_form(found: Any, when: str) -> None:
    if not isinstance(found, Sample):
        raise BrokenContractError(f"it gave {type(found).__name__} {when}, expected a Sample.")
    image, boxes = found.image, found.target.boxes
    fits = image.dtype == torch.uint8 and image.ndim == 3 and len(image) == 3  # noqa: PLR2004
    require(
        fits, f"the image is {tuple(image.shape)} {image.dtype} {when}, expected (3, H, W) uint8."
    )
    require(boxes.dtype == torch.float32, f"boxes are {boxes.dtype} {when}, expected float32.")
    require(found.target.labels.dtype == torch.int64, f"labels are not int64 {when}.")
    require_finite(boxes, f"boxes are not finite {when}.")
    limit = torch.tensor([found.size[1], found.size[0]] * 2)
    inside = bool((boxes >= 0).all()) and bool((boxes <= limit).all())
    require(inside, f"boxes reach over the edge of the image {when}: clip or drop them.")
    area = bool((boxes[:, 2:] > boxes[:, :2]).all())
    require(area, f"a box has no area {when}: keep x1 < x2 and y1 < y2, drop what is cut away.")
    matrix = found.to_image
    fits = tuple(matrix.shape) == (3, 3) and matrix.dtype == torch.float64
    require(fits, f"`to_image` is {tuple(matrix.shape)} {matrix.dtype}, expected (3, 3) float64.")
    require(bool(torch.linalg.det(matrix).abs() > 0), "`to_image` has no inverse.")


def randomness_comes_from_the_generator(subject: Subject) -> None:
    """The same generator gives the same sample, whatever other random numbers are drawn."""
    transform, sample = subject.build(), _sample(scenes.objects(3, _IMAGE))
    for seed in range(_SEEDS):
        torch.manual_seed(seed)
        first = _applied(transform, sample, seed)
        torch.manual_seed(seed + 1)
        second = _applied(transform, sample, seed)
        require_same(
            (second.image, second.target, second.to_image),
            (first.image, first.target, first.to_image),
            "the same generator gave another sample: draw all random numbers from `generator`, or "
            "a resumed run sees other images.",
        )


def samples_stay_as_they_are(subject: Subject) -> None:
    """The image and the boxes that come in are copied before they are changed."""
    transform, sample = subject.build(), _sample(scenes.objects(3, _IMAGE))
    for seed in range(_SEEDS):
        with unchanged(sample):
            _applied(transform, sample, seed)


def boxes_find_their_way_back(subject: Subject) -> None:
    """`to_image` maps the original image to the new one, so detections can go back.

    Looked at is a box, not quite in the middle, that was not cut; where the image is turned, what
    comes back is the upright box around it.
    """
    transform = subject.build()
    single = Target(torch.tensor([[22.0, 14, 46, 40]]), torch.tensor([1]), torch.tensor([False]))
    if isinstance(transform, MixingTransform):
        return  # whose result holds objects of other images, which have no way back
    for seed in range(_SEEDS):
        found = _applied(transform, _sample(single), seed)
        boxes, (height, width) = found.target.boxes, found.size
        limit = torch.tensor([width, height]) - _EDGE
        if len(boxes) != 1 or (boxes[:, :2] < _EDGE).any() or (boxes[:, 2:] > limit).any():
            continue
        detections = Detections(boxes, torch.ones(1), torch.tensor([1]))
        back = detections.to_original(found.to_image, _IMAGE).boxes[0]
        turned = found.to_image[[0, 1, 2, 2], [1, 0, 0, 1]].abs().max() > 1e-9  # noqa: PLR2004
        off = (back - single.boxes[0]) * torch.tensor([1.0, 1, -1, -1])  # above 0 lies inside
        fits = bool((off < _OFF).all()) and (bool(turned) or bool((off > -_OFF).all()))
        require(
            fits,
            f"a box at {single.boxes[0].tolist()} of the original image moved to "
            f"{_rounded(boxes[0])}, and to_image takes it back to {_rounded(back)}: multiply your "
            "map from the left, to_image=matrix @ sample.to_image, and move boxes by the same.",
        )


def _rounded(box: torch.Tensor) -> list[float]:
    return [round(value, 1) for value in box.tolist()]
