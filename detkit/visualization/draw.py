"""Draw boxes with labels on a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from detkit.structures import DetectionArrays
from detkit.structures.mask_window import MaskWindow
from detkit.visualization.colours import IGNORED_COLOUR, Colour, class_colour, text_colour
from detkit.visualization.labels import Rectangle, place_labels
from detkit.visualization.mask_drawing import paint_mask

if TYPE_CHECKING:  # exported detectors draw without torch
    from torch import Tensor

    from detkit.structures import Detections, Target

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_SMALLEST = 448  # longest side below which a picture is enlarged to make room for text
_CASING, _LABEL = 110, 225  # opacities out of 255
_COLOURS = 3  # channels
_SMALLEST_TEXT = 10  # pixels
_THIN = 30  # a line is at most 1/30 of its box's side, so that small objects stay visible


@dataclass(frozen=True)
class Mark:
    """One box to draw.

    Attributes:
        box: (left, top, right, bottom) in pixels of the image.
        text: Text of the label; if empty, no label is drawn.
        colour: Colour of the line and the label.
        dashed: Whether the line is dashed, as for ignored objects.
        mask: The pixels of the object, if known.
    """

    box: tuple[float, float, float, float]
    text: str
    colour: Colour
    dashed: bool = False
    mask: MaskWindow | None = field(default=None, compare=False)


def to_picture(image: Tensor | Image.Image) -> Image.Image:
    """An RGB copy of an image tensor (C, H, W) or of a PIL image."""
    if isinstance(image, Image.Image):
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    return pixels_to_picture(image.detach().cpu().permute(1, 2, 0).contiguous().numpy())


def pixels_to_picture(pixels: NDArray[Any]) -> Image.Image:
    """An RGB picture of pixels (H, W, C) from 0 to 255.

    With three channels or more, the first three are red, green and blue; with fewer, the first one
    is grey.
    """
    if pixels.dtype != np.uint8:
        pixels = pixels.clip(0, 255).round().astype(np.uint8)
    if pixels.shape[2] < _COLOURS:
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0])).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(pixels[..., :_COLOURS]))


def draw_detections(
    image: Tensor | Image.Image,
    detections: Detections | DetectionArrays,
    class_names: Sequence[str],
) -> Image.Image:
    """A copy of an image with the box, mask, class and score of each detection, best on top.

    Labels that would hide an object are left out.
    """
    return draw_marks(to_picture(image), detection_marks(detections, class_names))


def draw_target(
    image: Tensor | Image.Image, target: Target, class_names: Sequence[str]
) -> Image.Image:
    """A copy of an image with each object's box, mask and class; ignored ones grey and dashed."""
    picture = to_picture(image)
    return draw_marks(picture, target_marks(target, class_names, picture.size[::-1]))


def detection_marks(
    detections: Detections | DetectionArrays, class_names: Sequence[str]
) -> list[Mark]:
    """Marks with class and score, best detections first."""
    columns = [value.tolist() for value in detections]
    masks = detections.masks
    windows = [None if masks is None else masks.window(n) for n in range(len(columns[0]))]
    return [
        Mark(tuple(box), f"{class_names[label]} {score:.2f}", class_colour(label), mask=window)
        for box, score, label, window in sorted(
            zip(*columns, windows, strict=True), key=itemgetter(1), reverse=True
        )
    ]


def target_marks(
    target: Target, class_names: Sequence[str], size: tuple[int, int] | None = None
) -> list[Mark]:
    """Marks with the class of each object.

    Args:
        target: The objects.
        class_names: The C names, in label order.
        size: (height, width) of the image, to mark masks too.
    """
    windows: list[MaskWindow | None] = [None] * len(target)
    if size is not None and target.outlines is not None:
        bitmaps = (target.outlines.bitmap(n, size) for n in range(len(target)))
        windows = [MaskWindow.around(bitmap) for bitmap in bitmaps]
    columns = (target.boxes.tolist(), target.labels.tolist(), target.ignored.tolist())
    return [
        Mark(
            tuple(box),
            class_names[label],
            IGNORED_COLOUR if ignored else class_colour(label),
            ignored,
            window,
        )
        for box, label, ignored, window in zip(*columns, windows, strict=True)
    ]


