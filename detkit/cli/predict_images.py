"""The images of a source as writers get them: predicted, filtered by class, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from detkit.api.detector import Detector
from detkit.api.thresholds import Threshold
from detkit.cli.predict_settings import PredictSettings
from detkit.cli.predict_sources import NamedResult, Source
from detkit.errors import DataError, UserError, did_you_mean
from detkit.files import files_digest
from detkit.structures.predictions import PredictedImage
from detkit.version import __version__


class PredictedImages:
    """Predicts on the images of a source.

    Args:
        detector: The detector.
        settings: The command's settings.
        source: The images.

    Attributes:
        count: How many there are; None if that is not known.

    Raises:
        UserError: `classes` or `score_threshold` names a class that the detector does not have.
    """

    def __init__(self, detector: Detector, settings: PredictSettings, source: Source) -> None:
        self._detector, self._settings, self._source = detector, settings, source
        self._labels = kept_labels(settings.classes, detector.class_names)
        self._threshold = resolved(settings.score_threshold, detector)
        self.count = source.count

    def identity(self) -> dict[str, Any]:
        """All that the written files depend on, as plain values.

        Without the size of batches, which changes detections by rounding alone, and without the
        names of checkpoint and output, which may move.
        """
        settings = self._settings
        return {
            "detkit": __version__,
            "checkpoint": files_digest(settings.checkpoint_files),
            "source": self._source.identity,
            "device": self._detector.device.partition(":")[0],
            "score_threshold": self._threshold,
            "format": list(settings.writers),
            "classes": settings.classes,
            "mask_format": settings.mask_format,
            **settings.others,
        }

    def after(self, start: int) -> Iterator[PredictedImage | DataError]:
        """Predict on all images but the first `start`."""
        results = self._source.results(
            self._detector,
            threshold=self._threshold,
            batch_size=self._settings.batch_size,
            start=start,
        )
        return map(self._image, results)

    def _image(self, named: NamedResult) -> PredictedImage | DataError:
        if isinstance(named.result, DataError):
            return named.result
        result = named.result
        if self._labels is not None:
            result = result.select(np.isin(result.labels, self._labels))
        record = result.to_record(
            named.number, named.name, named.file_name, mask_format=self._settings.mask_format
        )
        return PredictedImage(record, result.class_names, result.draw, result.crops)


def resolved(threshold: Threshold | None, detector: Detector) -> Threshold:
    """The threshold as numbers, so that a stopped prediction continues with the same ones.

    Raises:
        UserError: It names another class, or the detector has no thresholds of classes.
    """
    if threshold is None:
        return detector.threshold
    return threshold if isinstance(threshold, float | int) else detector.minimum_scores(threshold)


def scores_text(detector: Detector, threshold: Threshold) -> str:
    """The minimum score of each class in a line."""
    scores = detector.minimum_scores(threshold)
    return ", ".join(f"{name} {score:.2f}" for name, score in scores.items())


def kept_labels(classes: Sequence[str] | None, class_names: Sequence[str]) -> list[int] | None:
    """The labels of the classes to keep; None keeps all.

    Raises:
        UserError: There is no such class, or the list is empty.
    """
    if classes is None:
        return None
    if not classes:
        raise UserError("classes=[]: keeps no class; name some as classes=[A,B], or leave it out.")
    for name in classes:
        if name not in class_names:
            raise UserError(
                f"classes: the detector has no class '{name}'.{did_you_mean(name, class_names)} "
                f"Its classes: {', '.join(class_names)}."
            )
    return [class_names.index(name) for name in classes]
