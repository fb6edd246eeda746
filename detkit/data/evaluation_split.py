"""The images to measure a detector or a file of detections on."""

from __future__ import annotations

from dataclasses import dataclass

from detkit.data.detection_data import DetectionData
from detkit.data.splits import find_split, require_split, role_of
from detkit.errors import DataError
from detkit.structures import DatasetIndex
from detkit.text import counted

_CONFIGURED = "validation"  # the split that the configuration validates on
_ALL = "all"


@dataclass(frozen=True)
class MeasuredSplit:
    """A split under the data set's name for it.

    Attributes:
        name: The data set's name, or a description of the images if it has none.
        index: Its images and objects.
    """

    name: str
    index: DatasetIndex

    def describe(self) -> str:
        """The name and the numbers of images and objects, in one line."""
        images = counted(len(self.index), "image")
        return f"split: {self.name} ({images}, {counted(len(self.index.labels), 'object')})"


def measured_split(data: DetectionData, word: str) -> MeasuredSplit:
    """Find the split that a word means.

    Args:
        data: The data set.
        word: `validation` for the split that the configuration validates on, `all` for a data set
            without splits, else the data set's name of a split or a synonym.

    Raises:
        DataError: There is no such split.
    """
    splits = data.splits
    if word == _ALL and _ALL not in splits:
        return _undivided(data)
    name = find_split(word, splits)
    configured = find_split(data.validation_split or "", splits)
    is_validation = word == _CONFIGURED or (name is None and role_of(word) == "val")
    if is_validation or (name is not None and name == configured):
        if configured is not None and find_split(data.train_split, splits) is None:
            # a data set without a training split: the classes come from this split
            return MeasuredSplit(configured, data.read_split(configured))
        index = data.validation_index
        return MeasuredSplit(data.validation_name or "images held back from training", index)
    if role_of(word) == "train" and name in (None, find_split(data.train_split, splits)):
        return MeasuredSplit(data.training_name or "images to train on", data.train_index)
    name = require_split(word, splits, "split")
    return MeasuredSplit(name, data.read_split(name))


def _undivided(data: DetectionData) -> MeasuredSplit:
    if len(data.splits) > 1:
        raise DataError(
            f"split={_ALL}: {data.path} has the splits {', '.join(data.splits)}: measure one of "
            f"them, such as split={data.splits[-1]}."
        )
    name = next(iter(data.splits), None)
    return MeasuredSplit(name or "all images", data.read_split(name))
