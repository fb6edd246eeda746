"""Find and parse the XML files of a Pascal VOC data set, wherever they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from detkit.data.readers.annotation_kinds import is_voc_page, root_tag
from detkit.data.readers.voc_xml import Page, UnreadablePageError, read_page
from detkit.errors import DataError
from detkit.image_files import files_below

ANNOTATION_FOLDERS = ("annotations", "xmls")  # in any case
_SAMPLE = 20  # XML files that show whether a folder holds annotations
_SPLIT = "{split}"


@dataclass(frozen=True)
class VocPages:
    """The XML files of a data set by path, relative to its folder and without suffix.

    Attributes:
        pages: The content of readable files.
        unreadable: For each unreadable file, the reason.
    """

    pages: dict[str, Page]
    unreadable: dict[str, str]


def has_annotations(path: Path) -> bool:
    """Whether there are VOC annotations below a folder, judging by a few of its XML files."""
    return is_any_page(xml_files(path))


def is_any_page(files: list[Path]) -> bool:
    """Whether XML files include VOC annotations, judging by a few of them."""
    return any(is_voc_page(file) for file in files[:: max(1, len(files) // _SAMPLE)])


def xml_files(path: Path) -> list[Path]:
    """All XML files below a folder, sorted."""
    return sorted(files_below(path, (".xml",)))


def annotation_files(path: Path, annotations: str | None = None) -> dict[str, Path]:
    """The XML files of a data set by path, relative to its folder and without suffix.

    Args:
        path: The folder of the data set.
        annotations: The folder of the XML files relative to `path`, with `{split}` for any name;
            None takes the files below Annotations/, or else all.

    Raises:
        DataError: There is no such folder.
    """
    files = [file for folder in _folders(path, annotations) for file in xml_files(folder)]
    if annotations is None:
        usual = [file for file in files if _is_usual(path, file)]
        files = usual if is_any_page(usual) else files
    return {file.relative_to(path).with_suffix("").as_posix(): file for file in files}


def unread_files(path: Path) -> list[Path]:
    """XML files ignored because they are outside Annotations/."""
    used = set(annotation_files(path).values())
    return [file for file in xml_files(path) if file not in used]


def _is_usual(path: Path, file: Path) -> bool:
    return file.relative_to(path).parts[0].lower() in ANNOTATION_FOLDERS


def read_pages(path: Path, files: dict[str, Path]) -> VocPages:
    """Parse the annotations of a data set; intact XML of another kind is left out.

    Raises:
        DataError: There are none.
    """
    pages: dict[str, Page] = {}
    unreadable: dict[str, str] = {}
    for name, file in files.items():
        try:
            pages[name] = read_page(file)
        except UnreadablePageError as error:
            unreadable[name] = str(error)
    folders = {files[name].parent for name in pages}
    foreign = [n for n in unreadable if files[n].parent not in folders and _is_other(files[n])]
    for name in foreign:
        del unreadable[name]
    if not pages and not unreadable:
        raise DataError(
            f"'{path}' has no annotations of Pascal VOC: no XML file below it has the root "
            "<annotation>. Set data.path to the folder that holds annotations and images."
        )
    return VocPages(pages, unreadable)


def _folders(path: Path, annotations: str | None) -> Iterable[Path]:
    if annotations is None:
        return [path]
    if _SPLIT in annotations:
        folders = sorted(f for f in path.glob(annotations.replace(_SPLIT, "*")) if f.is_dir())
    else:
        folders = [path / annotations] if (path / annotations).is_dir() else []
    if not folders:
        raise DataError(
            f"there is no folder '{path / annotations}': correct data.reader.annotations, which is "
            "relative to data.path."
        )
    return folders


def _is_other(file: Path) -> bool:
    """Whether a file is intact XML of another kind, such as a project's settings."""
    return root_tag(file) not in (None, "annotation")
