"""YOLO text files: one line `class cx cy w h` per object, as shares of the image."""

from __future__ import annotations

from pathlib import Path

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.readers.folders import image_files, relative_name, require_folder, require_split
from detkit.data.readers.yolo_page import class_names_of, listed_splits
from detkit.errors import DataError
from detkit.registry import register
from detkit.structures import DatasetIndex

SPLITS = ("train", "val", "valid", "validation", "test")
_BOX_VALUES = 4
_POLYGON_VALUES = 6  # three corners


def fits(path: Path) -> bool:
    """Whether a folder looks like YOLO."""
    labels = (file for file in path.rglob("*.txt") if _label_folder(path, file))
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
        if not any(label_file(path, file).is_file() for file in files):
            raise DataError(
                f"'{path}' has no annotations for its {len(files)} images: looked for text files "
                "in labels/ in place of images/, and beside the images."
            )
        builder = IndexBuilder(root=path, class_names=names)
        for image_id, file in enumerate(files, start=1):
            if builder.add_image(relative_name(file, path), image_id):
                _add_objects(builder, label_file(path, file), len(names))
        return builder.build()


def label_file(path: Path, image: Path) -> Path:
    """The text file of an image: in labels/ in place of images/, else beside the image."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, len(path.parts) - 1, -1):
        if parts[place] == "images":
            swapped = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
            beside = image.with_suffix(".txt")
            return beside if not swapped.is_file() and beside.is_file() else swapped
    return image.with_suffix(".txt")


def _label_folder(path: Path, file: Path) -> bool:
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


def _add_objects(builder: IndexBuilder, file: Path, class_count: int) -> None:
    if not file.is_file():
        return
    name = relative_name(file, builder.root)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        builder.drop("label file", "unreadable", name)
        return
    for line in lines:
        values = line.split()
        if not values:
            continue
        annotation = _parse(values, builder.size)
        if annotation is None:
            builder.drop("box", "not `class cx cy w h`", name)
        elif not 0 <= annotation.label < class_count:
            builder.drop("box", f"class {annotation.label} of {class_count}", name)
        else:
            builder.add_object(annotation)


def _parse(values: list[str], size: tuple[int, int]) -> Annotation | None:
    """The object of a line, or None where the line is not of the format."""
    height, width = size
    try:
        label = float(values[0])
        numbers = [float(value) for value in values[1:]]
    except ValueError:
        return None
    if not label.is_integer():
        return None
    if len(numbers) == _BOX_VALUES:
        x, y, w, h = numbers
        left, top, right, bottom = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    elif len(numbers) >= _POLYGON_VALUES and len(numbers) % 2 == 0:
        across, down = numbers[0::2], numbers[1::2]
        left, top, right, bottom = min(across), min(down), max(across), max(down)
    else:
        return None
    return Annotation(int(label), (left * width, top * height, right * width, bottom * height))
