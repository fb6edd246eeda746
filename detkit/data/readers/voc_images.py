"""Find the image of each XML file of a Pascal VOC data set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import unquote

from detkit.data.readers.folder_checks import relative_name
from detkit.data.readers.path_endings import parts_of
from detkit.data.readers.split_names import fits_split, split_of_path
from detkit.data.readers.voc_files import ANNOTATION_FOLDERS
from detkit.data.readers.voc_xml import Page
from detkit.structures import Pairing

IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")  # in any case


class PageImage(NamedTuple):
    """The image of an XML file.

    Attributes:
        image: The image relative to the data set; None if there is none, or more than one.
        candidates: The images of the same name, if several are equally likely.
        instead_of: Another XML file of the same image, which is read instead of this one.
    """

    image: str | None
    candidates: tuple[str, ...] = ()
    instead_of: str = ""


def images_of_pages(
    root: Path, pages: Mapping[str, Page], images: Iterable[Path]
) -> dict[str, PageImage]:
    """The image of each XML file.

    An image has the name of its XML file, or else the one in <filename>, which is often out of date
    in copies of a data set. If several images have that name, the one in the same folder counts,
    else the one in a folder for images, else the one that <filename> names, else the one whose
    folders resemble the XML file's most.

    Args:
        root: The folder of the data set.
        pages: Its XML files by path, relative to the root and without suffix.
        images: Its images.
    """
    table: dict[str, list[str]] = defaultdict(list)
    for file in images:
        table[_folded(file.stem)].append(relative_name(file, root))
    results = {name: _image_of(name, page.file_name, table) for name, page in pages.items()}
    return _without_second_pages(results)


def pairing_of(
    root: Path, names: Sequence[str], located: Mapping[str, PageImage], images: Iterable[Path]
) -> Pairing:
    """XML files without an image, and images in the same folders without an XML file.

    Args:
        root: The folder of the data set.
        names: The XML files of a split.
        located: The images of all XML files.
        images: The images to search for ones without an XML file.
    """
    results = {name: located[name] for name in names if name in located}
    pairs = {name: r.image for name, r in results.items() if r.image is not None}
    matches = Counter(way for pair in pairs.items() if (way := _difference(*pair)))
    folders = {image.rpartition("/")[0] for image in pairs.values()}
    annotated = {i for result in located.values() for i in (result.image, *result.candidates)}
    image_names = (relative_name(file, root) for file in images)
    return Pairing(
        annotation="XML file",
        matches=dict(matches),
        annotations_without_image=[f"{n}.xml" for n, r in results.items() if r == PageImage(None)],
        images_without_annotation=[
            i for i in image_names if i.rpartition("/")[0] in folders and i not in annotated
        ],
        images_train=False,
    )


def _difference(page: str, image: str) -> str | None:
    """The difference between the names of an XML file and its image; None if they are equal."""
    name, stem = page.rpartition("/")[2], PurePosixPath(image).stem
    if name == stem:
        return None
    if _folded(name) == _folded(stem):
        return "name ignoring case"
    suffixed = _folded(PurePosixPath(name).stem) == _folded(stem)
    return "name with the image's suffix" if suffixed else "the name in <filename>"


def _image_of(page: str, file_name: str, table: dict[str, list[str]]) -> PageImage:
    stem = _folded(page.rpartition("/")[2])
    named = next(iter(reversed(parts_of(unquote(file_name)))), "")
    stems = (stem, PurePosixPath(stem).stem, _folded(PurePosixPath(named).stem))
    split = _split_of_folder(page)
    for key in stems:
        candidates = [p for p in table.get(key, ()) if fits_split(split, _split_of_folder(p))]
        best = _choose(page, named, candidates)
        if len(best) > 1:
            return PageImage(None, tuple(best))
        if best:
            return PageImage(best[0])
    return PageImage(None)


def _split_of_folder(path: str) -> str | None:
    return split_of_path(PurePosixPath(path).parent / "_")


def _choose(page: str, named: str, candidates: Sequence[str]) -> Sequence[str]:
    """Narrow several images of one name down to the one that belongs to an XML file."""
    folder = PurePosixPath(page).parent
    if len(candidates) > 1:
        preferences = (
            [p for p in candidates if PurePosixPath(p).parent == folder],
            [p for p in candidates if _is_in(p, IMAGE_FOLDERS)],
            [p for p in candidates if PurePosixPath(p).name == named],
        )
        for preferred in preferences:
            candidates = [path for path in candidates if path in preferred] or candidates
        likeness = {path: _likeness(page, path) for path in candidates}
        candidates = [p for p in candidates if likeness[p] == max(likeness.values())]
    return candidates


def _without_second_pages(results: dict[str, PageImage]) -> dict[str, PageImage]:
    """Give each image to one XML file: one in an annotation folder, or the most similar one."""
    owners: dict[str, list[str]] = defaultdict(list)
    for name, result in results.items():
        if result.image is not None:
            owners[result.image].append(name)
    for image, names in owners.items():
        if len(names) > 1:
            ranks = {name: _rank(name, image) for name in names}
            first = max(names, key=ranks.__getitem__)
            for name in names:
                if name != first:
                    results[name] = PageImage(None, instead_of=f"{first}.xml")
    return results


def _rank(page: str, image: str) -> tuple[bool, bool, int]:
    same_stem = page.rpartition("/")[2] == PurePosixPath(image).stem
    return same_stem, _is_in(page, ANNOTATION_FOLDERS), _likeness(page, image)


def _is_in(path: str, folders: Sequence[str]) -> bool:
    return not {part.casefold() for part in path.split("/")[:-1]}.isdisjoint(folders)


def _likeness(first: str, second: str) -> int:
    """Count the folders that two paths share at the start and at the end."""
    folders, other_folders = (path.casefold().split("/")[:-1] for path in (first, second))
    shared = _common(folders, other_folders)
    return shared + _common(folders[shared:][::-1], other_folders[shared:][::-1])


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    pairs = zip(first, second, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _folded(text: str) -> str:
    return normalize("NFC", text).casefold()
