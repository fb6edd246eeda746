"""YOLO text files: one line `class cx cy w h` per object, as shares of the image."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.pairing import describe_pairing
from detkit.data.readers.folder_checks import (
    image_files,
    relative_name,
    require_folder,
    require_split,
)
from detkit.data.readers.image_lists import ListedImages
from detkit.data.readers.yolo_data_file import (
    page_below,
    read_page,
    report_other_pages,
    require_page_here,
)
from detkit.data.readers.yolo_formats import LineCounts
from detkit.data.readers.yolo_labels import LabelFormat, UnreadableLabelsError, read_labels
from detkit.data.readers.yolo_names import class_names_of
from detkit.data.readers.yolo_pairs import LabelFolder, LabelPairs, looks_like_labels
from detkit.data.readers.yolo_splits import split_images, split_names
from detkit.errors import DataError
from detkit.image_files import files_below
from detkit.registry import register
from detkit.structures import DatasetIndex
from detkit.text import counted

_LOOKED_AT = 200  # text files to open in search of labels


def fits(path: Path) -> bool:
    """Whether a folder looks like YOLO."""
    page = read_page(path)
    if page_below(path) is not None or class_names_of(path, page) is None:
        return False
    if page.declared:
        return True
    texts = (file for file in files_below(path) if file.suffix.lower() == ".txt")
    return any(looks_like_labels(file) for file in islice(texts, _LOOKED_AT))


@register("reader", "yolo")
class YoloReader:
    """YOLO text labels: images/train with labels/train, train/images, Darknet lists, or flat.

    Splits are the entries of data.yaml or obj.data, else lists such as train.txt, else folders.
    Classes are the names in the same file, or in classes.txt, in its order. An image without a
    label file has no objects. Polygons and oriented boxes become their axis-aligned bounding boxes;
    key points are left out.

    Args:
        class_names: Names of the classes in order; null reads them from data.yaml or classes.txt.
    """

    def __init__(self, *, class_names: list[str] | None = None) -> None:
        self.class_names = class_names

    def splits(self, path: Path) -> list[str]:
        """The splits that data.yaml, obj.data, lists or folders name."""
        require_page_here(require_folder(path))
        report_other_pages(path)
        return split_names(path, read_page(path))

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split, or of all images.

        Raises:
            DataError: There are no class names, no images, no label files, or no such split; or
                most lines have another format.
        """
        require_page_here(require_folder(path))
        page = read_page(path)
        if split is None:
            listed = ListedImages(image_files(path), [])
        else:
            require_split(path, split, split_names(path, page))
            listed = split_images(path, page, split)
        names = self.class_names or class_names_of(path, page)
        if not names:
            raise DataError(
                f"'{path}' does not name its classes: add data.yaml with `names:` or classes.txt, "
                "one name a line, or set data.reader.class_names."
            )
        pairs = LabelFolder(path, listed.images).pairs(listed.images)
        if not any(pairs.files.values()):
            raise _no_labels(path, pairs)
        builder = IndexBuilder(root=path, class_names=names)
        for note in listed.notes:
            builder.note(note.what, note.why, note.name, note.detail)
        _add_all(builder, pairs, LabelFormat(names, page.key_points))
        return builder.build()


def _no_labels(path: Path, pairs: LabelPairs) -> DataError:
    lone = describe_pairing(replace(pairs.pairing, images_without_annotation=[]))
    return DataError(
        f"'{path}' has no annotations for its {counted(len(pairs.files), 'image')}: looked for "
        f"text files in labels/ in place of images/, and beside the images"
        f"{'; found ' + lone if lone else ''}."
    )


def _add_all(builder: IndexBuilder, pairs: LabelPairs, label_format: LabelFormat) -> None:
    """Add the images of a split with their objects."""
    users = Counter(pairs.files.values())
    counts = LineCounts(label_format)
    unusable = set()
    for image_id, (image, file) in enumerate(pairs.files.items(), start=1):
        name = relative_name(image, builder.root)
        if image in pairs.second_files:
            builder.note("image", "has two label files; the one in labels/ is used", name)
        lines = _add(builder, image_id, name, file, counts)
        if lines is None:
            unusable.add(name)
        if lines and users[file] > 1:
            builder.note("image", "shares its label file with another image of the same name", name)
    counts.refuse_other_formats()
    counts.refuse_numbers_from_one()
    counts.report(builder.root)
    builder.unused.update(counts.unused)
    lone = [n for n in pairs.pairing.images_without_annotation if n not in unusable]
    builder.pairing = replace(pairs.pairing, images_without_annotation=lone)


def _add(
    builder: IndexBuilder, image_id: int, name: str, file: Path | None, counts: LineCounts
) -> int | None:
    """Add an image with the objects of its label file.

    Returns:
        How many lines the file has; None if the image cannot be used.
    """
    try:
        lines = read_labels(file, counts.label_format) if file is not None else []
    except UnreadableLabelsError as error:
        builder.drop("image", f"its label file {error}", name)
        return None
    if file is not None:
        counts.add(file, lines)
    if not builder.add_image(name, image_id):
        return None
    height, width = builder.size
    for line in lines:
        location = f"label line {line.number}"
        if line.problem is not None:
            builder.drop("box", line.problem, name, location)
            continue
        x1, y1, x2, y2 = line.shares
        box = (x1 * width, y1 * height, x2 * width, y2 * height)
        builder.add_object(Annotation(line.label, box), location)
    return len(lines)
