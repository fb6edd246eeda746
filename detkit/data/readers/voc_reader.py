"""Pascal VOC: one XML file per image."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.readers.folder_checks import (
    image_files,
    lines_of,
    relative_name,
    require_distinct,
    require_folder,
    require_split,
)
from detkit.data.readers.nearby_data_sets import parent_with_images
from detkit.data.readers.voc_files import (
    VocPages,
    annotation_files,
    has_annotations,
    is_any_page,
    read_pages,
    unread_files,
)
from detkit.data.readers.voc_images import PageImage, images_of_pages, pairing_of
from detkit.data.readers.voc_splits import NameTable, list_folders, refuse_empty, splits_of
from detkit.data.readers.voc_xml import Marks, Page
from detkit.errors import DataError
from detkit.registry import register
from detkit.structures import DatasetIndex
from detkit.text import agree, counted

LOGGER = logging.getLogger("detkit.data")
CLASS_LIST = "classes.txt"


def fits(path: Path) -> bool:
    """Whether there are Pascal VOC annotations in a folder or below."""
    return has_annotations(path)


@register("reader", "voc")
class VocReader:
    """Pascal VOC: XML files and images in one folder or in any two folders, and split lists.

    The splits are the lists in ImageSets/Main, else the folders (train/, valid/, test/). Pixels are
    1-based and inclusive in the files, so xmin and ymin lose 1. Difficult objects are ignored.
    Classes are the sorted names of all annotations in the folder, so that splits agree; names in a
    classes.txt in the data folder come first, in its order.

    Args:
        ignore_difficult: Take objects marked difficult neither as positives nor as negatives.
        annotations: Folder of the XML files, relative to the data folder; `{split}` is replaced by
            the split; null searches the data folder.
        images: Folder of the images, in the same form; null searches the data folder.
    """

    def __init__(
        self,
        *,
        ignore_difficult: bool = True,
        annotations: str | None = None,
        images: str | None = None,
    ) -> None:
        self.ignore_difficult = ignore_difficult
        self.annotations = annotations
        self.images = images

    def splits(self, path: Path) -> list[str]:
        """The splits that lists or folders state."""
        files = annotation_files(require_folder(path), self.annotations)
        splits = splits_of(path, files)
        folders = list_folders(path)
        if len(folders) > 1:
            names = ", ".join(relative_name(folder.parent.parent, path) for folder in folders)
            LOGGER.info("%s: reading several Pascal VOC data sets as one: %s", path, names)
        unread = [] if self.annotations is not None else unread_files(path)
        if unread and is_any_page(unread):
            LOGGER.info(
                "%s: %s outside the annotation folder %s not read, such as %s (to choose, "
                "set data.reader=voc data.reader.annotations=FOLDER)",
                path,
                counted(len(unread), "XML file"),
                agree(len(unread), "is", "are"),
                relative_name(unread[0], path),
            )
        return sorted(splits)

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split, or of all annotations.

        Raises:
            DataError: There are no annotations, no images, or no such split.
        """
        files = annotation_files(require_folder(path), self.annotations)
        voc = read_pages(path, files)
        class_names = _class_names(path, voc.pages)
        label_of = {name: label for label, name in enumerate(class_names)}
        images = self._images(path, split)
        located = images_of_pages(path, voc.pages, images)
        lines = _lines(path, split, files) or sorted([*voc.pages, *voc.unreadable])
        builder = IndexBuilder(root=path, class_names=class_names)
        table = NameTable(files)
        names = [table.find(line) or line for line in lines]
        for image_id, name in enumerate(names, start=1):
            if name not in voc.pages:
                _drop_page(builder, name, voc)
            elif located[name].image is None:
                _drop_unclear(builder, name, located[name])
            elif builder.add_image(str(located[name].image), image_id, voc.pages[name].size):
                self._add_objects(builder, voc.pages[name], label_of)
        is_list = split is not None and (list_folders(path) or set(lines) - set(files))
        builder.pairing = pairing_of(path, names, located, [] if is_list else images)
        return builder.build()

    def _images(self, path: Path, split: str | None) -> list[Path]:
        """All images, or those in the folder that the user set.

        Raises:
            DataError: There are none.
        """
        folders = [path]
        if self.images is not None:
            folders = sorted(path.glob(self.images.replace("{split}", split or "*")))
        images = [file for folder in folders for file in image_files(folder)]
        if not images:
            raise DataError(_no_images(path, self.images))
        return images

    def _add_objects(self, builder: IndexBuilder, page: Page, label_of: dict[str, int]) -> None:
        builder.unused.update(page.unused)
        for number, item in enumerate(page.objects, start=1):
            label = _label(number)
            if item.problem is not None:
                builder.drop("box", item.problem, builder.name, label)
                continue
            ignored = item.difficult and self.ignore_difficult
            builder.add_object(Annotation(label_of[item.name], item.box, ignored), label)


