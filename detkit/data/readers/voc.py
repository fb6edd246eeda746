"""Pascal VOC: one XML file per image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from detkit.data.images import SUFFIXES
from detkit.data.index import Annotation, IndexBuilder
from detkit.data.readers.folders import first_folder, relative_name, require_folder, require_split
from detkit.errors import DataError
from detkit.registry import register
from detkit.structures import DatasetIndex

ANNOTATION_FOLDERS = ("Annotations", "annotations", "xmls")
IMAGE_FOLDERS = ("JPEGImages", "images", "Images")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Object:
    name: str
    box: tuple[float, float, float, float]
    difficult: bool


@dataclass(frozen=True)
class _Page:
    """One XML file."""

    file_name: str
    size: tuple[int, int]
    objects: list[_Object]


def fits(path: Path) -> bool:
    """Whether a folder looks like Pascal VOC."""
    folder = first_folder(path, ANNOTATION_FOLDERS)
    return folder is not None and next(folder.glob("*.xml"), None) is not None


@register("reader", "voc")
class VocReader:
    """Pascal VOC folders: Annotations/*.xml, JPEGImages/ and ImageSets/Main/*.txt.

    Pixels are 1-based and inclusive in the files, so xmin and ymin lose 1. Difficult objects are
    ignored. Classes are the sorted names over all annotations of the folder, so that splits agree.

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
        names = sorted({item.name for page in pages.values() for item in page.objects} - {""})
        label_of = {name: label for label, name in enumerate(names)}
        builder = IndexBuilder(root=path, class_names=names)
        files = _image_table(path)
        for image_id, stem in enumerate(self._stems(path, split, pages, unreadable), start=1):
            page = pages.get(stem)
            if page is None:
                why = "unreadable XML" if stem in unreadable else "no annotation file"
                builder.drop("annotation file", why, f"{stem}.xml")
                continue
            name = files.get(stem) or files.get(Path(page.file_name).stem) or f"{stem}.jpg"
            if not builder.add_image(name, image_id, page.size):
                continue
            for item in page.objects:
                if item.name not in label_of:
                    builder.drop("box", "without a name", name)
                    continue
                ignored = item.difficult and self.ignore_difficult
                builder.add_object(Annotation(label_of[item.name], item.box, ignored))
        return builder.build()

    @staticmethod
    def _stems(
        path: Path, split: str | None, pages: dict[str, _Page], unreadable: list[str]
    ) -> list[str]:
        if split is None:
            return sorted([*pages, *unreadable])
        files = _split_files(path)
        require_split(path, split, sorted(files))
        return [line.split()[0] for line in files[split].read_text().splitlines() if line.strip()]


def _split_files(path: Path) -> dict[str, Path]:
    def is_plain(file: Path) -> bool:
        first = next((line for line in file.read_text().splitlines() if line.strip()), "")
        return len(first.split()) == 1

    return {file.stem: file for file in path.glob("ImageSets/Main/*.txt") if is_plain(file)}


def _parse_all(path: Path) -> tuple[dict[str, _Page], list[str]]:
    """All pages by stem, and the stems of those that cannot be read."""
    folder = first_folder(path, ANNOTATION_FOLDERS)
    files = sorted(folder.glob("*.xml")) if folder is not None else []
    if not files:
        raise DataError(
            f"'{path}' has no annotations: looked for *.xml in {', '.join(ANNOTATION_FOLDERS)}. "
            "Set data.path to the folder that holds Annotations/ and JPEGImages/."
        )
    pages: dict[str, _Page] = {}
    unreadable = []
    for file in files:
        try:
            pages[file.stem] = _read_page(parse(file).getroot())
        except (ParseError, DefusedXmlException, OSError, ValueError):
            unreadable.append(file.stem)
    return pages, unreadable


def _read_page(root: Element) -> _Page:
    size = (int(_number(root, "size/height", 0)), int(_number(root, "size/width", 0)))
    objects = [_read_object(element) for element in root.findall("object")]
    return _Page((root.findtext("filename") or "").strip(), size, objects)


def _read_object(element: Element) -> _Object:
    corners = [_number(element, f"bndbox/{corner}", float("nan")) for corner in _CORNERS]
    x1, y1, x2, y2 = corners
    # Tools write a click as xmin = xmax; read as inclusive pixels it would be one pixel wide, so
    # the test for area is made on the numbers as they stand.
    shift = 1.0 if x2 > x1 and y2 > y1 else 0.0
    name = (element.findtext("name") or "").strip()
    return _Object(name, (x1 - shift, y1 - shift, x2, y2), _number(element, "difficult", 0) == 1)


def _number(element: Element, name: str, missing: float) -> float:
    text = element.findtext(name)
    try:
        return float(text) if text is not None and text.strip() else missing
    except ValueError:
        return float("nan") if name.startswith("bndbox") else missing


def _image_table(path: Path) -> dict[str, str]:
    """Image files by stem, relative to the root."""
    folder = first_folder(path, IMAGE_FOLDERS) or first_folder(path, ANNOTATION_FOLDERS) or path
    files = (file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    return {file.stem: relative_name(file, path) for file in files}
