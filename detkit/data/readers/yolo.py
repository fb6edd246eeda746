"""YOLO text files: one line `class cx cy w h` per object, as shares of the image."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from detkit.data.counting import counted
from detkit.data.index import Annotation, IndexBuilder
from detkit.data.pairing import describe_pairing
from detkit.data.readers.folders import (
    image_files,
    relative_name,
    require_folder,
    require_split,
)
from detkit.data.readers.yolo_labels import UnreadableLabelsError, read_labels
from detkit.data.readers.yolo_page import class_names_of, listed_splits
from detkit.data.readers.yolo_pairs import LabelFolder
from detkit.errors import DataError
from detkit.image_files import files_below
from detkit.registry import register
from detkit.structures import DatasetIndex

SPLITS = ("train", "val", "valid", "validation", "test")


def fits(path: Path) -> bool:
    """Whether a folder looks like YOLO."""
    labels = (file for file in files_below(path) if _is_label_file(path, file))
    return class_names_of(path) is not None and (
        next(labels, None) is not None or any(listed_splits(path).values())
    )


@register("reader", "yolo")
class YoloReader:
    """YOLO text labels beside images: images/train with labels/train, train/images, or flat.

    The splits are those of data.yaml where its paths exist, else the folders. Classes are the names
    of data.yaml or classes.txt in the order of the file. An image without a label file has no
    objects; a polygon counts as its bounding box.

    Args:
        class_names: Names of the classes in order; null takes those of data.yaml or classes.txt.
    """

    def __init__(self, *, class_names: list[str] | None = None) -> None:
        self.class_names = class_names

    def splits(self, path: Path) -> list[str]:
        """The splits that data.yaml or the folders name."""
        return sorted(_splits(require_folder(path)))

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split, or of all images.

        Raises:
            DataError: There are no class names, no images, no label files, or no such split.
        """
        splits = _splits(require_folder(path))
        if split is not None:
            require_split(path, split, sorted(splits))
        files = splits[split] if split is not None else image_files(path)
        names = self.class_names or class_names_of(path)
        if not names:
            raise DataError(
                f"'{path}' does not name its classes: add data.yaml with `names:` or classes.txt, "
                "one name a line, or set data.reader.class_names."
            )
        pairs = LabelFolder(path, files).pairs(files)
        if not any(pairs.files.values()):
            lone = describe_pairing(replace(pairs.pairing, images_without_annotation=[]))
            raise DataError(
                f"'{path}' has no annotations for its {counted(len(files), 'image')}: looked for "
                "text files in labels/ in place of images/, and beside the images"
                f"{'; found ' + lone if lone else ''}."
            )
        builder = IndexBuilder(root=path, class_names=names, pairing=pairs.pairing)
        users = Counter(pairs.files.values())
        for image_id, file in enumerate(files, start=1):
            if file in pairs.second_files:
                name = relative_name(file, path)
                builder.note("image", "has two label files; the one in labels/ is used", name)
            labels = pairs.files[file]
            _add(builder, image_id, file, labels, users[labels])
        return builder.build()


def _is_label_file(path: Path, file: Path) -> bool:
    if file.suffix.lower() != ".txt":
        return False
    return "labels" in file.relative_to(path).parts[:-1] or any(
        file.with_suffix(suffix).is_file() for suffix in (".jpg", ".jpeg", ".png")
    )


def _splits(path: Path) -> dict[str, list[Path]]:
    """Image files by split; empty when all lie in one place."""
    listed = listed_splits(path)
    if listed:
        return listed
    found = {}
    for split in SPLITS:
        for folder in (path / "images" / split, path / split / "images", path / split):
            files = image_files(folder) if folder.is_dir() else []
            if files:
                found[split] = files
                break
    return found


def _add(builder: IndexBuilder, image_id: int, image: Path, file: Path | None, users: int) -> None:
    """Add an image with the objects of its label file; without such a file it has none."""
    name = relative_name(image, builder.root)
    try:
        lines = read_labels(file, len(builder.class_names)) if file is not None else []
    except UnreadableLabelsError as error:
        builder.drop("image", f"its label file {error}", name)
        return
    if not builder.add_image(name, image_id):
        return
    if users > 1 and lines:
        builder.note("image", "shares its label file with another of the same name", name)
    height, width = builder.size
    for line in lines:
        place = f"label line {line.number}"
        if line.problem is not None:
            builder.drop("box", line.problem, name, place)
            continue
        left, top, right, bottom = line.shares
        if line.is_polygon:
            builder.unused["polygons"] += 1
        box = (left * width, top * height, right * width, bottom * height)
        builder.add_object(Annotation(line.label, box), place)
