"""Several detectors as one; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from detkit.api.augmented_backend import AugmentedBackend, ViewBackend, mask_notes
from detkit.api.image_inputs import ImageToRead
from detkit.errors import UserError
from detkit.inference.merging import Merging
from detkit.pixels.resizing import Size
from detkit.public_names import import_name
from detkit.structures.arrays import DetectionArrays
from detkit.text import listed

Member = ViewBackend | AugmentedBackend
_FEW = 5  # classes that a message names


class MergedImage(NamedTuple):
    """An image as each detector prepared it.

    Attributes:
        prepared: One per detector.
        original_size: (height, width) of the image.
    """

    prepared: tuple[Any, ...]
    original_size: Size


class MergedBackend:
    """Runs several backends and merges their detections; see `Backend` for its attributes.

    Classes are matched by name. A class that some of the detectors do not know is merged from the
    detections of those that know it.

    Args:
        members: Two detectors or more.
        merging: Merges their detections.
        weights: How much each detector counts; None weights all alike.

    Attributes:
        notes: Lines about classes that only some of the detectors know, and about masks.

    Raises:
        UserError: The detectors have no class in common, or take images of different channels.
    """

    def __init__(
        self, members: Sequence[Member], merging: Merging, weights: Sequence[float] | None = None
    ) -> None:
        _require_equal_pixels(members)
        self.members, self._merging = list(members), merging
        self._weights = None if weights is None else np.array(weights, np.float64)
        self.source = " + ".join(member.source for member in members)
        names = dict.fromkeys(name for member in members for name in member.class_names)
        self.class_names, self.category_ids = tuple(names), _category_ids(members, names)
        self._labels = [
            np.array([self.class_names.index(name) for name in member.class_names])
            for member in members
        ]
        networks = [m.backend if isinstance(m, AugmentedBackend) else m for m in members]
        self.notes = [*_class_notes(members, names), *mask_notes(networks)]
        self._evaluated = next((n for n in networks if n.has_data), networks[0])
        self._groups = self._members_by_classes()
        self.device = " and ".join(dict.fromkeys(member.device for member in members))
        self.stride = max(member.stride for member in members)
        shares = np.ones(len(members)) if self._weights is None else self._weights
        thresholds = [member.threshold for member in members]
        self.threshold = float(np.average(thresholds, weights=shares))
        self.class_thresholds: Mapping[str, float] | None = None  # merging changes the scores
        listed_values = listed([f"{threshold:.2f}" for threshold in thresholds])
        self.threshold_origin = f"the mean of the detectors' thresholds {listed_values}"
        self.decode_jpeg, self.pixels = members[0].decode_jpeg, members[0].pixels
        self.has_masks = False

    def prepare(self, image: ImageToRead) -> MergedImage:
        """Decode an image once and prepare it for each detector.

        Raises:
            DataError: The image cannot be decoded.
        """
        pixels = image.pixels()
        decoded = image._replace(decode=lambda: pixels)
        prepared = tuple(member.prepare(decoded) for member in self.members)
        return MergedImage(prepared, (pixels.shape[0], pixels.shape[1]))

    def predict(self, samples: Sequence[MergedImage]) -> list[DetectionArrays]:
        """Detect objects with each detector, in coordinates of the original images."""
        columns = [
            member.predict([image.prepared[number] for image in samples])
            for number, member in enumerate(self.members)
        ]
        return [self._merged(detections) for detections in zip(*columns, strict=True)]

    def evaluate(self, data: str | None, overrides: Sequence[str]) -> dict[str, float]:
        """Measure on a data set, which needs the whole of detkit."""
        numbers: dict[str, float] = import_name("evaluate_backend")(self, data, overrides)
        return numbers

    def evaluation_config(self, words: Sequence[str]) -> dict[str, Any]:
        """The checked configuration of an evaluation: the first run's, or the first file's."""
        return self._evaluated.evaluation_config(words)

    def _merged(self, detections: Sequence[DetectionArrays]) -> DetectionArrays:
        views = [
            DetectionArrays(boxes, scores, labels[indices])
            for (boxes, scores, indices), labels in zip(detections, self._labels, strict=True)
        ]
        parts = []
        for members, classes in self._groups.items():
            weights = None if self._weights is None else self._weights[list(members)].tolist()
            group = [views[number] for number in members]
            if len(self._groups) > 1:
                group = [view.select(np.isin(view.labels, classes)) for view in group]
            parts.append(self._merging(group, weights))
        if len(parts) == 1:
            return parts[0]
        boxes, scores, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(-scores, kind="stable")[: self._merging.settings["max_detections"]]
        return DetectionArrays(boxes, scores, labels).select(order)

    def _members_by_classes(self) -> dict[tuple[int, ...], list[int]]:
        """The labels of the classes that the same detectors know, by these detectors."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for label, name in enumerate(self.class_names):
            members = (n for n, member in enumerate(self.members) if name in member.class_names)
            groups.setdefault(tuple(members), []).append(label)
        return groups


def _require_equal_pixels(members: Sequence[Member]) -> None:
    """Refuse detectors that take different images.

    Raises:
        UserError: They do.
    """
    first = members[0]
    for member in members[1:]:
        if member.pixels != first.pixels:
            raise UserError(
                f"ckpt: {first.source} takes images of {first.pixels.channels} channels and "
                f"{member.source} of {member.pixels.channels}, or their value ranges differ: an "
                "ensemble needs detectors of the same images."
            )


def _category_ids(members: Sequence[Member], names: Mapping[str, None]) -> tuple[int, ...]:
    """The id of each class, of the first detector that knows it; a taken id becomes a new one."""
    ids: dict[str, int] = {}
    for member in members:
        for name, number in zip(member.class_names, member.category_ids, strict=True):
            if name not in ids:
                is_used = number in ids.values()
                ids[name] = max(ids.values()) + 1 if is_used else number
    return tuple(ids[name] for name in names)


def _class_notes(members: Sequence[Member], names: Mapping[str, None]) -> list[str]:
    """Lines about classes that only some detectors know.

    Raises:
        UserError: No class is known to two detectors.
    """
    notes = []
    knowing = {name: [m.source for m in members if name in m.class_names] for name in names}
    if all(len(sources) == 1 for sources in knowing.values()):
        texts = [f"{m.source} detects {_few(list(m.class_names))}" for m in members]
        raise UserError(
            f"ckpt: the detectors have no class in common: {'; '.join(texts)}. Classes are matched "
            "by name."
        )
    for sources in dict.fromkeys(tuple(s) for s in knowing.values() if len(s) < len(members)):
        classes = [name for name, known_to in knowing.items() if tuple(known_to) == sources]
        notes.append(f"only {listed(list(sources))} detects {_few(classes)}")
    return notes


def _few(names: Sequence[str]) -> str:
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + f" and {more} more" * (more > 0)
