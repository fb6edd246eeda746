"""Pascal VOC: one XML file per image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.readers.folders import (
    files_with_suffix,
    first_folder,
    lines_of,
    relative_name,
    require_distinct,
    require_folder,
    require_split,
)
from detkit.data.readers.voc_page import Marks, Page, UnreadablePageError, read_page
from detkit.errors import DataError
from detkit.image_files import SUFFIXES, is_image_file
from detkit.registry import register
from detkit.structures import DatasetIndex

ANNOTATION_FOLDERS = ("Annotations", "annotations", "xmls")
IMAGE_FOLDERS = ("JPEGImages", "images", "Images")
CLASS_LIST = "classes.txt"


def fits(path: Path) -> bool:
    """Whether a folder looks like Pascal VOC."""
    folder = first_folder(path, ANNOTATION_FOLDERS)
    return folder is not None and bool(files_with_suffix(folder, ".xml"))


@register("reader", "voc")
class VocReader:
    """Pascal VOC folders: Annotations/*.xml, JPEGImages/ and ImageSets/Main/*.txt.

    Pixels are 1-based and inclusive in the files, so xmin and ymin lose 1. Difficult objects are
    ignored. Classes are the sorted names over all annotations of the folder, so that splits agree;
    those of a classes.txt beside Annotations/ come first, in its order.

    Args:
        ignore_difficult: Take objects marked difficult neither as positives nor as negatives.
    """

    def __init__(self, *, ignore_difficult: bool = True) -> None:
        self.ignore_difficult = ignore_difficult

    def splits(self, path: Path) -> list[str]:
        """The lists of ImageSets/Main; those of single classes (`cat_train.txt`) are left out."""
        return sorted(_split_files(require_folder(path)))

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split, or of all annotations.

        Raises:
            DataError: There are no annotations, or no such split.
        """
        pages, unreadable = _parse_all(require_folder(path))
        names = _class_names(path, pages)
        label_of = {name: label for label, name in enumerate(names)}
        builder = IndexBuilder(root=path, class_names=names)
        files = _image_table(path)
        stems = _stems(path, split, [*pages, *unreadable])
        for image_id, stem in enumerate(stems, start=1):
            page = pages.get(stem)
            if page is None:
                self._drop_page(builder, stem, unreadable)
                continue
            name = _image_name(files, stem, page.file_name)
            if name is None:
                builder.drop("image", "several files of one name", stem, ", ".join(files[stem]))
            elif builder.add_image(name, image_id, page.size):
                self._add_objects(builder, page, label_of)
        return builder.build()

    @staticmethod
    def _drop_page(builder: IndexBuilder, stem: str, unreadable: dict[str, str]) -> None:
        if stem in unreadable:
            builder.drop("annotation file", "unreadable XML", f"{stem}.xml", unreadable[stem])
        else:
            builder.drop("annotation file", "no annotation file", f"{stem}.xml")

    def _add_objects(self, builder: IndexBuilder, page: Page, label_of: dict[str, int]) -> None:
        builder.unused.update(page.unused)
        for number, item in enumerate(page.objects, start=1):
            place = _place(number)
            if item.problem is not None:
                builder.drop("box", item.problem, builder.name, place)
                continue
            ignored = item.difficult and self.ignore_difficult
            builder.add_object(Annotation(label_of[item.name], item.box, ignored), place)


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
    pages, _ = _parse_all(path)
    files = _image_table(path)
    owned = [(_image_name(files, stem, page.file_name), page) for stem, page in pages.items()]
    owners = Counter(name for name, _ in owned)
    return {
        path / name: [
            item.marks
            for number, item in enumerate(page.objects, start=1)
            if (name, _place(number)) not in left_out
        ]
        for name, page in owned
        if name is not None and owners[name] == 1
    }


def _place(number: int) -> str:
    return f"object {number}"


def _class_names(path: Path, pages: dict[str, Page]) -> list[str]:
    listed = lines_of(path / CLASS_LIST) if (path / CLASS_LIST).is_file() else []
    require_distinct(path / CLASS_LIST, listed)
    found = {item.name for page in pages.values() for item in page.objects} - {"", *listed}
    return [*listed, *sorted(found)]


def _split_files(path: Path) -> dict[str, Path]:
    folder = first_folder(path, ANNOTATION_FOLDERS)
    stems = {file.stem for file in files_with_suffix(folder, ".xml")} if folder else set()

    def is_plain(file: Path) -> bool:
        # lists of a class have a second column; names of images may hold spaces
        first = next(iter(lines_of(file)), "")
        return len(first.split()) == 1 or first in stems

    return {file.stem: file for file in path.glob("ImageSets/Main/*.txt") if is_plain(file)}


def _stems(path: Path, split: str | None, known: list[str]) -> list[str]:
    """Names of the images of a split, without suffix and each once."""
    if split is None:
        return sorted(known)
    files = _split_files(path)
    require_split(path, split, sorted(files))
    names = set(known)
    lines = dict.fromkeys(lines_of(files[split]))
    return [
        line if line in names or Path(line).suffix.lower() not in SUFFIXES else Path(line).stem
        for line in lines
    ]


def _parse_all(path: Path) -> tuple[dict[str, Page], dict[str, str]]:
    """All pages by stem, and by stem why the others cannot be read."""
    folder = first_folder(path, ANNOTATION_FOLDERS)
    files = files_with_suffix(folder, ".xml") if folder is not None else []
    if not files:
        raise DataError(
            f"'{path}' has no annotations: looked for *.xml in {', '.join(ANNOTATION_FOLDERS)}. "
            "Set data.path to the folder that holds Annotations/ and JPEGImages/."
        )
    pages: dict[str, Page] = {}
    unreadable: dict[str, str] = {}
    for file in files:
        try:
            pages[file.stem] = read_page(file)
        except UnreadablePageError as error:
            unreadable[file.stem] = str(error)
    return pages, unreadable


def _image_table(path: Path) -> dict[str, list[str]]:
    """Image files by stem, relative to the root."""
    folder = first_folder(path, IMAGE_FOLDERS) or first_folder(path, ANNOTATION_FOLDERS) or path
    table: dict[str, list[str]] = defaultdict(list)
    for file in sorted(folder.iterdir()):
        if is_image_file(file):
            table[file.stem].append(relative_name(file, path))
    return dict(table)


def _image_name(files: dict[str, list[str]], stem: str, named: str) -> str | None:
    """The image of an annotation, or None where several could be meant.

    The stem of the XML file counts before its <filename>, which copies of a data set often leave
    at an older name; of two images with that stem the one that <filename> names is meant.
    """
    found = files.get(stem) or files.get(Path(named).stem) or [f"{stem}.jpg"]
    if len(found) > 1:
        found = [name for name in found if Path(name).name == named]
    return found[0] if len(found) == 1 else None