def marks_of(path: Path, indices: Iterable[DatasetIndex]) -> dict[Path, list[Marks]]:
    """The marks of each object that VocReader read, in its order, by image file.

    Images that several XML files annotate are left out.
    """
    left_out = {
        (fault.name, fault.detail)
        for index in indices
        for fault in index.faults
        if fault.what == "box" and fault.left_out
    }
    pages = read_pages(path, annotation_files(path)).pages
    located = images_of_pages(path, pages, image_files(path))
    shared = {result.instead_of for result in located.values()}
    return {
        path / str(located[name].image): [
            item.marks
            for number, item in enumerate(page.objects, start=1)
            if (located[name].image, _label(number)) not in left_out
        ]
        for name, page in pages.items()
        if located[name].image is not None and f"{name}.xml" not in shared
    }


def _drop_page(builder: IndexBuilder, name: str, voc: VocPages) -> None:
    if name in voc.unreadable:
        builder.drop("annotation file", "unreadable XML", f"{name}.xml", voc.unreadable[name])
    else:
        builder.drop("annotation file", "missing", f"{name}.xml")


def _drop_unclear(builder: IndexBuilder, name: str, result: PageImage) -> None:
    """Leave out an XML file with several possible images; one without an image is counted later."""
    if result.candidates:
        files = ", ".join(result.candidates)
        builder.drop("image", "several files of one name", name, files)
    elif result.instead_of:
        reason = "another XML file annotates its image"
        builder.drop("annotation file", reason, f"{name}.xml", result.instead_of)


def _no_images(path: Path, images: str | None) -> str:
    """The message that there are XML files but no images."""
    count = counted(len(annotation_files(path)), "XML file")
    if images is not None:
        return (
            f"there are no images in '{path / images}': correct data.reader.images, which is "
            "relative to data.path."
        )
    text = f"'{path}' holds {count} but no images."
    parent = parent_with_images(path, [name.rpartition("/")[2] for name in annotation_files(path)])
    if parent is not None:
        return f"{text} The folder above has them: set data.path to '{parent}'."
    return f"{text} Copy the images there, or set data.path to the folder above both."


def _label(number: int) -> str:
    return f"object {number}"


def _class_names(path: Path, pages: Mapping[str, Page]) -> list[str]:
    listed = lines_of(path / CLASS_LIST) if (path / CLASS_LIST).is_file() else []
    require_distinct(path / CLASS_LIST, listed)
    used = {item.name for page in pages.values() for item in page.objects} - {"", *listed}
    return [*listed, *sorted(used)]


def _lines(path: Path, split: str | None, files: Mapping[str, Path]) -> list[str]:
    """The lines of a split's list, or the names of its XML files; none without a split."""
    if split is None:
        return []
    splits = splits_of(path, files)
    require_split(path, split, sorted(splits))
    refuse_empty(path, split, splits[split])
    return splits[split]
