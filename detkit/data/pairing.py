"""Match images and annotation files whose names differ, and describe those without a match."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import unquote

from detkit.image_files import SUFFIXES
from detkit.structures import Pairing
from detkit.text import agree, counted

LOGGER = logging.getLogger("detkit.data")
BY_ENDING = "with paths from another machine, matched by their endings"
_EXAMPLES = 3
_ROLE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "labels", "label", "annotations")
_SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio puts it before names


class Match(NamedTuple):
    """An image with the annotation file that belongs to it.

    Attributes:
        image: The image file.
        annotation: Its annotation file, which has an unexpected name.
        difference: How the two names differ.
    """

    image: Path
    annotation: Path
    difference: str


def match_unequal_names(
    root: Path,
    *,
    images: Iterable[Path],
    annotations: Iterable[Path],
    paired: Collection[Path],
) -> Iterator[Match]:
    """Match images and annotation files whose names differ only in spelling or folder.

    The comparisons get looser step by step: names without image suffix and URL encoding, then
    ignoring case, then in any folder of the same split, then in any folder, then with the folders
    as part of the name, then without an upload prefix. A match must be the only one among all files
    of the data set, including those already paired.

    Args:
        root: The folder of the data set.
        images: All its images.
        annotations: All its annotation files.
        paired: The images and annotation files that have a counterpart.
    """
    images, annotations = list(images), list(annotations)
    done = set(paired)
    for key in _KEYS:
        images_by_key = _grouped(root, images, key)
        for name, files in _grouped(root, annotations, key).items():
            owners = images_by_key.get(name, [])
            if len(files) != 1 or len(owners) != 1 or not done.isdisjoint((*files, *owners)):
                continue
            if key is _without_prefix and _is_uploaded(files[0]) and _is_uploaded(owners[0]):
                continue  # two uploads of one name
            done.update((*files, *owners))
            yield Match(owners[0], files[0], _difference(root, owners[0], files[0]))


def _grouped(
    root: Path, files: list[Path], key: Callable[[tuple[str, ...], str], Hashable]
) -> dict[Hashable, list[Path]]:
    groups: dict[Hashable, list[Path]] = defaultdict(list)
    for file in files:
        groups[key(_folders(root, file), _plain_stem(file.name))].append(file)
    return groups


def _folders(root: Path, file: Path) -> tuple[str, ...]:
    """The folders of a file below the root, except role folders such as images/ and labels/."""
    folder = file.parent
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else folder.parts
    return tuple(part for part in parts if part.casefold() not in _ROLE_FOLDERS)


def _plain_stem(name: str) -> str:
    """The name without suffixes and URL encoding: a%20b.jpg.txt is `a b`."""
    stem = Path(normalize("NFC", unquote(name))).stem
    return Path(stem).stem if Path(stem).suffix.lower() in SUFFIXES else stem


def _exact(folders: tuple[str, ...], stem: str) -> Hashable:
    return folders, stem


def _any_case(folders: tuple[str, ...], stem: str) -> Hashable:
    return tuple(map(str.casefold, folders)), stem.casefold()


def _same_split(folders: tuple[str, ...], stem: str) -> Hashable:
    splits = (folder.casefold() for folder in folders)
    return tuple(split for split in splits if split in _SPLIT_FOLDERS), stem.casefold()


def _any_folder(folders: tuple[str, ...], stem: str) -> Hashable:
    return stem.casefold()


def _folders_in_name(folders: tuple[str, ...], stem: str) -> Hashable:
    return "_".join((*folders, stem)).casefold()


def _without_prefix(folders: tuple[str, ...], stem: str) -> Hashable:
    return UPLOAD_PREFIX.sub("", stem.casefold())


def _is_uploaded(file: Path) -> bool:
    return UPLOAD_PREFIX.match(file.name.casefold()) is not None


_KEYS = (_exact, _any_case, _same_split, _any_folder, _folders_in_name, _without_prefix)


def _difference(root: Path, image: Path, annotation: Path) -> str:
    """The difference between two names, worded to follow "matched by"."""
    stem, other = image.stem, annotation.stem
    folders, other_folders = _folders(root, image), _folders(root, annotation)
    same_case = stem == other and folders == other_folders
    cases = {
        "name in another folder": _any_case(folders, "") != _any_case(other_folders, "")
        or (same_case and annotation.suffix.islower() and other != image.name),
        "name with the image's suffix": other.casefold() == image.name.casefold(),
        f"name with the suffix {annotation.suffix}": same_case and not annotation.suffix.islower(),
        "name ignoring case": _any_case(folders, stem) == _any_case(other_folders, other),
        "URL-decoded name": unquote(stem).casefold() == unquote(other).casefold(),
        "name without the Label Studio prefix": _is_uploaded(image) or _is_uploaded(annotation),
    }
    return next(
        (difference for difference, holds in cases.items() if holds), "name in another Unicode form"
    )


def describe_pairing(pairing: Pairing) -> str:
    """Counts and a few names of files without a counterpart; empty if all have one."""
    noun = pairing.annotation
    parts = []
    if names := pairing.annotations_without_image:
        parts.append(f"{counted(len(names), noun)} without an image ({_some(names)})")
    if names := pairing.images_without_annotation:
        use = "trained as background" if pairing.images_train else "not used"
        verb = agree(len(names), "is", "are")
        parts.append(
            f"{counted(len(names), 'image')} without a{_n(noun)} {noun} {verb} {use} "
            f"({_some(names)})"
        )
    return "; ".join(parts)


def describe_pairings(pairings: Mapping[str, Pairing]) -> list[str]:
    """`describe_pairing` of several splits; only once for parts of the same split."""
    if len({id(pairing) for pairing in pairings.values()}) == 1:
        texts = {"": describe_pairing(next(iter(pairings.values())))}
    else:
        texts = {f"{name}: ": describe_pairing(pairing) for name, pairing in pairings.items()}
    return [f"{name}{text}" for name, text in texts.items() if text]


def report_pairing(pairing: Pairing, root: Path) -> None:
    """Log how unequal names were matched, and warn of annotations without an image."""
    if pairing.matches:
        ways = ", ".join(f"{count:,} by {way}" for way, count in pairing.matches.items())
        total = counted(sum(pairing.matches.values()), pairing.annotation)
        LOGGER.info("matched %s in %s to images whose names differ: %s", total, root, ways)
    if names := pairing.annotations_without_image:
        LOGGER.warning(
            "left out of %s: %s without an image: %s",
            root,
            counted(len(names), pairing.annotation),
            _some(names, 10),
        )


def _some(names: list[str], count: int = _EXAMPLES) -> str:
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _n(noun: str) -> str:
    return "n" if noun[:1].lower() in ("a", "e", "i", "o", "u", "x") else ""
