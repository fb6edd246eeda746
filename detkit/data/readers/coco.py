"""COCO: one JSON file per split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from detkit.data.index import IndexBuilder
from detkit.data.readers.coco_objects import Objects, place_of
from detkit.data.readers.coco_page import NO_ID, CocoPage, read_page
from detkit.data.readers.folders import relative_name, require_folder, require_split
from detkit.errors import DataError
from detkit.registry import register
from detkit.structures import DatasetIndex

# Names of JSON files that hold boxes; in annotations/ every name counts but those of other tasks.
_KNOWN = re.compile(
    r"(instances(_.*)?|annotations|coco|_annotations\.coco|(mini)?val(id(ation)?)?|test|dev"
    r"|train(ing|val)?)([_-]?\d{4})?"
)
_OTHER_TASKS = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_WHOLE = ("instances", "annotations", "coco", "_annotations.coco")
SHARED_ID = "one id for several boxes"
ALL = ""  # the key of a file that is not of one split


def fits(path: Path) -> bool:
    """Whether a folder looks like COCO."""
    return bool(find_annotations(path))


def find_annotations(path: Path) -> dict[str, Path]:
    """Annotation files by split, discovered by name."""
    files = [f for f in sorted(path.glob("*.json")) if _KNOWN.fullmatch(f.stem)]
    files += [
        f for f in sorted(path.glob("annotations/*.json")) if not f.stem.startswith(_OTHER_TASKS)
    ]
    found = {file.stem.removeprefix("instances_"): file for file in files}
    found = {(ALL if name in _WHOLE else name): file for name, file in found.items()}
    # as Roboflow exports: train/_annotations.coco.json beside the images
    found |= {f.parent.name: f for f in sorted(path.glob("*/_annotations.coco.json"))}
    without_year = {name: re.sub(r"[_-]?\d{4}$", "", name) or name for name in found}
    counts = Counter(without_year.values())
    return {
        (short if counts[short] == 1 else name): found[name] for name, short in without_year.items()
    }


@register("reader", "coco")
class CocoReader:
    """COCO JSON files, found by name or listed.

    Found by themselves are `annotations/instances_train2017.json`, `annotations/train.json`,
    `train.json`, `train/_annotations.coco.json` and the like. Crowd objects are ignored. Classes
    are the categories sorted by id.

    Args:
        annotations: Annotation file of each split, relative to the data folder; null finds them.
        images: Folder of the images, relative to the data folder, `{split}` standing for the split;
            null looks in those named after the split, in images/ and beside the annotations.
    """

    def __init__(
        self, *, annotations: dict[str, str] | None = None, images: str | None = None
    ) -> None:
        self.annotations = annotations
        self.images = images

    def splits(self, path: Path) -> list[str]:
        """The splits that have an annotation file of their own."""
        return sorted(name for name in self._files(path) if name != ALL)

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split's file, or of the only file where splits have none of their own.

        Raises:
            DataError: There is no such file or split, or the file is no COCO JSON.
        """
        files = self._files(path)
        if split is None:
            if ALL not in files and len(files) > 1:
                raise DataError(
                    f"'{path}' has one annotation file per split ({', '.join(sorted(files))}): "
                    "name one of them."
                )
            file = files.get(ALL) or next(iter(files.values()))
        else:
            require_split(path, split, self.splits(path))
            file = files[split]
        return self._index(path, split or "", read_page(file))

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
                f"'{path}' has no annotations: looked for annotations/instances_<split>.json, "
                "annotations/<split>.json, <split>.json and <split>/_annotations.coco.json. Set "
                "data.path to the folder above them, or name the files in data.reader.annotations."
            )
        return files

    def _index(self, path: Path, split: str, page: CocoPage) -> DatasetIndex:
        builder = IndexBuilder(
            root=path,
            class_names=[name for _, name in page.categories],
            category_ids=[number for number, _ in page.categories],
            unused=page.unused,
        )
        objects = Objects(page)
        folder = self._image_folder(path, page.file, split, [image[1] for image in page.images])
        before = relative_name(folder / "x", path)[:-1]
        owners = Counter(number for number, _ in {image[:2] for image in page.images})
        seen, taken = set(), {}
        for image_id, file_name, height, width in page.images:
            name = _name_in(folder, before, file_name, path)
            if (image_id, file_name) in seen:
                builder.drop("image", "listed twice", name, f"id {image_id}")
            elif owners[image_id] > 1:
                builder.drop("image", "its id is that of other images too", name, f"id {image_id}")
                objects.drop_of(builder, image_id, "of several images with one id")
            elif builder.add_image(name, image_id, (height, width)):
                objects.add_of(builder, image_id)
                taken[image_id] = name
            else:
                objects.pass_over(image_id)
            seen.add((image_id, file_name))
        objects.drop_rest(builder)
        _note_shared_ids(builder, page, taken)
        return builder.build()

    def _image_folder(self, path: Path, file: Path, split: str, names: list[str]) -> Path:
        stem = file.stem.removeprefix("instances_")
        if self.images is not None:
            tried = [path / self.images.replace("{split}", split)]
        else:
            folders = dict.fromkeys(name for name in (stem, split) if name)
            tried = [path / name for name in folders]
            tried += [path / "images" / name for name in folders]
            tried += [path / "images", file.parent, path]
        some = names[:20] + names[:: max(1, len(names) // 100)]  # the first may be missing
        tried = list(dict.fromkeys(tried))  # the file may lie in the data folder itself
        for folder in tried:
            if any(_is_file(folder / name) for name in some):
                return folder
        if not names:
            return tried[-1]
        places = ", ".join(f"'{folder}'" for folder in tried)
        raise DataError(
            f"the images of '{file}' are not found: looked for '{names[0]}' in {places}. Set "
            "data.reader.images to their folder, relative to data.path."
        )


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
            (image, first), (other, second), *rest = entries
            place = "" if other == image else f" in {Path(names[other]).name}"
            more = f" and {len(rest)} more" if rest else ""
            detail = f"{place_of(number)}: {first} and {second}{place}{more}"
            builder.note("annotation", SHARED_ID, names[image], detail)


def _name_in(folder: Path, before: str, file_name: str, path: Path) -> str:
    """The name of a file relative to the root; of most by putting it behind that of its folder."""
    if file_name.isascii() and file_name.replace("_", "").replace(".", "0", 1).isalnum():
        return before + file_name
    return relative_name(folder / file_name, path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
