"""COCO: one JSON file per split."""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from detkit.data.index import IndexBuilder
from detkit.data.index_cache import Sources
from detkit.data.readers.coco_columns import CocoPage, read_page
from detkit.data.readers.coco_files import WHOLE_SET, find_annotations, passed_over
from detkit.data.readers.coco_images import ImageFinder, folder_splits, is_of_split
from detkit.data.readers.coco_masks import MaskColumns, read_masks
from detkit.data.readers.coco_objects import Objects, place_of
from detkit.data.readers.coco_values import NO_ID
from detkit.data.readers.folder_checks import relative_name, require_folder, require_split
from detkit.errors import DataError
from detkit.registry import Wired, register
from detkit.structures import DatasetIndex, Pairing

LOGGER = logging.getLogger("detkit.data")
_SHOWN = 5  # files in a message
SHARED_ID = "one id for several boxes"


def fits(path: Path) -> bool:
    """Whether a folder looks like COCO."""
    return bool(find_annotations(path))


@register("reader", "coco")
class CocoReader:
    """COCO JSON files with any name: one per split, or one for all images.

    The name of a file or its folder determines its split: annotations/instances_train2017.json,
    train_annotations.json, train/_annotations.coco.json. File names of images that do not exist
    as written are matched by the end of their path. If one file lists all images, and their folders
    are named train, val and so on, these are the splits. An annotation without a bbox gets the box
    around its segmentation. Crowd objects are ignored. Classes are the categories sorted by id.

    Args:
        annotations: Annotation file of each split, relative to the data folder; null finds them.
        images: Folder of the images, relative to the data folder; `{split}` is replaced by the
            split; null searches the data folder.
    """

    def __init__(
        self,
        *,
        masks: Wired[bool] = False,
        annotations: dict[str, str] | None = None,
        images: str | None = None,
    ) -> None:
        self.masks = masks
        self.annotations = annotations
        self.images = images

    def splits(self, path: Path) -> list[str]:
        """The splits with their own annotation file."""
        files = self._files(path)
        splits = sorted(name for name in files if name != WHOLE_SET)
        if self.annotations is None:
            _log_unused(path, files, splits)
        if splits or self.annotations is not None:
            return splits
        folders = folder_splits(path)
        if folders:
            LOGGER.info(
                "%s lists all images; the splits are their folders: %s",
                relative_name(files[WHOLE_SET], path),
                ", ".join(folders),
            )
        return folders

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split's file, or of the only file if splits have no files of their own.

        Raises:
            DataError: There is no such file or split, or the file is no COCO JSON.
        """
        files = self._files(path)
        if split is not None and list(files) == [WHOLE_SET] and split in folder_splits(path):
            return self._index(path, "", read_page(files[WHOLE_SET]), [], folder=split)
        if split is None:
            if WHOLE_SET not in files and len(files) > 1:
                raise DataError(
                    f"'{path}' has one annotation file per split ({', '.join(sorted(files))}): "
                    "name one of them."
                )
            file = files.get(WHOLE_SET) or next(iter(files.values()))
        else:
            require_split(path, split, sorted(name for name in files if name != WHOLE_SET))
            file = files[split]
        other_files = [other for other in files.values() if other != file]
        return self._index(path, split or "", read_page(file), other_files)

    def sources(self, path: Path) -> Sources:
        """The settings and annotation files that the indices of a folder depend on."""
        settings = json.dumps([self.annotations, self.images, *(["masks"] if self.masks else [])])
        return Sources(settings, sorted(self._files(path).values()))

    def _files(self, path: Path) -> dict[str, Path]:
        require_folder(path)
        if self.annotations is not None:
            files = {split: path / name for split, name in self.annotations.items()}
            missing = [str(file) for file in files.values() if not file.is_file()]
            if missing:
                raise DataError(
                    f"there is no annotation file {', '.join(missing)}: correct "
                    "data.reader.annotations, whose names are relative to data.path."
                )
            return files
        files = find_annotations(path)
        if not files:
            raise DataError(
                f"'{path}' has no COCO annotations: no JSON file in it has the lists images, "
                "annotations and categories. Set data.path to the folder above them, or name the "
                "files in data.reader.annotations."
            )
        return files

    def _index(
        self,
        path: Path,
        split: str,
        page: CocoPage,
        other_files: Sequence[Path],
        folder: str | None = None,
    ) -> DatasetIndex:
        if not page.images:
            raise DataError(
                f"'{page.file}' lists no images: add some, or remove the file if the data set "
                "should not have this split."
            )
        finder = ImageFinder(path, page.file, split, self.images)
        names = finder.locate([image[1] for image in page.images])
        own_names = _of_folder(names, folder, page)
        masks = read_masks(page) if self.masks else None
        builder = IndexBuilder(
            root=path,
            class_names=[name for _, name in page.categories],
            category_ids=[number for number, _ in page.categories],
            unused=page.unused,
            outlines=None if masks is None else masks.outlines,
            pairing=Pairing(
                annotation="COCO record",
                images_without_annotation=finder.unlisted(own_names, other_files),
                images_train=False,
            ),
        )
        objects = Objects(page)
        owners = Counter(number for number, _ in {image[:2] for image in page.images})
        seen, names_by_id = set(), {}
        for (image_id, file_name, height, width), name in zip(page.images, names, strict=True):
            if not is_of_split(name, folder):
                objects.pass_over(image_id)
            elif (image_id, file_name) in seen:
                builder.drop("image", "listed twice", name, f"id {image_id}")
            elif owners[image_id] > 1:
                builder.drop("image", "its id is that of other images too", name, f"id {image_id}")
                objects.drop_of(builder, image_id, "of several images with one id")
            elif builder.add_image(name, image_id, (height, width)):
                objects.add_of(builder, image_id)
                names_by_id[image_id] = name
            else:
                objects.pass_over(image_id)
            seen.add((image_id, file_name))
        objects.drop_rest(builder)
        _note_shared_ids(builder, page, names_by_id)
        _note_masks(builder, page, masks, names_by_id)
        return builder.build()


def _of_folder(names: Sequence[str], split: str | None, page: CocoPage) -> list[str]:
    """The images in the folder of a split; all of them for None.

    Raises:
        DataError: The file lists none of them.
    """
    matches = [name for name in names if is_of_split(name, split)]
    if not matches:
        raise DataError(
            f"'{page.file}' lists no image of the split '{split}': add the images in its folder, "
            "or set data.validation_split=null to hold back a part of the training images."
        )
    return matches


def _log_unused(path: Path, files: Mapping[str, Path], splits: Sequence[str]) -> None:
    """Log the unread COCO files."""
    used = [files[name] for name in splits] or [*files.values()]
    unused = passed_over(path, used)
    if unused:
        LOGGER.info(
            "%s: reading %s by name, not %s (to choose, set "
            "data.reader.annotations={SPLIT: FILE, ...})",
            path,
            f"{_listed(path, used)} as the file{'s of the splits' if splits else ' of all images'}",
            _listed(path, unused),
        )


def _listed(path: Path, files: Sequence[Path]) -> str:
    return ", ".join(relative_name(file, path) for file in files[:_SHOWN])


def _note_masks(
    builder: IndexBuilder, page: CocoPage, masks: MaskColumns | None, names: dict[int, str]
) -> None:
    """Note what is wrong with the masks of images that are used."""
    for row, reason in masks.faults.items() if masks is not None else ():
        if page.image_ids[row] in names:
            name = names[page.image_ids[row]]
            builder.note("mask", reason, name, place_of(page.numbers[row]))


def _note_shared_ids(builder: IndexBuilder, page: CocoPage, names: dict[int, str]) -> None:
    """Note ids that different boxes have, with the first two of them.

    Args:
        builder: Takes the notes.
        page: The file.
        names: The images that are used, by id.
    """
    numbers = np.array(page.numbers, dtype=np.int64)
    order = np.argsort(numbers, kind="stable")
    same = numbers[order[1:]] == numbers[order[:-1]]
    rows_of: dict[int, dict[int, None]] = defaultdict(dict)
    for before, after in zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True):
        rows_of[page.numbers[after]] |= {before: None, after: None}
    classes = dict(page.categories)
    for number, rows in rows_of.items():
        entries: dict[tuple[int, str], None] = {}
        for row in rows if number != NO_ID else ():
            if page.image_ids[row] in names:
                label = classes.get(page.category_ids[row], "unknown class")
                box = ", ".join(f"{value:g}" for value in page.boxes[4 * row : 4 * row + 4])
                entries[page.image_ids[row], f"{label} [{box}]"] = None
        if len(entries) > 1:
            (image, first), (other, second), *further = entries
            elsewhere = "" if other == image else f" in {Path(names[other]).name}"
            more = f" and {len(further)} more" if further else ""
            detail = f"{place_of(number)}: {first} and {second}{elsewhere}{more}"
            builder.note("annotation", SHARED_ID, names[image], detail)
