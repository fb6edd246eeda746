"""Geometric changes of a whole sample: image, boxes and `to_image` together.

An image on the meta device stands for one whose changed pixels are known: only coordinates change.
It computes nothing, as PyTorch would import its compiler for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from detkit.data.transforms.resampling import resize
from detkit.structures import Sample, Target
from detkit.structures.outlines import join_outlines


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """A random number between two bounds."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def chance(generator: torch.Generator, probability: float) -> bool:
    """True with a probability; always draws one number."""
    return float(torch.rand((), generator=generator, dtype=torch.float64)) < probability


def scale_to(sample: Sample, size: tuple[int, int]) -> Sample:
    """The sample resized to (height, width), antialiased."""
    height, width = sample.size
    if size == (height, width):
        return sample
    across, down = size[1] / width, size[0] / height
    factors = torch.tensor([across, down, across, down], dtype=torch.float64)
    image = resize(sample.image, size)
    return _moved(sample, image, factors, torch.zeros(4, dtype=torch.float64))


def place_on(sample: Sample, size: tuple[int, int], left: int, top: int, fill: int) -> Sample:
    """Place the sample at an offset on a filled canvas of (height, width)."""
    if size == sample.size and left == top == 0:
        return sample
    image = blank(size, fill, sample.image)
    paste(sample.image, image, top, left)
    shift = torch.tensor([left, top, left, top], dtype=torch.float64)
    return _moved(sample, image, torch.ones(4, dtype=torch.float64), shift)


def blank(size: tuple[int, int], fill: int, like: torch.Tensor) -> torch.Tensor:
    """A constant image (C, height, width), channels last in memory like decoded images.

    PyTorch resizes and Pillow reads such images faster, and they are copied row by row.

    Args:
        size: Height and width.
        fill: The value of all channels.
        like: An image with the same channels, number type; only a size on the meta device.
    """
    shape = (*size, len(like))
    if like.is_meta:
        return torch.empty(shape, dtype=like.dtype, device="meta").permute(2, 0, 1)
    return torch.full(shape, fill, dtype=like.dtype).permute(2, 0, 1)


def paste(image: torch.Tensor, canvas: torch.Tensor, top: int, left: int) -> None:
    """Copy the part of the image that overlaps the canvas."""
    if image.is_meta:
        return
    rows = slice(max(top, 0), min(top + image.shape[1], canvas.shape[1]))
    columns = slice(max(left, 0), min(left + image.shape[2], canvas.shape[2]))
    inner = image[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    canvas[:, rows, columns] = inner


def cut(sample: Sample, left: int, top: int, size: tuple[int, int], least_kept: float) -> Sample:
    """A window of the sample; boxes are clipped to it.

    Boxes with less than `least_kept` of their area inside are dropped, and so are empty ones.
    """
    image = blank(size, 0, sample.image)  # its own memory, which releases the full image
    paste(sample.image, image, -top, -left)
    shift = torch.tensor([-left, -top, -left, -top], dtype=torch.float64)
    moved = _moved(sample, image, torch.ones(4, dtype=torch.float64), shift)
    target, _ = clip(moved.target, size, least_kept)
    return moved.replace(target=target)


def clip(target: Target, size: tuple[int, int], least_kept: float) -> tuple[Target, torch.Tensor]:
    """The objects with enough of their area inside (height, width), and their mask."""
    limit = torch.tensor([size[1], size[0]] * 2, dtype=target.boxes.dtype)
    boxes = target.boxes.clamp(min=0).minimum(limit)
    before = _areas(target.boxes)
    remaining = _areas(boxes)
    keep = (remaining > 0) & (remaining >= least_kept * before)
    inside = replace(target, boxes=boxes).select(keep)
    if inside.outlines is not None:
        outlines = inside.outlines.clipped((0, 0), (size[1], size[0]))
        inside = replace(inside, outlines=outlines)
    return inside, keep


def flip(sample: Sample, horizontal: bool) -> Sample:
    """The sample mirrored left to right, or top to bottom."""
    height, width = sample.size
    if horizontal:
        image, mirrored, scale = sample.image.flip(-1), [2, 1, 0, 3], [-1, 1]
        shift = [width, 0]
    else:
        image, mirrored, scale = sample.image.flip(-2), [0, 3, 2, 1], [1, -1]
        shift = [0, height]
    moved = _moved(
        sample,
        image,
        torch.tensor(scale * 2, dtype=torch.float64),
        torch.tensor(shift * 2, dtype=torch.float64),
    )
    boxes = moved.target.boxes[:, mirrored]  # the mirror swaps which corner comes first
    return moved.replace(target=replace(moved.target, boxes=boxes))


def shift(sample: Sample, left: int, top: int) -> Sample:
    """Shift the coordinates of a sample; its image does not change."""
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[0, 2], matrix[1, 2] = left, top
    return sample.replace(
        target=shift_target(sample.target, left, top), to_image=matrix @ sample.to_image
    )


def shift_target(target: Target, left: int, top: int) -> Target:
    """Shift the objects by whole pixels."""
    boxes = (target.boxes.double() + torch.tensor([left, top, left, top])).float()
    matrix = torch.tensor([[1, 0, left], [0, 1, top], [0, 0, 1]], dtype=torch.float64)
    return target.with_boxes(boxes, matrix)


def warp_boxes(boxes: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """The axis-aligned boxes (N, 4) around boxes transformed by a (3, 3) projective matrix.

    The matrix must not move a corner behind the viewer.
    """
    corners = boxes.double()[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]  # (N, 4, 3) homogeneous
    points = moved[..., :2] / moved[..., 2:]
    return torch.cat([points.amin(dim=1), points.amax(dim=1)], dim=1).float()


def join(targets: Sequence[Target]) -> Target:
    """Concatenate the objects of several targets; with areas if all targets have them."""
    areas = [target.areas for target in targets if target.areas is not None]
    outlines = [target.outlines for target in targets if target.outlines is not None]
    return Target(
        boxes=torch.cat([target.boxes for target in targets]),
        labels=torch.cat([target.labels for target in targets]),
        ignored=torch.cat([target.ignored for target in targets]),
        areas=torch.cat(areas) if len(areas) == len(targets) else None,
        outlines=join_outlines(outlines) if len(outlines) == len(targets) else None,
    )


def visible_shares(boxes: torch.Tensor, covered: torch.Tensor) -> torch.Tensor:
    """(N,) share of the pixels of each box that a mask (H, W) does not cover."""
    sums = torch.nn.functional.pad(covered.long().cumsum(0).cumsum(1), (1, 0, 1, 0))
    x1, y1, x2, y2 = boxes.round().long().unbind(1)
    hidden = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    return 1 - hidden / ((x2 - x1) * (y2 - y1)).clamp(min=1)


def _moved(
    sample: Sample, image: torch.Tensor, factors: torch.Tensor, shift: torch.Tensor
) -> Sample:
    """The sample with a new image, its coordinates times `factors` plus `shift` (x, y, x, y)."""
    boxes = (sample.target.boxes.double() * factors + shift).float()
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[:2, :2], matrix[:2, 2] = factors[:2].diag(), shift[:2]
    return sample.replace(
        image=image,
        target=sample.target.with_boxes(boxes, matrix),
        to_image=matrix @ sample.to_image,
    )


def _areas(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
