"""Predictions of a detector, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from detkit.errors import DataError
from detkit.inference.batch_norm_folding import ready_to_predict
from detkit.structures import Batch, Detections, Sample

T = TypeVar("T")


class Prediction(NamedTuple):
    """The detections in one image.

    Attributes:
        sample: The image as the detector saw it, with its original size.
        detections: In original coordinates, on the CPU.
    """

    sample: Sample
    detections: Detections


class Predictor:
    """Runs a detector on samples. Threads may share it: they take turns on the device.

    A part may keep state between calls (priors are cached, a plugin's part may do anything), so
    only one thread runs the detector at a time; reading images is not part of that.

    Args:
        detector: Made ready for predictions with the first batch, see `ready_to_predict`.
        collate: Turns samples into a batch.
        device: Where the detector runs.
    """

    def __init__(
        self,
        detector: nn.Module,
        *,
        collate: Callable[[Sequence[Sample]], Batch],
        device: torch.device,
    ) -> None:
        self._detector = detector
        self._collate = collate
        self._device = device
        self._is_ready = False
        self._lock = Lock()

    def predict(self, samples: Sequence[Sample]) -> list[Detections]:
        """Detect objects; one forward pass for all samples of the same size.

        Samples of different sizes would need padding that changes the detections at their borders,
        so that a result would depend on the other images of its batch.

        Args:
            samples: One or more.

        Returns:
            The detections of each sample, in order, on the CPU, in original coordinates.
        """
        by_size: dict[tuple[int, int], list[int]] = {}
        for position, sample in enumerate(samples):
            by_size.setdefault(sample.size, []).append(position)
        detections: dict[int, Detections] = {}
        for positions in by_size.values():
            batch = self._collate([samples[position] for position in positions])
            detections |= zip(positions, self._run(batch), strict=True)
        return [detections[position] for position in range(len(samples))]

    @torch.no_grad()
    def _run(self, batch: Batch) -> list[Detections]:
        with self._lock:
            batch = batch.to(self._device)
            if not self._is_ready:
                self._detector = ready_to_predict(self._detector, batch.images)
                self._is_ready = True
            outputs = self._detector.predict(batch)  # type: ignore[operator]
            return [detections.to("cpu") for detections in outputs]


def predict_images(
    predictor: Predictor,
    images: Sequence[T],
    read: Callable[[T], Sample],
    *,
    batch_size: int = 1,
) -> Iterator[Prediction | DataError]:
    """Predict batch by batch; the error of an image that cannot be read takes its position.

    Args:
        predictor: Runs the detector.
        images: Whatever `read` takes, such as paths.
        read: Makes a sample of an image, or raises DataError.
        batch_size: Images to read before the detector runs.

    Yields:
        The prediction of each image, in order, or the error of `read`.
    """
    for start in range(0, len(images), batch_size):
        window = images[start : start + batch_size]
        samples = [_sample_or_error(read, image) for image in window]
        readable = [sample for sample in samples if isinstance(sample, Sample)]
        detections = iter(predictor.predict(readable))
        for sample in samples:
            if isinstance(sample, Sample):
                yield Prediction(sample, next(detections))
            else:
                yield sample


def _sample_or_error(read: Callable[[T], Sample], image: T) -> Sample | DataError:
    try:
        return read(image)
    except DataError as error:
        return error
