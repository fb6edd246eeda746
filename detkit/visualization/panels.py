"""Sheets of several pictures: objects beside detections, grids with captions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from detkit.structures import DetectionArrays
from detkit.text import counted, shortened
from detkit.visualization.colours import IGNORED_COLOUR, Colour, class_colour
from detkit.visualization.draw import (
    detection_marks,
    draw_detections,
    draw_target,
    drawing_of,
    font_of,
    to_picture,
)

if TYPE_CHECKING:  # exported detectors draw without torch
    from torch import Tensor

    from detkit.structures import Detections, Target

OVERVIEW = "overview"  # name of the picture that combines all pictures of its folder
_PAPER: Colour = (250, 250, 248)
_INK: Colour = (32, 35, 40)
_FAINT: Colour = (120, 124, 130)
_GAP = 12
_LONGEST_SIDE = 720  # of a picture in a panel
_LETTERS = 16
_LONGEST_NAME = 24  # letters of a name in the legend; box labels show whole names


def side_by_side(
    image: Tensor | Image.Image,
    target: Target,
    detections: Detections,
    class_names: Sequence[str],
    *,
    caption: str = "",
    note: str = "",
) -> Image.Image:
    """The objects of an image on the left, its detections on the right.

    Args:
        image: (3, H, W) uint8, or a picture.
        target: The objects, in the coordinates of `image`.
        detections: The detections, in the coordinates of `image`.
        class_names: The C names, in label order.
        caption: Text below both, such as the file name.
        note: Text after the number of detections, such as the threshold.
    """
    picture, factor = resized(to_picture(image), _LONGEST_SIDE)
    target = target_in_picture(target, factor)
    detections = detections.in_picture(lambda boxes: boxes * factor, picture.size[::-1])
    ignored = int(target.ignored.sum())
    objects = counted(len(target) - ignored, "object")
    detected = counted(len(detections.scores), "detection")
    captions = [
        f"{objects}, {ignored} ignored" if ignored else objects,
        f"{detected}, {note}" if note else detected,
    ]
    pictures = [
        draw_target(picture, target, class_names),
        draw_detections(picture, detections, class_names),
    ]
    sheet = montage(pictures, captions, columns=2)
    labels = {*target.labels[~target.ignored].tolist(), *detections.labels.tolist()}
    colours = {class_names[label]: class_colour(label) for label in sorted(labels)}
    if ignored:
        colours["ignored"] = IGNORED_COLOUR
    return with_footer(sheet, caption, colours)


def target_in_picture(target: Target, factor: float) -> Target:
    """The objects of an image in a picture that is larger by a factor."""
    outlines = target.outlines and target.outlines.moved(np.diag([factor, factor, 1.0]))
    return replace(target, boxes=target.boxes * factor, outlines=outlines)


def draw_with_legend(
    image: Tensor | Image.Image,
    detections: Detections | DetectionArrays,
    class_names: Sequence[str],
) -> Image.Image:
    """An image with its detections, and a legend if some labels did not fit.

    The legend starts with the most frequent classes, as there may be no room for all.

    Args:
        image: (3, H, W) uint8, or a picture.
        detections: The detections, in the coordinates of `image`.
        class_names: The C names, in label order.
    """
    drawing = drawing_of(to_picture(image), detection_marks(detections, class_names))
    if not drawing.unlabelled:
        return drawing.picture
    labels = [label for label, _ in Counter(detections.labels.tolist()).most_common()]
    note = f"no room for {counted(drawing.unlabelled, 'label')}"
    return with_footer(drawing.picture, note, {class_names[i]: class_colour(i) for i in labels})


def montage(
    pictures: Sequence[Image.Image], captions: Sequence[str], *, columns: int | None = None
) -> Image.Image:
    """Pictures in a grid with captions above them; each cell is as large as the largest picture.

    Args:
        pictures: One or more.
        captions: One for each picture; may be empty.
        columns: Number of columns; by default about the number of rows.
    """
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    head = _LETTERS + _GAP if any(captions) else 0
    size = (_GAP + columns * (width + _GAP), _GAP + rows * (height + head + _GAP))
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    for position, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x = _GAP + position % columns * (width + _GAP)
        y = _GAP + position // columns * (height + head + _GAP)
        write(pen, (x, y + head // 2 - 2), caption, _INK, width)
        sheet.paste(picture, (x + (width - picture.width) // 2, y + head))
    return sheet


def with_footer(
    sheet: Image.Image, caption: str, colours: Mapping[str, Colour] | None = None
) -> Image.Image:
    """A sheet with a footer: the caption on the left, names with their colours on the right.

    Shows the first names that fit into half of the width.
    """
    legend = _legend(colours or {}, sheet.width / 2)
    if not caption and not legend:
        return sheet
    result = Image.new("RGB", (sheet.width, sheet.height + _LETTERS + _GAP), _PAPER)
    result.paste(sheet, (0, 0))
    pen = ImageDraw.Draw(result)
    middle, half = sheet.height + _LETTERS // 2, _LETTERS // 2 - 1
    start = sheet.width - _GAP - sum(width for _, _, width in legend)
    write(pen, (_GAP, middle), caption, _FAINT, start - 2 * _GAP)
    for name, colour, width in legend:
        chip = (start + _GAP, middle - half, start + _GAP + 2 * half, middle + half)
        pen.rectangle(chip, fill=colour)
        text = (chip[2] + half, middle)
        pen.text(text, name, fill=_INK, font=font_of(_LETTERS), anchor="lm")
        start += width
    return result


def _legend(colours: Mapping[str, Colour], room: float) -> list[tuple[str, Colour, float]]:
    """Names, colours and widths of the legend entries that fit."""
    font, fitting = font_of(_LETTERS), []
    for name, colour in colours.items():
        text = shortened(name, _LONGEST_NAME)
        width = _GAP + 1.5 * _LETTERS + font.getlength(text)
        room -= width
        if room < 0:
            break
        fitting.append((text, colour, width))
    return fitting


def write(
    pen: ImageDraw.ImageDraw, position: tuple[float, float], text: str, colour: Colour, width: float
) -> None:
    """Write text that starts at a position (left, vertical centre); if too wide, cut its start."""
    font = font_of(_LETTERS)
    visible = text
    while len(visible) > 1 and font.getlength(visible) > width:
        visible = "…" + visible[2:]
    pen.text(position, visible, fill=colour, font=font, anchor="lm")


def resized(picture: Image.Image, longest_side: int) -> tuple[Image.Image, float]:
    """A picture resized to a longest side, and its scale factor."""
    factor = longest_side / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    resampling = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS
    return picture.resize(size, resampling), factor
