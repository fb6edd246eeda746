"""The split on which to evaluate a detector or a file of detections."""

from __future__ import annotations

from dataclasses import dataclass

from detkit.data.detection_data import DetectionData
from detkit.data.split_indices import SplitIndices
from detkit.data.splits import find_split, require_split, role_of
from detkit.errors import DataError
from detkit.structures import DatasetIndex
from detkit.text import counted

_CONFIGURED = "validation"  # the split that the configuration validates on
_ALL = "all"


@dataclass(frozen=True)
class MeasuredSplit:
    """The images of an evaluation.

    Attributes:
        name: The data set's name of the split, or a description of the images if it has none.
        index: Its images and objects.
    """

    name: str
    index: DatasetIndex

    def describe(self) -> str:
        """One line: the name and the number of images and objects."""
        images = counted(len(self.index), "image")
        return f"split: {self.name} ({images}, {counted(len(self.index.labels), 'object')})"


def measured_split(data: DetectionData, word: str) -> MeasuredSplit:
    """Find the split for a name, synonym or role.

    Args:
        data: The data set.
        word: `validation` for the configured validation split, `all` for a data set without splits,
            otherwise the data set's name of a split or a synonym.

    Raises:
        DataError: There is no such split.
    """
    indices = data.indices
    splits = indices.splits
    if word == _ALL and _ALL not in splits:
        return _undivided(indices)
    name = find_split(word, splits)
    configured = find_split(indices.validation_split or "", splits)
    is_validation = word == _CONFIGURED or (name is None and role_of(word) == "val")
    if is_validation or (name is not None and name == configured):
        if configured is not None and find_split(indices.train_split, splits) is None:
            # a data set without a training split: the classes come from this split
            return MeasuredSplit(configured, indices.read(configured))
        index = indices.validation
        return MeasuredSplit(indices.validation_name or "images held back from training", index)
    if role_of(word) == "train" and name in (None, find_split(indices.train_split, splits)):
        return MeasuredSplit(indices.training_name or "images to train on", indices.training)
    name = require_split(word, splits, "split")
    return MeasuredSplit(name, indices.read(name))


def _undivided(indices: SplitIndices) -> MeasuredSplit:
    if len(indices.splits) > 1:
        raise DataError(
            f"split={_ALL}: {indices.path} has the splits {', '.join(indices.splits)}: measure one "
            f"of them, such as split={indices.splits[-1]}."
        )
    name = next(iter(indices.splits), None)
    return MeasuredSplit(name or "all images", indices.read(name))
