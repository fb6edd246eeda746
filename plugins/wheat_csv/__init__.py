"""A reader of the Global Wheat Detection data set in Kaggle's form: train.csv and train/."""

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
    """train.csv with a line for each box: image_id and bbox "[x, y, width, height]"; one class.

    Images without a line are part of the data set and have no objects.

    Paper: Global Wheat Head Detection (GWHD) dataset: a large and diverse dataset of
        high-resolution RGB-labelled images to develop and benchmark wheat head detection methods
        (David et al., 2020), https://arxiv.org/abs/2005.02162

    Args:
        class_name: Name of the class.
    """

    def __init__(self, *, class_name: str = "wheat head") -> None:
        self.class_name = class_name

    def splits(self, path: Path) -> list[str]:
        """Only `train`; a part of it is held back for validation."""
        return ["train"]

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of all images.

        Raises:
            DataError: train.csv is missing or lacks a column, or the split is not `train`.
        """
        if split not in (None, "train"):
            raise DataError(
                f"'{path}' has boxes only for its split 'train', not for '{split}': set "
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
            builder.drop("image", "in train.csv but not in train/", f"{name}.jpg")
        return builder.build()


def _add(builder: IndexBuilder, text: str) -> None:
    """Add the object of a cell such as "[10, 20, 5, 5]" to the latest image."""
    try:
        x, y, width, height = map(float, json.loads(text))
    except (TypeError, ValueError):
        builder.drop("box", "not four numbers in brackets", builder.name, text)
        return
    builder.add_object(Annotation(0, (x, y, x + width, y + height)))


def _boxes(file: Path) -> dict[str, list[str]]:
    """The `bbox` cells of the table by image."""
    if not file.is_file():
        raise DataError(f"there is no '{file}': set data.path to the folder that holds it.")
    cells: dict[str, list[str]] = defaultdict(list)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines, restval="")
        missing = [name for name in COLUMNS if name not in (table.fieldnames or [])]
        if missing:
            raise DataError(
                f"'{file}' lacks the column {', '.join(missing)}: its first line must name "
                f"{' and '.join(COLUMNS)}."
            )
        for line in table:
            cells[line["image_id"]].append(line["bbox"])
    return cells
