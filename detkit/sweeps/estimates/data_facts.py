"""Facts about a configuration's data set: classes, numbers of images, their sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.derived.image_size import KEY as IMAGE_SIZE
from detkit.data.collate import Collate
from detkit.data.detection_data import DetectionData
from detkit.data.detection_dataset import DetectionDataset, Key
from detkit.data.drawing.scene import CLASS_NAMES
from detkit.data.quiet_reading import without_messages
from detkit.data.tiled_dataset import dataset_class
from detkit.interfaces import MixingTransform
from detkit.structures import Sample, Target

Size = tuple[int, int]
_LOOKED_AT = 4  # images of each split to read for their size after the transforms
_SHAPES = "shapes"
# Settings of the data block that change neither images nor their sizes before batches are made.
_OF_BATCHES = {
    *("batch_size", "validation_batch_size", "workers", "sampling"),
    *("multi_scale", "multi_scale_every", "index_cache"),
}


@dataclass(frozen=True)
class DataFacts:
    """Facts about a data set that estimates need.

    Attributes:
        classes: Its classes, with their counts if the annotations were read.
        train_images: Number of images to train on.
        validation_images: Number of images to validate on.
        trained: Height and width of training batches.
        seen: Height and width of validation images.
    """

    classes: Classes
    train_images: int
    validation_images: int
    trained: Size
    seen: Size


class DataReader:
    """Reads the facts of configurations, and the annotations of each data set only once."""

    def __init__(self) -> None:
        self._facts: dict[str, DataFacts] = {}
        self._data: dict[str, DetectionData] = {}

    def __call__(self, config: Mapping[str, Any]) -> DataFacts:
        """The facts of a checked configuration; reads annotations and a few images.

        The embedded data set is not rendered; its facts follow from its settings.

        Raises:
            DataError: The data set cannot be read.
        """
        data = {name: value for name, value in config["data"].items() if name not in _OF_BATCHES}
        of_data = json.dumps(data, sort_keys=True)
        changing = [config[name] for name in ("augmentation", IMAGE_SIZE)]
        key = of_data + json.dumps(changing, sort_keys=True)
        if key not in self._facts:
            if data["reader"]["name"] == _SHAPES:
                self._facts[key] = _of_shapes(config)
            else:
                with without_messages():
                    if of_data not in self._data:
                        self._data[of_data] = assembly.build_data(config)
                    self._facts[key] = _of_files(config, self._data[of_data])
        return self._facts[key]


def _of_files(config: Mapping[str, Any], data: DetectionData) -> DataFacts:
    sizes = []
    for split, index in (("train", data.train_index), ("evaluation", data.validation_index)):
        transforms = assembly.build_transforms(config["augmentation"], split)
        dataset = dataset_class(index)(
            index, transforms=transforms, seed=data.seed, pixels=data.pixels
        )
        sizes.append(_batch_size(dataset, config["augmentation"].get("pad_multiple", 1)))
    return DataFacts(
        classes=Classes(data.class_names, data.category_ids, data.class_counts),
        train_images=len(data.train_index),
        validation_images=len(data.validation_index),
        trained=sizes[0],
        seen=sizes[1],
    )


def _batch_size(dataset: DetectionDataset, pad_multiple: int) -> Size:
    """Height and width of a batch of a few images, spread over a data set."""
    count = len(dataset)
    positions = {count * number // _LOOKED_AT for number in range(_LOOKED_AT)}
    samples = [dataset[Key(0, position)] for position in sorted(positions)]
    height, width = Collate(pad_multiple=pad_multiple)(samples).images.shape[-2:]
    return height, width


def _of_shapes(config: Mapping[str, Any]) -> DataFacts:
    data = config["data"]
    reader, limit = data["reader"], data["limit_images"]
    train, validation = reader["train_images"], reader["validation_images"]
    return DataFacts(
        classes=Classes([*CLASS_NAMES], [*range(1, len(CLASS_NAMES) + 1)]),
        train_images=min(train, limit or train),
        validation_images=min(validation, limit or validation),
        trained=_blank_size(config, "train", reader["image_size"]),
        seen=_blank_size(config, "evaluation", reader["image_size"]),
    )


def _blank_size(config: Mapping[str, Any], split: str, side: int) -> Size:
    """Height and width of a blank square image after the transforms, padded as in a batch."""
    transforms = assembly.build_transforms(config["augmentation"], split)
    if any(isinstance(transform, MixingTransform) for transform in transforms.values()):
        return assembly.image_size(config, split)
    target = Target.empty()
    sample = Sample(
        image=torch.zeros(3, side, side, dtype=torch.uint8),
        target=target,
        original_target=target,
        image_id=0,
        path="",
        original_size=(side, side),
    )
    generator = torch.Generator().manual_seed(0)
    for transform in transforms.values():
        sample = transform(sample, generator)
    pad = config["augmentation"].get("pad_multiple", 1)
    height, width = (-(-length // pad) * pad for length in sample.size)
    return height, width
