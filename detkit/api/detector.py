"""Detectors for programs: predict on images, measure on data, whatever runs the network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from detkit.api.arguments import (
    override_list,
    refuse_overrides,
    require_batch_size,
)
from detkit.api.backend import Backend
from detkit.api.image_inputs import ImageInput, ImageToRead, images_to_read
from detkit.api.results import Result, result_of
from detkit.api.thresholds import Scores, Threshold, lowest_scores, minimum_scores
from detkit.api.video import VideoResults
from detkit.errors import DataError
from detkit.inference.predicting import Prediction, predict_images
from detkit.text import counted
from detkit.video.times import Selection
from detkit.video.tracking import TrackerName

__all__ = ["Backend", "Detector"]

# Keys of the command line that are arguments in programs.
EVALUATE_REMEDIES = {
    "ckpt": "pass the checkpoint to detkit.load",
    "device": "pass device to detkit.load",
    "output": "the program has the results and can save them",
}
_LISTED = 5  # class names in a representation


class Detector:
    """A trained detector, as `detkit.load` returns it: of a run, or an exported file.

    Threads can share one: they decode images at the same time and take turns on the device.
    Detectors share nothing with each other, and no global setting is changed.

    Args:
        backend: Runs its network.

    Attributes:
        class_names: Names of all classes, in label order.
        category_ids: The data set's id of each class.
        device: Where it runs, such as `cpu` or `cuda`.
        threshold: The minimum score unless `predict` gets another: the one with the best F1 on the
            run's validation images, or 0.3 if the run measured none.
        threshold_origin: Which of the two it is, in words.
        class_thresholds: The score with the best F1 of each class on the run's validation images,
            by name, for `threshold="per_class"`; None if none was measured.
        has_masks: Whether its results have masks.

    Example:
        >>> detector.class_names[:2]
        ('circle', 'cross')
        >>> len(detector.predict(["photos/a.png", "photos/b.png"], threshold=0.5))
        2
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.class_names, self.category_ids = backend.class_names, backend.category_ids
        self.device = backend.device
        self.threshold, self.threshold_origin = backend.threshold, backend.threshold_origin
        self.class_thresholds = backend.class_thresholds
        self.has_masks = backend.has_masks

    def __repr__(self) -> str:
        names = ", ".join(self.class_names[:_LISTED]) + ", ..." * (len(self.class_names) > _LISTED)
        classes = counted(len(self.class_names), "class")
        return f"Detector({self._backend.source}, {classes} ({names}), device={self.device!r})"

    def predict(
        self,
        inputs: ImageInput | Iterable[ImageInput],
        *,
        threshold: Threshold | None = None,
        batch_size: int = 1,
    ) -> list[Result]:
        """Detect objects in one image or in several.

        Args:
            inputs: One of these, or a list of them: a path (a folder or a pattern such as
                `photos/*.jpg` expands to its images, sorted); a NumPy array (H, W, 3) of RGB or
                (H, W) of grey values, uint8; a PIL image; a tensor (3, H, W) of RGB, uint8 or
                floating point from 0 to 1; the bytes of an image file. OpenCV reads BGR: pass
                `image[..., ::-1]`. EXIF orientation is applied, transparency is dropped. A detector
                trained with other `data.channels` takes arrays (H, W, C) and tensors (C, H, W).
            threshold: Minimum score, 0 to 1; None takes `self.threshold`. `per_class` takes
                `self.class_thresholds`, and a mapping sets scores by class name; classes that are
                not named get `self.threshold`.
            batch_size: Images per forward pass. Images that differ in size after resizing go
                through the detector separately, so that no result depends on the others.

        Returns:
            A list with one result for each image, in order; also for a single input.

        Raises:
            UserError: An input is of a wrong type, shape or range, or a path has no image.
            DataError: A file or bytes cannot be decoded.

        Example:
            >>> import numpy as np
            >>> result = detector.predict(np.zeros((96, 96, 3), np.uint8), threshold=0.9)[0]
            >>> len(result)
            0
        """
        results = []
        for result in self.stream(inputs, threshold=threshold, batch_size=batch_size):
            if isinstance(result, DataError):
                raise result
            results.append(result)
        return results

    def stream(
        self,
        inputs: ImageInput | Iterable[ImageInput],
        *,
        threshold: Threshold | None = None,
        batch_size: int = 1,
    ) -> Iterator[Result | DataError]:
        """Detect objects in many images, one batch at a time; an unreadable image ends nothing.

        Args:
            inputs: As for `predict`. All are checked before the first one is decoded.
            threshold: As for `predict`.
            batch_size: As for `predict`.

        Returns:
            For each image, in order, its result, or the error if it cannot be decoded.

        Raises:
            UserError: An input is of a wrong type, shape or range, or a path has no image.

        Example:
            >>> for result in detector.stream("photos"):
            ...     print(result if isinstance(result, Exception) else result.path)
            photos/a.png
            photos/b.png
            photos/c.png
        """
        size = require_batch_size(batch_size)
        minimum = lowest_scores(threshold, self)
        images = images_to_read(inputs, self._backend.decode_jpeg, self._backend.pixels)
        predictions = predict_images(self._backend, images, self._backend.prepare, batch_size=size)
        return (
            prediction
            if isinstance(prediction, DataError)
            else self._result(image, prediction, minimum)
            for image, prediction in zip(images, predictions, strict=True)
        )

    def minimum_scores(self, threshold: Threshold | None = None) -> dict[str, float]:
        """The minimum score of each class, by name, that `predict` uses with a threshold.

        Args:
            threshold: As for `predict`.

        Raises:
            UserError: It names another class, or no thresholds of classes were measured.
        """
        return minimum_scores(threshold, self)

    def video(
        self,
        source: str | int | os.PathLike[str],
        *,
        every: int = 1,
        start: float | str | None = None,
        end: float | str | None = None,
        track: TrackerName | None = None,
        threshold: Threshold | None = None,
        batch_size: int = 1,
    ) -> VideoResults:
        """Detect objects in a video, a camera or a stream, frame by frame.

        Decoding runs in other threads, and few frames are in memory at a time. Of a camera or a
        live stream, frames that come faster than the detector are dropped.

        Args:
            source: A video file, the number of a camera, or an rtsp or http address.
            every: Use every n-th frame.
            start: Begin there: seconds, or text such as `1:30`.
            end: Stop there: seconds, or text such as `1:30`.
            track: Follow objects with `bytetrack` or `sort`, which need the package trackers.
            threshold: As for `predict`.
            batch_size: Frames per forward pass.

        Returns:
            An iterator of frames with `number`, `time` in seconds, and `result`. A result holds the
            pixels of its frame for `draw`: do not collect the results of a long video.

        Raises:
            UserError: The video cannot be opened, or an argument is wrong.

        Example:
            >>> for frame in detector.video("clip.mp4", every=5):
            ...     print(frame.number, f"{frame.time:.2f} s", frame.result.size)
            0 0.00 s (96, 96)
            5 0.20 s (96, 96)
        """
        return VideoResults(
            self._backend,
            source,
            Selection(every, start, end),
            track=track,
            lowest_scores=lowest_scores(threshold, self),
            batch_size=require_batch_size(batch_size),
        )

    def evaluate(
        self, data: str | os.PathLike[str] | None = None, *, overrides: Sequence[str] = ()
    ) -> dict[str, float]:
        """Measure the detector on labelled images, exactly as `detkit evaluate` does.

        Args:
            data: A data set in any format that detkit reads; None takes the run's validation split
                (an exported file has none).
            overrides: Further settings, as `detkit evaluate` takes them, such as `["split=test"]`.

        Returns:
            The metrics by name.

        Raises:
            UserError: The data set cannot be read, or an override is wrong.

        Example:
            >>> metrics = detector.evaluate()
            >>> 0 <= metrics["AP50"] <= 1
            True
        """
        words = override_list(overrides)
        refuse_overrides(words, EVALUATE_REMEDIES)
        return self._backend.evaluate(None if data is None else os.fspath(data), words)

    def _result(self, image: ImageToRead, prediction: Prediction, lowest: Scores) -> Result:
        detections = prediction.detections
        return result_of(
            detections.select(detections.scores >= lowest[detections.labels]),
            self.class_names,
            self._backend.category_ids,
            size=prediction.sample.original_size,
            path=image.path,
            decode=image.decode,
        )
