"""Find the image files that a COCO file names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from detkit.data.readers.coco_columns import file_names_in
from detkit.data.readers.folder_checks import image_files, relative_name
from detkit.data.readers.nearby_data_sets import parent_with_images
from detkit.data.readers.path_endings import PathEndings, parts_of, summary
from detkit.data.readers.split_names import split_of_path
from detkit.data.splits import role_of
from detkit.errors import DataError
from detkit.image_files import is_image
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")
_SAMPLE = 100  # names to try in each likely folder


def folder_splits(path: Path) -> list[str]:
    """The splits that the folders of all images state, if they are for training and validation."""
    stated = {_split_of_folder(relative_name(image, path)) for image in image_files(path)}
    splits = sorted(split for split in stated if split is not None)
    roles = {role_of(split) for split in splits}
    return splits if len(splits) == len(stated) and roles >= {"train", "val"} else []


def is_of_split(name: str, split: str | None) -> bool:
    """Whether an image is in the folder of a split; so are all for None, and those in no folder."""
    return split is None or _split_of_folder(name) in (split, None)


def _split_of_folder(name: str) -> str | None:
    return split_of_path(PurePosixPath(name).parent / "_")


@dataclass
class ImageFinder:
    """Finds the images of one COCO file.

    Attributes:
        root: The folder of the data set.
        file: The COCO file.
        split: Its split; "" if it holds the whole data set.
        images: The folder of the images relative to the root, as the user set it; None searches.
    """

    root: Path
    file: Path
    split: str
    images: str | None = None
    _listings: dict[Path, frozenset[str]] = field(default_factory=dict)

    def locate(self, names: Sequence[str]) -> list[str]:
        """The path of each name's image relative to the root; if missing, the expected path.

        Raises:
            DataError: None of the images exists, or a name fits several files equally well.
        """
        folder = self._folder(names)
        prefix = relative_name(folder / "x", self.root)[:-1]
        paths = [_below(folder, prefix, name, self.root) for name in names]
        missing = [number for number, name in enumerate(names) if not self._exists(folder, name)]
        if missing:
            self._match(names, paths, missing)
        return paths

    def unlisted(self, paths: Sequence[str], files: Iterable[Path]) -> list[str]:
        """Images in the same folders that neither this file nor one of another split names.

        Args:
            paths: The images of the file, relative to the root.
            files: The COCO files of the other splits.
        """
        listed = set(paths)
        beside: list[str] = []
        for folder in sorted({path.rpartition("/")[0] for path in paths}):
            try:
                entries = sorted(os.listdir(self.root / folder))
            except (OSError, ValueError):
                continue
            beside += [f"{folder}/{name}" if folder else name for name in entries]
        images = [p for p in beside if p not in listed and is_image(self.root / p)]
        if images:
            elsewhere = {name for file in files for name in map(_last_part, file_names_in(file))}
            images = [path for path in images if path.rpartition("/")[2] not in elsewhere]
        return images

    def _match(self, names: Sequence[str], paths: list[str], missing: list[int]) -> None:
        """Replace the paths of missing files with matching ones."""
        searched = self.root if self.images is None else self._images_folder(self.images)
        files = [relative_name(f, self.root) for f in image_files(searched)]
        exact = set(paths) - {paths[number] for number in missing}
        endings = PathEndings(files)
        matches = [
            endings.match(names[number], split=self.split or None, exclude=exact)
            for number in missing
        ]
        lost = [names[number] for number in missing]
        unclear = [n for n, match in zip(lost, matches, strict=True) if match.candidates]
        if unclear:
            candidates = next(match.candidates for match in matches if match.candidates)
            raise DataError(
                f"'{self.file}': {counted(len(unclear), 'file name')} could mean more than one "
                f"image, such as '{unclear[0]}': {_either(candidates)}. Set data.reader.images to "
                "the folder of the images, or correct the names."
            )
        self._require_distinct(lost, [match.path for match in matches])
        if not exact and all(match.path is None for match in matches):
            raise DataError(self._none_exists(names))
        for number, match in zip(missing, matches, strict=True):
            paths[number] = match.path or paths[number]
        matched = sum(match.path is not None for match in matches)
        if matched:
            LOGGER.info(
                "%s: matched %d of %s: %s",
                relative_name(self.file, self.root),
                matched,
                counted(len(names), "image name"),
                summary(lost, matches),
            )

    def _require_distinct(self, names: Sequence[str], paths: Sequence[str | None]) -> None:
        """Raise DataError if two different names match one file."""
        owners: dict[str, str] = {}
        for name, path in zip(names, paths, strict=True):
            if path is not None and owners.setdefault(path, name) != name:
                raise DataError(
                    f"'{self.file}' names the images '{owners[path]}' and '{name}', but both "
                    f"match only '{path}': restore the other file, or remove its entry."
                )

    def _none_exists(self, names: Sequence[str]) -> str:
        below = self.root if self.images is None else self._images_folder(self.images)
        more = f" or another of its {len(names):,} file names" if len(names) > 1 else ""
        text = (
            f"the images of '{self.file}' are missing: no image below '{below}' matches "
            f"'{names[0]}'{more}."
        )
        parent = parent_with_images(self.root, names) if self.images is None else None
        if parent is not None:
            return f"{text} The folder above has them: set data.path to '{parent}'."
        return (
            f"{text} Copy the images there, or set data.reader.images to their folder, relative "
            "to data.path."
        )

    def _folder(self, names: Sequence[str]) -> Path:
        """The first likely folder that holds some of the names; the root if none does."""
        if self.images is not None:
            return self._images_folder(self.images)
        stem = self.file.stem.removeprefix("instances_")
        splits = dict.fromkeys(name for name in (stem, self.split) if name)
        near = self.file.parent
        tried: list[Path] = []
        for base in dict.fromkeys((self.root, near.parent if near != self.root else near)):
            tried += [base / name for name in splits]
            tried += [base / "images" / name for name in splits]
            tried += [base / "images"]
        tried += [near, near / "images", near / "data", self.root / "data", self.root]
        sample = _sample(names)
        return next(
            (f for f in dict.fromkeys(tried) if any(self._exists(f, name) for name in sample)),
            self.root,
        )

    def _images_folder(self, images: str) -> Path:
        return self.root / images.replace("{split}", self.split)

    def _exists(self, folder: Path, name: str) -> bool:
        """Whether a folder holds a file, from one listing of each folder."""
        above, _, last = name.replace(os.sep, "/").rpartition("/")
        parent = folder / above if above else folder
        if parent not in self._listings:
            try:
                self._listings[parent] = frozenset(os.listdir(parent))
            except (OSError, ValueError):  # no such folder, or a name that no folder can have
                self._listings[parent] = frozenset()
        return last in self._listings[parent]


def _last_part(name: str) -> str:
    return "".join(parts_of(name)[-1:])


def _sample(names: Sequence[str]) -> list[str]:
    """A sample of names: the first ones, and others spread over the whole list."""
    return [*names[:20], *names[:: max(1, len(names) // _SAMPLE)]]


def _either(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""  # noqa: PLR2004
    return f"'{paths[0]}' or '{paths[1]}'{more}"


def _below(folder: Path, prefix: str, name: str, root: Path) -> str:
    """The path of a file relative to the root; plain names skip path parsing, for speed."""
    if name.isascii() and name.replace("_", "").replace(".", "0", 1).isalnum():
        return prefix + name
    return relative_name(folder / name, root)
