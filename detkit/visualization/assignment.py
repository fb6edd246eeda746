"""Pictures of an assignment: the priors of each level that are responsible for objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from detkit.structures import IGNORED, Priors, Target
from detkit.visualization.colours import Colour, class_colour
from detkit.visualization.draw import Mark, draw_marks, to_picture
from detkit.visualization.panels import montage, resized, with_footer

_CELL = 460  # longest side of a panel
_LOST: Colour = (225, 20, 30)
_IGNORED: Colour = (60, 62, 66)
_PAPER = Image.new("RGB", (1, 1), (255, 255, 255))
_FADED = 0.35  # share of white blended into the picture, to make marks visible
_FAINTEST, _STRONGEST = 30, 170  # opacity of anchors' outlines: many are drawn fainter


def assignment_rows(
    image: Tensor, target: Target, name: str, priors: Priors, matched: Tensor
) -> tuple[list[Image.Image], list[str]]:
    """A panel and a caption for each level.

    Dots are cells with positive priors, in the colour of the object; more priors make a larger dot.
    Thin outlines are positive anchors. Grey crosses are cells with ignored priors. Dashed red boxes
    are objects without a prior on any level.

    Args:
        image: (3, H, W) uint8.
        target: The objects that `matched` refers to.
        name: The beginning of each caption.
        priors: The P priors.
        matched: (P,) as in Assignment.
    """
    picture, factor = resized(to_picture(image), _CELL)
    faded = Image.blend(picture, _PAPER.resize(picture.size), _FADED)
    positives = matched[matched >= 0].bincount(minlength=len(target)).tolist()
    boxes = (target.boxes * factor).tolist()
    marks = [
        Mark(tuple(box), "", class_colour(number) if count else _LOST, dashed=not count)
        for number, (box, count) in enumerate(zip(boxes, positives, strict=True))
    ]
    scaled = priors._replace(boxes=priors.boxes * factor, stride=priors.stride * factor)
    panels, captions = [], []
    for level in range(int(priors.level.max()) + 1 if len(priors.level) else 0):
        on_level = priors.level == level
        level_matched = matched[on_level]
        panel = draw_marks(faded, marks)
        _draw_priors(panel, scaled.boxes[on_level], scaled.stride[on_level], level_matched)
        panels.append(panel)
        stride = f"{float(priors.stride[on_level][0]):g}" if len(level_matched) else "-"
        ignored = int((level_matched == IGNORED).sum())
        more = f", {ignored} ignored" if ignored else ""
        captions.append(
            f"{name}, stride {stride}: {int((level_matched >= 0).sum())} positive{more}"
        )
    return panels, captions


def assignment_sheet(
    rows: Sequence[tuple[list[Image.Image], list[str]]], caption: str
) -> Image.Image:
    """A row for each assigner, levels from left to right."""
    columns = max(len(panels) for panels, _ in rows)
    pictures: list[Image.Image] = []
    captions: list[str] = []
    for panels, texts in rows:
        missing = columns - len(panels)
        pictures += [*panels, *(Image.new("RGB", (1, 1), (250, 250, 248)) for _ in range(missing))]
        captions += [*texts, *[""] * missing]
    legend = {"object without positives": _LOST, "ignored": _IGNORED}
    return with_footer(montage(pictures, captions, columns=columns), caption, legend)


def _draw_priors(panel: Image.Image, boxes: Tensor, stride: Tensor, matched: Tensor) -> None:
    pen = ImageDraw.Draw(panel, "RGBA")
    cells: Counter[tuple[float, float, int]] = Counter()
    opacity = min(max(9000 // max(int((matched >= 0).sum()), 1), _FAINTEST), _STRONGEST)
    for state in (IGNORED, 0):
        selected = (matched == IGNORED) if state == IGNORED else (matched >= 0)
        columns = (boxes[selected].tolist(), stride[selected].tolist(), matched[selected].tolist())
        for box, step, number in zip(*columns, strict=True):
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            cells[x, y, number] += 1
            pointlike = abs(box[2] - box[0] - step) < 0.01 * step  # one percent
            if number >= 0 and not pointlike:
                pen.rectangle(tuple(box), outline=(*class_colour(number), opacity))
    for (x, y, number), count in cells.items():
        radius = 2.0 + count**0.5
        around = (x - radius, y - radius, x + radius, y + radius)
        if number >= 0:
            pen.ellipse(around, fill=(*class_colour(number), 255), outline=(0, 0, 0, 255))
        else:
            pen.line(around, fill=(*_IGNORED, 255))
            pen.line((around[0], around[3], around[2], around[1]), fill=(*_IGNORED, 255))
