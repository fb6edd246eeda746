"""COCO: one JSON file per split."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.readers.folders import (
    relative_name,
    require_distinct,
    require_folder,
    require_split,
)
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
        return self._index(path, file, split or "", _load(file))

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

    def _index(self, path: Path, file: Path, split: str, page: dict[str, Any]) -> DatasetIndex:
        categories = sorted(page["categories"], key=lambda category: int(category["id"]))
        names = [str(category["name"]) for category in categories]
        require_distinct(file, names)
        ids = [int(category["id"]) for category in categories]
        label_of = {category_id: label for label, category_id in enumerate(ids)}
        by_image: dict[Any, list[Any]] = defaultdict(list)
        for annotation in page["annotations"]:
            by_image[annotation.get("image_id")].append(annotation)
        folder = self._image_folder(path, file, split, page["images"])
        builder = IndexBuilder(root=path, class_names=names, category_ids=ids)
        for image in page["images"]:
            annotations = by_image.pop(image["id"], [])
            name = relative_name(folder / image["file_name"], path)
            size = (int(image.get("height") or 0), int(image.get("width") or 0))
            if builder.add_image(name, _whole_number(file, image["id"]), size):
                for annotation in annotations:
                    _add(builder, name, annotation, label_of)
        for image_id, annotations in by_image.items():
            for _ in annotations:
                builder.drop("box", "of an image that is not listed", f"image id {image_id}")
        return builder.build()

    def _image_folder(self, path: Path, file: Path, split: str, images: list[Any]) -> Path:
        stem = file.stem.removeprefix("instances_")
        if self.images is not None:
            tried = [path / self.images.replace("{split}", split)]
        else:
            names = dict.fromkeys(name for name in (stem, split) if name)
            tried = [path / name for name in names] + [path / "images" / name for name in names]
            tried += [path / "images", file.parent, path]
        first = [str(image["file_name"]) for image in images[:20]]
        for folder in tried:
            if any((folder / name).is_file() for name in first):
                return folder
        if not first:
            return tried[-1]
        places = ", ".join(f"'{folder}'" for folder in tried)
        raise DataError(
            f"the images of '{file}' are not found: looked for '{first[0]}' in {places}. Set "
            "data.reader.images to their folder, relative to data.path."
        )


def _load(file: Path) -> dict[str, Any]:
    try:
        page: Any = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"'{file}' cannot be read as JSON ({error}): replace the file.") from error
    missing = [
        key
        for key in ("images", "annotations", "categories")
        if not isinstance(page, dict) or not isinstance(page.get(key), list)
    ]
    if missing:
        raise DataError(
            f"'{file}' is no COCO object-detection file: it has no list {', '.join(missing)}. Name "
            "the right files in data.reader.annotations."
        )
    needs = {"images": ("id", "file_name"), "categories": ("id", "name")}
    for key, fields in needs.items():
        for entry in page[key]:
            if not isinstance(entry, dict) or any(name not in entry for name in fields):
                raise DataError(
                    f"'{file}': an entry of '{key}' lacks {' or '.join(fields)}: {entry!r:.120}"
                )
    if not page["categories"]:
        raise DataError(f"'{file}' has no categories, so there is nothing to detect.")
    return dict(page)


def _whole_number(file: Path, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"'{file}': image id {value!r} is no whole number; renumber them."
        ) from error


def _add(
    builder: IndexBuilder, name: str, annotation: Mapping[str, Any], label_of: Mapping[int, int]
) -> None:
    label = label_of.get(annotation.get("category_id"))  # type: ignore[arg-type]
    if label is None:
        builder.drop("box", "of an unknown category", name)
        return
    try:
        x, y, width, height = (float(value) for value in annotation["bbox"])
        area = float(annotation.get("area") or "nan")
    except (KeyError, TypeError, ValueError):
        builder.drop("box", "no four numbers", name)
        return
    ignored = bool(annotation.get("iscrowd", 0)) or bool(annotation.get("ignore", 0))
    builder.add_object(Annotation(label, (x, y, x + width, y + height), ignored, area))
