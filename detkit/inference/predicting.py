"""Predictions batch by batch, whatever runs the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from detkit.errors import DataError

T = TypeVar("T")


class Prediction(NamedTuple):
    """The detections in one image.

    Attributes:
        sample: The image as the detector saw it, with its original size.
        detections: In original coordinates.
    """

    sample: Any
    detections: Any


class PredictsSamples(Protocol):
    """Detects objects in prepared images."""

    def predict(self, samples: Sequence[Any]) -> Sequence[Any]:
        """The detections of each sample, in order, in original coordinates."""
        ...


def predict_images(
    predictor: PredictsSamples,
    images: Sequence[T],
    read: Callable[[T], Any],
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
        readable = [sample for sample in samples if not isinstance(sample, DataError)]
        detections = iter(predictor.predict(readable))
        for sample in samples:
            if isinstance(sample, DataError):
                yield sample
            else:
                yield Prediction(sample, next(detections))


def _sample_or_error(read: Callable[[T], Any], image: T) -> Any:
    try:
        return read(image)
    except DataError as error:
        return error
