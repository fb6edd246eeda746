"""One picture of the embedded data set, with its objects."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from detkit.data.drawing.backgrounds import ground, strokes
from detkit.data.drawing.outlines import KINDS, Mask, Outline, coverage
from detkit.data.drawing.paint import Pixels, contrasting, textured

CLASS_NAMES = tuple(sorted(KINDS))
# Shares of images with 0, 1, ... objects.
COUNTS = (0.05, 0.06, 0.09, 0.11, 0.13, 0.14, 0.13, 0.11, 0.08, 0.06, 0.04)
SMALLEST, LARGEST = 18.0, 0.56  # diameter: in pixels, and as a share of the picture
MOST_TURN = 0.6  # radians, either way
# Where less than this can be seen, people disagree about what it is: such objects are flagged
# ignored, so that a detector is neither paid nor punished for finding them.
LEAST_VISIBLE = 0.3
# Distance of two centres over the mean of the diameters: for objects that overlap, and others.
_CLOSEST, _APART = 0.25, 0.8
_LEAST_PIXELS = 6.0  # what shows less than this is a speck and is not annotated


class DrawnObject(NamedTuple):
    """An object: its class, the box (x1, y1, x2, y2), area and pixels of what is seen of it."""

    name: str
    box: tuple[int, int, int, int]
    area: float
    ignored: bool
    pixels: NDArray[np.bool_]  # (H, W)


class _Placed(NamedTuple):
    name: str
    outline: Outline
    turn: float
    diameter: float
    origin: tuple[int, int]  # left and top of the patch in the picture
    span: tuple[int, int]  # height and width of the patch
    mask: Mask  # of the patch, what is outside the picture included


def draw_scene(
    random: np.random.Generator, size: int, clutter: float
) -> tuple[NDArray[np.uint8], list[DrawnObject]]:
    """A picture (H, W, 3) and what can be seen of its objects, occlusion taken into account."""
    pixels = ground(random, size, clutter)
    pixels, _ = strokes(random, pixels, int(random.poisson(14 * clutter)))
    placed = _place(random, size, clutter)
    masks: list[Mask] = []
    for item in placed:
        pixels, cover = _draw(random, pixels, item, clutter)
        masks = [mask * (1 - cover) for mask in masks] + [cover]
    pixels, cover = strokes(random, pixels, int(random.poisson(1.6 * clutter)), thick=0.8)
    objects = [_visible(item, mask * (1 - cover)) for item, mask in zip(placed, masks, strict=True)]
    return _finish(random, pixels, clutter), [item for item in objects if item is not None]


def _place(random: np.random.Generator, size: int, clutter: float) -> list[_Placed]:
    """Objects back to front, mostly the large ones first; some are put before another one."""
    count = int(random.choice(len(COUNTS), p=COUNTS))
    diameters = np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST * size), count))
    if random.random() < 0.65:  # noqa: PLR2004
        diameters = -np.sort(-diameters)
    placed: list[_Placed] = []
    circles: list[tuple[NDArray[np.float64], float]] = []
    for diameter in diameters:
        before_another = bool(circles) and random.random() < 0.4 * clutter
        margin = min(diameter * 0.3, size / 2)
        for _ in range(12):
            centre = random.uniform(margin, size - margin, 2)
            if before_another:
                other, across = circles[random.integers(len(circles))]
                reach = random.normal(0, 1, 2) * (diameter + across) / 4
                centre = np.clip(other + reach, margin, size - margin)
            apart = [
                float(np.hypot(*(centre - other))) / ((diameter + across) / 2)
                for other, across in circles
            ]
            if min(apart, default=9.0) > (_CLOSEST if before_another else _APART):
                placed.append(_shape(random, diameter, centre))
                circles.append((centre, diameter))
                break
    return placed


def _shape(random: np.random.Generator, diameter: float, centre: NDArray[np.float64]) -> _Placed:
    name = CLASS_NAMES[random.integers(len(CLASS_NAMES))]
    turn = random.uniform(-MOST_TURN, MOST_TURN)
    cosine, sine = np.cos(turn), np.sin(turn)
    squeeze = np.diag([1.0, random.uniform(0.85, 1.0)])
    matrix = np.array([[cosine, -sine], [sine, cosine]]) @ squeeze * (diameter / 2)
    outline = KINDS[name](random).placed(matrix, centre)
    low = np.floor(outline.border.min(axis=0)).astype(int) - 1
    high = np.ceil(outline.border.max(axis=0)).astype(int) + 1
    local = outline.placed(np.eye(2), -low.astype(np.float64))
    span = (int(high[1] - low[1]), int(high[0] - low[0]))
    mask = coverage(local, span)
    return _Placed(name, local, turn, diameter, (int(low[0]), int(low[1])), span, mask)


def _draw(
    random: np.random.Generator, pixels: Pixels, item: _Placed, clutter: float
) -> tuple[Pixels, Mask]:
    """The picture with an object on it, and the share of each pixel that the object covers."""
    size = len(pixels)
    (left, top), (height, width) = item.origin, item.span
    rows = slice(max(top, 0), min(top + height, size))
    columns = slice(max(left, 0), min(left + width, size))
    inside = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    around = pixels[rows, columns].mean(axis=(0, 1))
    hard = random.random() < 0.4 * clutter  # some are faint
    least, most = (45.0, 85.0) if hard else (95.0, 442.0)
    base = contrasting(random, around, least, most)
    paint = textured(random, item.span, base, item.turn) if not hard else _plain(item.span, base)
    paint = _lit(random, paint, item)
    if random.random() < 0.45:  # noqa: PLR2004
        pixels = _shadow(pixels, item, int(random.integers(1, 4)))
    cover = np.zeros((size, size), dtype=np.float32)
    cover[rows, columns] = item.mask[inside]
    alpha = item.mask[inside][..., None]
    pixels[rows, columns] = pixels[rows, columns] * (1 - alpha) + paint[inside] * alpha
    return pixels, cover


def _plain(span: tuple[int, int], base: NDArray[np.float32]) -> Pixels:
    return np.broadcast_to(base, (*span, 3)).astype(np.float32)


def _lit(random: np.random.Generator, paint: Pixels, item: _Placed) -> Pixels:
    """The paint with light from one side, and for some a darker or lighter rim."""
    height, width = item.span
    down, across = np.mgrid[:height, :width].astype(np.float32)
    turn = random.uniform(0, 2 * np.pi)
    light = (across / width - 0.5) * math.cos(turn) + (down / height - 0.5) * math.sin(turn)
    paint = paint * (1 + light * random.uniform(0, 0.5))[..., None]
    if random.random() < 0.35 and item.diameter > 18:  # noqa: PLR2004
        centre = item.outline.border.mean(axis=0)
        share = 1 - 2 * max(1.2, item.diameter * 0.05) / item.diameter
        inner = Outline(item.outline.border).placed(np.eye(2) * share, centre * (1 - share))
        rim = (1 - coverage(inner, item.span))[..., None] * 0.7
        paint = paint * (1 - rim) + rim * (0 if random.random() < 0.6 else 255)  # noqa: PLR2004
    return np.clip(paint, 0, 255).astype(np.float32)


def _shadow(pixels: Pixels, item: _Placed, offset: int) -> Pixels:
    """Darken the picture below and to the right of the next object."""
    size = len(pixels)
    blurred = Image.new("L", (size, size))
    patch = Image.fromarray((item.mask * 110).astype(np.uint8))
    blurred.paste(patch, (item.origin[0] + offset, item.origin[1] + offset))
    blurred = blurred.filter(ImageFilter.GaussianBlur(offset * 0.8))
    return pixels * (1 - np.asarray(blurred, dtype=np.float32)[..., None] / np.float32(255))


def _visible(item: _Placed, mask: Mask) -> DrawnObject | None:
    """The visible part of an object, or None if it is too small for a box."""
    area = float(mask.sum())
    solid = mask >= 0.5  # noqa: PLR2004 - a pixel belongs to what covers half of it
    if area < _LEAST_PIXELS or not solid.any():
        return None
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    ignored = area < LEAST_VISIBLE * float(item.mask.sum())
    return DrawnObject(item.name, box, area, ignored, solid)


def _finish(random: np.random.Generator, pixels: Pixels, clutter: float) -> NDArray[np.uint8]:
    """Grain, a vignette, and for some pictures a soft lens."""
    size = len(pixels)
    down, across = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    pixels = pixels * (1 - random.uniform(0, 0.5) * (across**2 + down**2))[..., None]
    grain = random.standard_normal((size, size, 3), dtype=np.float32)
    pixels = pixels + grain * np.float32(random.uniform(1, 3 + 9 * clutter))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if random.random() < 0.3:  # noqa: PLR2004
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.4, 0.8)))
    return np.asarray(image)