def draw_marks(picture: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """A picture with marks; see `drawing_of`."""
    return drawing_of(picture, marks).picture


class Drawing(NamedTuple):
    """A picture with boxes.

    Attributes:
        picture: The picture.
        unlabelled: Number of boxes whose label found no free position.
    """

    picture: Image.Image
    unlabelled: int


def drawing_of(picture: Image.Image, marks: Sequence[Mark]) -> Drawing:
    """Draw marks on a copy of a picture, the first ones on top; a tiny picture is enlarged.

    Labels that would hide an object or another label are left out.
    """
    factor = max(1, -(-_SMALLEST // max(picture.size)))
    if factor > 1:
        larger = (picture.width * factor, picture.height * factor)
        picture = picture.resize(larger, Image.Resampling.BICUBIC)
    picture = picture.copy()
    pen = ImageDraw.Draw(picture, "RGBA")  # RGBA: blends translucent colours
    width = line_width(picture.size)
    boxes = [_drawn_box(mark.box, factor, picture.size) for mark in marks]
    for mark in reversed(marks):
        if mark.mask is not None:
            paint_mask(picture, mark.mask, mark.colour, factor=factor, width=width - 1)
    for mark, box in reversed(list(zip(marks, boxes, strict=True))):
        side = math.sqrt((box.right - box.left) * (box.bottom - box.top))
        _draw_box(pen, box, mark, max(1, min(width, round(side / _THIN))))
    return Drawing(picture, _draw_labels(pen, marks, boxes, picture.size))


def line_width(size: tuple[int, int]) -> int:
    """The line width of boxes in a picture of size (width, height)."""
    return max(2, round(max(size) / 280))


def text_size(size: tuple[int, int]) -> int:
    """The text height in a picture of size (width, height)."""
    return max(12, round(max(size) / 50))


def font_of(height: int) -> Font:
    """Pillow's own font at a height in pixels."""
    return ImageFont.load_default(height)


def _drawn_box(
    box: tuple[float, float, float, float], factor: int, size: tuple[int, int]
) -> Rectangle:
    """A box in whole pixels of the picture, at least 1 x 1."""
    x1, y1 = (min(max(round(box[i] * factor), 0), size[i] - 1) for i in (0, 1))
    x2, y2 = (min(max(round(box[i + 2] * factor), 1), size[i]) for i in (0, 1))
    return Rectangle(x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))


def _draw_box(pen: ImageDraw.ImageDraw, box: Rectangle, mark: Mark, width: int) -> None:
    """Draw the outline of a box with a thin dark casing that keeps it visible anywhere."""
    edges = (box.left, box.top, box.right - 1, box.bottom - 1)
    around = (edges[0] - 1, edges[1] - 1, edges[2] + 1, edges[3] + 1)
    if mark.dashed:
        for line in _dashes(box, 4 * width):
            pen.line(line, fill=(0, 0, 0, _CASING), width=width + 2)
            pen.line(line, fill=(*mark.colour, 255), width=width)
        return
    pen.rectangle(around, outline=(0, 0, 0, _CASING), width=width + 2)
    pen.rectangle(edges, outline=(*mark.colour, 255), width=width)


def _dashes(box: Rectangle, length: int) -> list[tuple[float, float, float, float]]:
    """The dashes of an outline."""
    x1, y1, x2, y2 = box.left, box.top, box.right - 1, box.bottom - 1
    pieces: list[tuple[float, float, float, float]] = []
    for start in range(int(x1), int(x2) + 1, 2 * length):
        end = min(start + length, x2)
        pieces += [(start, y1, end, y1), (start, y2, end, y2)]
    for start in range(int(y1), int(y2) + 1, 2 * length):
        end = min(start + length, y2)
        pieces += [(x1, start, x1, end), (x2, start, x2, end)]
    return pieces


def _draw_labels(
    pen: ImageDraw.ImageDraw,
    marks: Sequence[Mark],
    boxes: Sequence[Rectangle],
    size: tuple[int, int],
) -> int:
    """Draw labels, the first marks first; return the number of labels left out."""
    heights = [text_size(size), max(_SMALLEST_TEXT, text_size(size) * 3 // 4)]
    fonts = [font_of(height) for height in heights]
    sizes = [[_plate_size(mark.text, font) for font in fonts] for mark in marks]
    placements = place_labels(boxes, sizes, (size[1], size[0]))
    for mark, placement in reversed(list(zip(marks, placements, strict=True))):
        if placement is None or not mark.text:
            continue
        plate, font = placement.rectangle, fonts[placement.size]
        pen.rectangle(
            (plate.left, plate.top, plate.right - 1, plate.bottom - 1), fill=(*mark.colour, _LABEL)
        )
        margin = _margin(font)
        start = (plate.left + margin, plate.top + margin // 2 + _line_of(font)[0])
        pen.text(start, mark.text, fill=(*text_colour(mark.colour), 255), font=font, anchor="ls")
    return placements.count(None)


def _plate_size(text: str, font: Font) -> tuple[int, int]:
    """(height, width) of a label; (0, 0) without text."""
    if not text:
        return 0, 0
    return sum(_line_of(font)) + _margin(font), round(font.getlength(text)) + 2 * _margin(font)


def _margin(font: Font) -> int:
    """Pixels around the text of a label."""
    return max(2, _line_of(font)[0] // 4)


def _line_of(font: Font) -> tuple[int, int]:
    """(ascent, descent) of a line of text, the same for all labels."""
    _, top, _, bottom = font.getbbox("Ag", anchor="ls")
    return -round(top), round(bottom)
