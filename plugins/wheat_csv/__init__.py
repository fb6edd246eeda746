"""A reader of the Global Wheat Detection data set as Kaggle hands it out: train.csv and train/."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

from detkit import register
from detkit.data import Annotation, IndexBuilder
from detkit.errors import DataError
from detkit.structures import DatasetIndex

COLUMNS = ("image_id", "bbox")


@register("reader", "wheat_csv")
class WheatReader:
    """train.csv with a line for each box, of image_id and bbox "[x, y, width, height]"; one class.

    Images without a line have no objects, and are in the data set all the same.

    Paper: Global Wheat Head Detection (GWHD) dataset: a large and diverse dataset of
        high-resolution RGB-labelled images to develop and benchmark wheat head detection methods
        (David et al., 2020), https://arxiv.org/abs/2005.02162

    Args:
        class_name: What the one class is called.
    """

    def __init__(self, *, class_name: str = "wheat head") -> None:
        self.class_name = class_name

    def splits(self, path: Path) -> list[str]:
        """`train` alone: a share of it is held back for validation."""
        return ["train"]

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of all images.

        Raises:
            DataError: train.csv is not there or lacks a column, or there is no other split.
        """
        if split not in (None, "train"):
            raise DataError(
                f"'{path}' has boxes for its split 'train' only, not for '{split}': set "
                "data.train_split=train data.validation_split=null."
            )
        boxes = _boxes(path / "train.csv")
        builder = IndexBuilder(root=path, class_names=[self.class_name])
        for image_id, file in enumerate(sorted((path / "train").glob("*.jpg")), start=1):
            texts = boxes.pop(file.stem, [])
            if builder.add_image(f"train/{file.name}", image_id):
                for text in texts:
                    _add(builder, text)
        for name in boxes:
            builder.drop("image", "named in train.csv and not in train/", f"{name}.jpg")
        return builder.build()


def _add(builder: IndexBuilder, text: str) -> None:
    """Give the image added last the object of a cell such as "[10, 20, 5, 5]"."""
    try:
        x, y, width, height = map(float, json.loads(text))
    except (TypeError, ValueError):
        builder.drop("box", "not four numbers in brackets", builder.name, text)
        return
    builder.add_object(Annotation(0, (x, y, x + width, y + height)))


def _boxes(file: Path) -> dict[str, list[str]]:
    """The cells `bbox` of the table by image."""
    if not file.is_file():
        raise DataError(f"there is no '{file}': set data.path to the folder that holds it.")
    found: dict[str, list[str]] = defaultdict(list)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines, restval="")
        lacking = [name for name in COLUMNS if name not in (table.fieldnames or [])]
        if lacking:
            raise DataError(
                f"'{file}' lacks the column {', '.join(lacking)}: its first line must name "
                f"{' and '.join(COLUMNS)}."
            )
        for line in table:
            found[line["image_id"]].append(line["bbox"])
    return found
