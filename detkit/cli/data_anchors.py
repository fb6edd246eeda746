"""`detkit data anchors`: anchors that fit the boxes of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from detkit.cli.data_check import quiet_readers, resizing_of
from detkit.cli.data_words import build_reader, options, training_split
from detkit.data.anchor_fitting import AnchorFit, Sizes, box_sizes, fit_anchors, measure_anchors
from detkit.data.audit.evidence import read_splits
from detkit.errors import DataError, UserError
from detkit.registry import PositiveInt, Slot
from detkit.text import align_columns, counted

HELP = """
usage: detkit data anchors PATH [KEY=VALUE ...]

Fits the widths and heights of a YOLO head's anchors to the boxes of the training split: k-means
with medians and IoU as the distance, then hill climbing on the mean IoU. Prints YAML for a model
page, with the anchors sorted by area and assigned to the levels, and their fit next to that of
YOLOv5's COCO anchors.

  detkit data anchors DATA
  detkit data anchors DATA short_side=640 long_side=640 enlarge=true
  detkit data anchors DATA strides=[8,16,32,64] count=12

reader=auto           the reader of the folder; its settings are reader.KEY=VALUE
splits=[A,B]          fit to these splits instead of the training split
count=9               total number of anchors
strides=[8,16,32]     strides of the detector's levels, finest first
seeds=10              restarts; the highest mean IoU wins
short_side=640        size of the images that the detector sees, as in the transform `resize`
long_side=1066        (null: no limit)
enlarge=false
"""
# Widths and heights of YOLOv5's and YOLOv3's anchors for COCO at 640 and 416 pixels.
_COCO = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198))
COCO_ANCHORS = np.array([*_COCO, (373, 326)], dtype=np.float64)


@dataclass(frozen=True)
class Options:
    """The command's options.

    Args:
        path: Folder of the data set.
        reader: The reader of the folder.
        splits: Splits to fit to; null takes the training split.
        count: Total number of anchors.
        strides: Strides of the detector's levels, finest first.
        seeds: Number of restarts; the highest mean IoU wins.
        short_side: Length of an image's short side after resizing.
        long_side: Maximum length of the long side; null sets no limit.
        enlarge: Whether small images are enlarged.
    """

    path: str
    reader: Annotated[object, Slot("reader", "auto")]
    splits: list[str] | None = None
    count: PositiveInt = 9
    strides: tuple[PositiveInt, ...] = (8, 16, 32)
    seeds: PositiveInt = 10
    short_side: PositiveInt = 640
    long_side: PositiveInt | None = 1066
    enlarge: bool = False


def run(words: list[str]) -> int:
    """Print anchors and their fit.

    Raises:
        UserError: The anchors cannot be distributed over the levels.
        DataError: A split cannot be read, or has too few boxes.
    """
    settings = options(Options, words)
    levels = len(settings["strides"])
    if not levels or settings["count"] % levels:
        raise UserError(
            f"count={settings['count']} anchors cannot be distributed evenly over {levels} levels: "
            "use a multiple of the number of strides."
        )
    path = Path(settings["path"]).expanduser()
    with quiet_readers():
        splits, refused, _ = read_splits(build_reader(settings["reader"]), path, settings["splits"])
    if refused:
        raise DataError("; ".join(f"split '{name}': {reason}" for name, reason in refused.items()))
    if settings["splits"] is None:
        splits = [training_split(splits)]
    resizing = resizing_of(settings)
    boxes = np.concatenate([box_sizes(s.index, resizing.factors(s.index.sizes)) for s in splits])
    anchors = fit_anchors(boxes, settings["count"], seeds=settings["seeds"]).round()
    names = ", ".join(split.name for split in splits)
    rows = {
        f"fitted, {counted(len(anchors), 'anchor')}": measure_anchors(boxes, anchors),
        "COCO's of YOLOv3 and v5, 9 anchors": measure_anchors(boxes, COCO_ANCHORS),
    }
    print(f"{path}, {names}: {counted(len(boxes), 'box')} as the detector sees them\n")
    print(_table(rows))
    print("\n" + snippet(anchors, settings["strides"]))
    return 0


def _table(rows: dict[str, AnchorFit]) -> str:
    cells = [["", "mean IoU", "IoU >= 0.5", "best possible recall (sides within 4 times)"]]
    for name, fit in rows.items():
        cells.append([name, f"{fit.mean_iou:.3f}", f"{fit.half:.1%}", f"{fit.recall:.1%}"])
    return "\n".join(align_columns(cells, (1, 2)))


def snippet(anchors: Sizes, strides: list[int]) -> str:
    """Anchors (K, 2), smallest first, as YAML for a model page."""
    levels = anchors.astype(int).reshape(len(strides), -1, 2).tolist()
    lines = [
        "model:",
        "  head:",
        "    priors:",
        "      name: anchor_sizes",
        "      sizes:  # width, height; finest level first",
    ]
    lines += [f"        - {level}  # stride {s}" for level, s in zip(levels, strides, strict=True)]
    return "\n".join(lines)
