"""FiftyOne: an exported FiftyOneDataset folder, or a dataset in FiftyOne's database."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.data.readers.folder_checks import relative_name, require_folder, require_split
from detkit.data.readers.globox_reading import distinct_splits
from detkit.data.readers.image_entries import WHOLE, ImageEntry, ObjectEntry, index_of
from detkit.data.readers.split_names import SPLIT_WORDS
from detkit.errors import DataError, did_you_mean
from detkit.pixels.image_decoding import UnreadableImageError, read_header
from detkit.registry import register
from detkit.structures import DatasetIndex

SAMPLES = "samples.json"
_USED = ("_id", "_cls", "id", "attributes", "tags", "label", "bounding_box", "iscrowd")
_EMPTY: tuple[Any, ...] = (None, {}, [], "", False)
_COORDINATES = 4


@register("reader", "fiftyone")
class FiftyOneReader:
    """FiftyOne's datasets: the folder of an export, or a dataset of its database by name.

    The folder is one that `dataset.export(export_dir=FOLDER,
    dataset_type=fiftyone.types.FiftyOneDataset)` wrote; reading it needs no package. The database
    needs `pip install "detkit[fiftyone]"`; `data.path` is then the folder that holds the images.
    Splits are the tags train, val, validation, test and so on, if every sample has one.

    Args:
        dataset: The name of a dataset in FiftyOne's database; null reads the folder.
        field: The field with the objects, of the type `Detections`.
    """

    def __init__(self, *, dataset: str | None = None, field: str = "ground_truth") -> None:
        self.dataset = dataset
        self.field = field

    def splits(self, path: Path) -> list[str]:
        """The splits that the samples' tags name."""
        return distinct_splits([_split(sample) for sample in self._samples(path)])

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split, or of all samples.

        Raises:
            DataError: There is no such dataset, field or split, or FiftyOne is not installed.
        """
        samples = self._samples(path)
        if split is not None:
            require_split(path, split, distinct_splits([_split(sample) for sample in samples]))
        entries = [_entry(sample, self.field, path) for sample in samples]
        return index_of(path, split, entries, (), annotation="FiftyOne sample")

    def _samples(self, path: Path) -> Sequence[Mapping[str, Any]]:
        """The samples as FiftyOne's own dictionaries."""
        require_folder(path)
        samples = _exported(path) if self.dataset is None else _in_database(self.dataset)
        media = {str(sample.get("_media_type", "image")) for sample in samples} - {"image"}
        if media:
            raise DataError(
                f"'{self.dataset or path}' holds samples of the type {', '.join(sorted(media))}, "
                "expected images: export the frames of a video with dataset.to_frames()."
            )
        if not any(self.field in sample for sample in samples):
            self._raise_without_field(path, samples)
        return samples

    def _raise_without_field(self, path: Path, samples: Iterable[Mapping[str, Any]]) -> None:
        fields = sorted({key for sample in samples for key in sample if _objects(sample[key])})
        names = f"Fields with objects: {', '.join(fields)}." if fields else "No field has objects."
        raise DataError(
            f"'{self.dataset or path}' has no field '{self.field}'."
            f"{did_you_mean(self.field, fields)} {names} Set data.reader.field."
        )


def _exported(path: Path) -> list[dict[str, Any]]:
    file = path / SAMPLES
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [dict(sample) for sample in content["samples"]]
    except FileNotFoundError as error:
        raise DataError(
            f"'{path}' has no {SAMPLES}: set data.path to a folder that FiftyOne exported as "
            "FiftyOneDataset, or data.reader.dataset to a name in FiftyOne's database."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{file}' cannot be read as FiftyOne writes it: export again.") from error


def _in_database(name: str) -> list[dict[str, Any]]:
    try:
        fiftyone = importlib.import_module("fiftyone")
    except ImportError as error:
        raise DataError(
            "data.reader.dataset needs the package fiftyone, which is not installed: pip install "
            '"detkit[fiftyone]", or export the dataset and set data.path alone.'
        ) from error
    try:
        names = fiftyone.list_datasets()
    except Exception as error:  # its configuration, its database and the driver raise their own
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"data.reader.dataset={name}: FiftyOne's database does not answer ({reason})."
        ) from error
    if name not in names:
        raise DataError(
            f"data.reader.dataset={name}: FiftyOne has no such dataset.{did_you_mean(name, names)}"
            f" Its datasets: {', '.join(names) or 'none'}."
        )
    return [sample.to_dict() for sample in fiftyone.load_dataset(name)]


def _split(sample: Mapping[str, Any]) -> str:
    tags = [tag for tag in sample.get("tags") or () if tag in SPLIT_WORDS]
    return tags[0] if tags else WHOLE


def _entry(sample: Mapping[str, Any], field: str, root: Path) -> ImageEntry:
    file = Path(str(sample["filepath"]))
    size, objects = _size(sample, root / file), _objects(sample.get(field))
    unused = Counter(
        key for item in objects for key, value in item.items() if key not in _USED and _has(value)
    )
    image = relative_name(file, root.absolute())
    return ImageEntry(
        source=image,
        image=image,
        split=_split(sample),
        size=size,
        objects=[_object(item, size) for item in objects],
        unused=unused,
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a field: of `Detections`, or a single `Detection`."""
    kind = value.get("_cls") if isinstance(value, Mapping) else None
    if kind == "Detection":
        return [dict(value)]
    return list(value.get("detections") or ()) if kind == "Detections" else []


def _size(sample: Mapping[str, Any], file: Path) -> tuple[int, int]:
    """(height, width) in the sample's metadata, else of the file; zeros if both are missing."""
    metadata = sample.get("metadata") or {}
    if metadata.get("width") and metadata.get("height"):
        return int(metadata["height"]), int(metadata["width"])
    try:
        return read_header(file).size
    except UnreadableImageError:
        return 0, 0


def _object(item: Mapping[str, Any], size: tuple[int, int]) -> ObjectEntry:
    name, box = str(item.get("label") or "").strip(), list(item.get("bounding_box") or ())
    ignored = bool(item.get("iscrowd"))
    if not all(size):
        return ObjectEntry(name, None, "the size of its image is not known", ignored)
    if len(box) != _COORDINATES or not all(isinstance(value, int | float) for value in box):
        return ObjectEntry(name, None, "no four numbers", ignored)
    (height, width), (x, y, w, h) = size, box
    corners = x * width, y * height, (x + w) * width, (y + h) * height
    return ObjectEntry(name, corners, ignored=ignored)


def _has(value: Any) -> bool:
    return not isinstance(value, str | bool | dict | list | type(None)) or value not in _EMPTY
