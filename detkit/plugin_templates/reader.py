"""A reader: a data set on disk to an index of images and objects."""

from __future__ import annotations

import csv
from pathlib import Path

from detkit import register
from detkit.data import Annotation, IndexBuilder
from detkit.errors import DataError, did_you_mean
from detkit.structures import DatasetIndex

COLUMNS = ("image", "class", "x1", "y1", "x2", "y2")


@register("reader", "my_reader")
class MyReader:
    """One CSV file per split, next to the images, with one line per object.

    The first line is `image,class,x1,y1,x2,y2`. Images are named relative to the folder of the
    file; boxes are absolute pixels. An image without objects has one line with only its name.

    Args:
        class_names: Names of the classes in order; null uses the sorted names in all files.
    """

    def __init__(self, *, class_names: list[str] | None = None) -> None:
        self.class_names = class_names

    def splits(self, path: Path) -> list[str]:
        """The names of the CSV files."""
        return sorted(file.stem for file in path.glob("*.csv"))

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """Read a split, or all images.

        Raises:
            DataError: There is no such file, or a column is missing.
        """
        splits = self.splits(path)
        if not splits or (split is not None and split not in splits):
            raise DataError(
                f"'{path}' has no {split or '*'}.csv.{did_you_mean(split or '', splits)} Its CSV "
                f"files: {', '.join(splits) or 'none'}. Set data.path to the folder of the files."
            )
        rows = {name: _rows(path / f"{name}.csv") for name in splits}
        # From all files, so that all splits have the same classes.
        present = sorted({row["class"] for lines in rows.values() for row in lines} - {""})
        names = self.class_names or present
        builder = IndexBuilder(root=path, class_names=names)
        requested = splits if split is None else [split]
        by_image: dict[str, list[dict[str, str]]] = {}
        for row in (row for name in requested for row in rows[name]):
            by_image.setdefault(row["image"], []).append(row)
        for image_id, (image, lines) in enumerate(sorted(by_image.items()), start=1):
            if builder.add_image(image, image_id):  # otherwise the builder reports why not
                _add_objects(builder, lines, names)
        return builder.build()


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, restval="")
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise DataError(
                f"'{file}' lacks the columns {', '.join(missing)}: its first line must be "
                f"{','.join(COLUMNS)}."
            )
        return list(reader)


def _add_objects(builder: IndexBuilder, lines: list[dict[str, str]], names: list[str]) -> None:
    for row in lines:
        if row["class"] == "":  # the line of an image without objects
            continue
        if row["class"] not in names:
            builder.drop("box", "its class is not in class_names", builder.name, row["class"])
            continue
        try:
            x1, y1, x2, y2 = (float(row[side]) for side in COLUMNS[2:])
        except ValueError:
            builder.drop("box", "its sides are not numbers", builder.name, str(row))
            continue
        builder.add_object(Annotation(names.index(row["class"]), (x1, y1, x2, y2)))
