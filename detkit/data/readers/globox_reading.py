"""Shared parts of the Labelme, CVAT and OpenImages readers, which use globox."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import join, normpath
from typing import Any, NamedTuple

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.readers.folder_checks import image_files, relative_name
from detkit.data.readers.path_endings import Match, PathEndings
from detkit.data.readers.split_names import fits_split, split_of_path
from detkit.errors import DataError
from detkit.structures import DatasetIndex, Pairing

_DIFFERENCES = {
    "by the end of the path": "the end of the path",
    "with another suffix": "another suffix",
    "in other case": "name ignoring case",
    "URL-encoded": "URL-decoded name",
}
WHOLE = ""  # the split of a page in a data set without splits


class PageObject(NamedTuple):
    """One object of a page.

    Attributes:
        name: Its class.
        box: Its box (x1, y1, x2, y2) in pixels; None if it has no numbers.
        problem: Why there is no box.
        ignored: Whether it is a group of objects.
    """

    name: str
    box: tuple[float, float, float, float] | None
    problem: str = ""
    ignored: bool = False


@dataclass(frozen=True)
class ImagePage:
    """The annotation of one image.

    Attributes:
        source: A file, or an element of one, for messages.
        image: The file name of the image.
        folder: The folder that the file name is relative to, if known.
        split: Its split; WHOLE without splits.
        size: The annotated (height, width), zeros if there is none.
        objects: Its objects.
        unused: Number of values that detection does not use, by name.
        without_box: Number of shapes that give no box, by kind.
    """

    source: str
    image: str
    folder: str = ""
    split: str = WHOLE
    size: tuple[int, int] = (0, 0)
    objects: Sequence[PageObject] = ()
    unused: Counter[str] = field(default_factory=Counter)
    without_box: Counter[str] = field(default_factory=Counter)


def globox() -> Any:
    """The library.

    Raises:
        DataError: It is not installed.
    """
    try:
        return importlib.import_module("globox")
    except ImportError as error:
        raise DataError(
            "Labelme, CVAT and OpenImages data are read with globox, which is not installed: "
            'pip install "detkit[formats]".'
        ) from error


def boxed(parse: Callable[[], Any], name: str, ignored: bool = False) -> PageObject:
    """An object with globox's box, or with the problem if globox refuses it.

    Args:
        parse: Returns globox's bounding box.
        name: The class, used if parsing fails.
        ignored: Whether the object is a group.
    """
    errors = importlib.import_module("globox.errors")
    try:
        box = parse()
    except (errors.ParsingError, KeyError, TypeError, ValueError):
        return PageObject(name, None, "no four numbers", ignored)
    return PageObject(box.label.strip(), box.ltrb, ignored=ignored)


def splits_of(splits: Sequence[str]) -> list[str]:
    """The splits of pages; none if some pages have none, so that every page is read."""
    names = sorted(set(splits))
    return [] if WHOLE in names else names


def split_of_file(file: Path, root: Path) -> str:
    """The split that a file's name or folder states."""
    return split_of_path(Path(relative_name(file, root))) or WHOLE


def index_of(
    path: Path,
    split: str | None,
    pages: Sequence[ImagePage],
    unreadable: Sequence[tuple[str, str]],
    *,
    annotation: str,
) -> DatasetIndex:
    """Build the index of pages; images are found by the end of their paths.

    Args:
        path: The folder of the data set.
        split: The split to read; None reads all pages.
        pages: The pages of all splits, so that all splits have the same classes.
        unreadable: Annotations that cannot be read, with the reasons.
        annotation: The format's word for the annotation of an image.

    Raises:
        DataError: No image is usable.
    """
    class_names = sorted({item.name for page in pages for item in page.objects if item.name})
    label_of = {name: label for label, name in enumerate(class_names)}
    images = [relative_name(file, path) for file in image_files(path)]
    endings = PathEndings(images)
    used = [page for page in pages if split is None or page.split == split]
    files = frozenset(images)
    matches = [_match(page, endings, files) for page in used]
    builder = IndexBuilder(root=path, class_names=class_names)
    builder.pairing = Pairing(
        annotation=annotation,
        matches=_unequal_names(matches),
        annotations_without_image=[
            page.source for page, match in zip(used, matches, strict=True) if not _has_image(match)
        ],
        images_without_annotation=_unpaired(images, matches, split),
        images_train=False,
    )
    for file, reason in unreadable:
        builder.drop("annotation file", "unreadable", file, reason)
    _add_pages(builder, used, matches, label_of)
    return builder.build()


def _match(page: ImagePage, endings: PathEndings, images: Collection[str]) -> Match:
    """The image at the path that a page gives, else the one that the path ends like."""
    exact = normpath(join(page.folder, page.image.replace("\\", "/")))
    if exact in images:
        return Match(exact)
    return endings.match(f"{page.folder}/{page.image}", split=page.split or None)


def _unequal_names(matches: Sequence[Match]) -> dict[str, int]:
    """The number of images matched by an unequal name, by kind of difference."""
    ways = Counter(way for match in matches for way in match.ways if way in _DIFFERENCES)
    return {_DIFFERENCES[way]: count for way, count in ways.items()}


def _has_image(match: Match) -> bool:
    return match.path is not None or bool(match.candidates)


def _unpaired(images: Sequence[str], matches: Sequence[Match], split: str | None) -> list[str]:
    """Images of the split that no page names."""
    used = {match.path for match in matches}
    return [
        name for name in images if name not in used and fits_split(split_of_path(Path(name)), split)
    ]


def _add_pages(
    builder: IndexBuilder,
    pages: Sequence[ImagePage],
    matches: Sequence[Match],
    label_of: dict[str, int],
) -> None:
    owners: dict[str, str] = {}
    for number, (page, match) in enumerate(zip(pages, matches, strict=True), start=1):
        builder.unused.update(page.unused)
        if match.candidates:
            files = ", ".join(match.candidates)
            builder.drop("image", "several files of one name", page.source, files)
        elif match.path is not None and match.path in owners:
            reason = "another file annotates its image"
            builder.drop("annotation file", reason, page.source, owners[match.path])
        elif match.path is not None:
            owners[match.path] = page.source
            if builder.add_image(match.path, number, page.size):
                _add_objects(builder, page, label_of)
                for kind, count in page.without_box.items():
                    builder.note("shape", f"a {kind} gives no box", match.path, f"{count:,}")


def _add_objects(builder: IndexBuilder, page: ImagePage, label_of: dict[str, int]) -> None:
    for number, item in enumerate(page.objects, start=1):
        detail = f"object {number}"
        if item.box is None or not item.name:
            builder.drop("box", item.problem or "without a class", builder.name, detail)
        else:
            builder.add_object(Annotation(label_of[item.name], item.box, item.ignored), detail)
