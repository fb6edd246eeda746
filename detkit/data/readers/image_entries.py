"""The annotations of single images, as several formats give them, and the index of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import join, normpath
from typing import NamedTuple

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.readers.folder_checks import image_files, relative_name
from detkit.data.readers.path_endings import Match, PathEndings
from detkit.data.readers.split_names import fits_split, split_of_path
from detkit.structures import DatasetIndex, Pairing

_DIFFERENCES = {
    "by the end of the path": "the end of the path",
    "with another suffix": "another suffix",
    "in other case": "name ignoring case",
    "URL-encoded": "URL-decoded name",
}
WHOLE = ""  # the split of an entry in a data set without splits


class ObjectEntry(NamedTuple):
    """One object of an entry.

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
class ImageEntry:
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
    objects: Sequence[ObjectEntry] = ()
    unused: Counter[str] = field(default_factory=Counter)
    without_box: Counter[str] = field(default_factory=Counter)


def index_of(
    path: Path,
    split: str | None,
    entries: Sequence[ImageEntry],
    unreadable: Sequence[tuple[str, str]],
    *,
    annotation: str,
) -> DatasetIndex:
    """Build the index of entries; images are found by the end of their paths.

    Args:
        path: The folder of the data set.
        split: The split to read; None reads all entries.
        entries: The entries of all splits, so that all splits have the same classes.
        unreadable: Annotations that cannot be read, with the reasons.
        annotation: The format's word for the annotation of an image.

    Raises:
        DataError: No image is usable.
    """
    class_names = sorted({item.name for entry in entries for item in entry.objects if item.name})
    label_of = {name: label for label, name in enumerate(class_names)}
    images = [relative_name(file, path) for file in image_files(path)]
    endings = PathEndings(images)
    used = [entry for entry in entries if split is None or entry.split == split]
    files = frozenset(images)
    matches = [_match(entry, endings, files) for entry in used]
    builder = IndexBuilder(root=path, class_names=class_names)
    builder.pairing = Pairing(
        annotation=annotation,
        matches=_unequal_names(matches),
        annotations_without_image=[
            entry.source
            for entry, match in zip(used, matches, strict=True)
            if not _has_image(match)
        ],
        images_without_annotation=_unpaired(images, matches, split),
        images_train=False,
    )
    for file, reason in unreadable:
        builder.drop("annotation file", "unreadable", file, reason)
    _add_entries(builder, used, matches, label_of)
    return builder.build()


def _match(entry: ImageEntry, endings: PathEndings, images: Collection[str]) -> Match:
    """The image at the path that an entry gives, else the one that the path ends like."""
    exact = normpath(join(entry.folder, entry.image.replace("\\", "/")))
    if exact in images:
        return Match(exact)
    return endings.match(f"{entry.folder}/{entry.image}", split=entry.split or None)


def _unequal_names(matches: Sequence[Match]) -> dict[str, int]:
    """The number of images matched by an unequal name, by kind of difference."""
    ways = Counter(way for match in matches for way in match.ways if way in _DIFFERENCES)
    return {_DIFFERENCES[way]: count for way, count in ways.items()}


def _has_image(match: Match) -> bool:
    return match.path is not None or bool(match.candidates)


def _unpaired(images: Sequence[str], matches: Sequence[Match], split: str | None) -> list[str]:
    """Images of the split that no entry names."""
    used = {match.path for match in matches}
    return [
        name for name in images if name not in used and fits_split(split_of_path(Path(name)), split)
    ]


def _add_entries(
    builder: IndexBuilder,
    entries: Sequence[ImageEntry],
    matches: Sequence[Match],
    label_of: dict[str, int],
) -> None:
    owners: dict[str, str] = {}
    for number, (entry, match) in enumerate(zip(entries, matches, strict=True), start=1):
        builder.unused.update(entry.unused)
        if match.candidates:
            files = ", ".join(match.candidates)
            builder.drop("image", "several files of one name", entry.source, files)
        elif match.path is not None and match.path in owners:
            reason = "another file annotates its image"
            builder.drop("annotation file", reason, entry.source, owners[match.path])
        elif match.path is not None:
            owners[match.path] = entry.source
            if builder.add_image(match.path, number, entry.size):
                _add_objects(builder, entry, label_of)
                for kind, count in entry.without_box.items():
                    builder.note("shape", f"a {kind} gives no box", match.path, f"{count:,}")


def _add_objects(builder: IndexBuilder, entry: ImageEntry, label_of: dict[str, int]) -> None:
    for number, item in enumerate(entry.objects, start=1):
        detail = f"object {number}"
        if item.box is None or not item.name:
            builder.drop("box", item.problem or "without a class", builder.name, detail)
        else:
            builder.add_object(Annotation(label_of[item.name], item.box, item.ignored), detail)
