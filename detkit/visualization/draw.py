"""Boxes with names and scores on images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from detkit.structures import Detections, Target

# Okabe and Ito's colours, which people with any colour vision tell apart, without black and grey,
# then lighter ones between them; a class keeps its colour by its index.
COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0)),
    *((204, 121, 167), (140, 200, 60), (170, 120, 255), (255, 140, 130), (60, 220, 210)),
    *((190, 140, 90),),
)
IGNORED_COLOUR = (150, 150, 150)
_BACKGROUND = (24, 26, 31)
_CAPTION = (225, 228, 232)
_BRIGHT = 140  # luminance above which text on a colour is black


def to_picture(image: Tensor) -> Image.Image:
    """A (3, H, W) uint8 tensor as a picture."""
    return Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))


def colour_of(label: int) -> tuple[int, int, int]:
    """The colour of a class."""
    return COLOURS[label % len(COLOURS)]


def draw_detections(
    picture: Image.Image, detections: Detections, class_names: Sequence[str]
) -> Image.Image:
    """A copy of a picture with a labelled box for each detection, the best on top."""
    rows = zip(*(value.tolist() for value in detections), strict=True)
    boxes = [
        (box, f"{class_names[label]} {score:.2f}", colour_of(label)) for box, score, label in rows
    ]
    return _draw(picture, boxes[::-1])


def draw_target(picture: Image.Image, target: Target, class_names: Sequence[str]) -> Image.Image:
    """A copy of a picture with a labelled box for each object; ignored ones are grey."""
    rows = zip(target.boxes.tolist(), target.labels.tolist(), target.ignored.tolist(), strict=True)
    boxes = [
        (box, class_names[label], IGNORED_COLOUR if ignored else colour_of(label))
        for box, label, ignored in rows
    ]
    return _draw(picture, boxes)


Labelled = tuple[list[float], str, tuple[int, int, int]]


def _draw(picture: Image.Image, boxes: Sequence[Labelled]) -> Image.Image:
    base = picture.convert("RGB")
    short = min(base.size)
    width = max(1, round(short / 240))
    font = ImageFont.load_default(size=max(9, round(short / 34)))
    fill = Image.new("RGBA", base.size, (0, 0, 0, 0))
    painter = ImageDraw.Draw(fill)
    for box, _, colour in boxes:
        painter.rectangle(_corners(box), fill=(*colour, 28))
    base = Image.alpha_composite(base.convert("RGBA"), fill).convert("RGB")
    painter = ImageDraw.Draw(base)
    for box, _, colour in boxes:
        painter.rectangle(_corners(box), outline=colour, width=width)
    for box, text, colour in boxes:
        _write(painter, box, text, colour, font)
    return base


def _corners(box: list[float]) -> list[float]:
    left, top, right, bottom = box
    return [left, top, max(left, right - 1), max(top, bottom - 1)]


def _write(
    painter: ImageDraw.ImageDraw,
    box: list[float],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """A tag above the box, or inside it at the border of the image."""
    _, _, right, bottom = painter.textbbox((0, 0), text, font=font)
    width, height = right + 4, bottom + 3
    image_width, _ = painter.im.size  # type: ignore[union-attr]
    left = max(0, min(box[0], image_width - width))
    top = box[1] - height if box[1] >= height else box[1]
    painter.rectangle([left, top, left + width, top + height], fill=colour)
    luminance = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    painter.text(
        (left + 2, top + 1), text, fill=(0, 0, 0) if luminance > _BRIGHT else (255,) * 3, font=font
    )


def side_by_side(
    pictures: Sequence[Image.Image], captions: Sequence[str], gap: int = 6
) -> Image.Image:
    """Pictures in a row, each under its caption."""
    return grid(
        [(picture, text) for picture, text in zip(pictures, captions, strict=True)],
        len(pictures),
        gap,
    )


def grid(captioned: Sequence[tuple[Image.Image, str]], columns: int, gap: int = 6) -> Image.Image:
    """Pictures with captions in rows; cells are as large as the largest picture."""
    if not captioned:
        raise ValueError("a grid needs one picture or more")
    cell_width = max(picture.width for picture, _ in captioned)
    cell_height = max(picture.height for picture, _ in captioned)
    font = ImageFont.load_default(size=max(11, cell_width // 36))
    line = math.ceil(font.getbbox("Ag")[3]) + 8 if any(text for _, text in captioned) else 0
    rows = math.ceil(len(captioned) / columns)
    size = (columns * (cell_width + gap) + gap, rows * (cell_height + line + gap) + gap)
    sheet = Image.new("RGB", size, _BACKGROUND)
    painter = ImageDraw.Draw(sheet)
    for position, (picture, text) in enumerate(captioned):
        row, column = divmod(position, columns)
        left, top = gap + column * (cell_width + gap), gap + row * (cell_height + line + gap)
        painter.text((left + 2, top + 2), text, fill=_CAPTION, font=font)
        sheet.paste(picture, (left, top + line))
    return sheet
