"""FiftyOne: `dataset.apply_model(FiftyOneModel("runs/mine"), label_field="predictions")`."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.api.detector import Detector
from detkit.api.results import Result
from detkit.integrations.packages import missing_package, opened

try:
    import fiftyone
except ImportError as error:
    raise missing_package("fiftyone", error) from error


class FiftyOneModel(fiftyone.Model):  # type: ignore[misc]
    """A detector as a FiftyOne model; `confidence_thresh` of `apply_model` sets its threshold.

    Args:
        source: What `detkit.load` takes, or a detector.
        threshold: Minimum score; None takes the detector's.
        device: As for `detkit.load`.
    """

    media_type = "image"
    ragged_batches = False  # images of a batch may differ in size
    transforms = None
    preprocess = False

    def __init__(
        self, source: str | Detector, *, threshold: float | None = None, device: str = "auto"
    ) -> None:
        self.detector = opened(source, device)
        self.config = SimpleNamespace(confidence_thresh=threshold)

    def predict(self, arg: NDArray[np.uint8]) -> Any:
        """The detections in an RGB image (H, W, 3), as `fiftyone.Detections`."""
        return self.predict_all([arg])[0]

    def predict_all(self, args: Iterable[NDArray[np.uint8]]) -> list[Any]:
        """The detections in several RGB images."""
        images, threshold = list(args), self.config.confidence_thresh
        results = self.detector.predict(images, threshold=threshold, batch_size=len(images))
        return [_detections(result) for result in results]


def _detections(result: Result) -> Any:
    height, width = result.size
    boxes = result.boxes / np.array([width, height, width, height], np.float32)
    boxes[:, 2:] -= boxes[:, :2]  # x, y, width, height, relative to the image
    rows = zip(result.names, boxes.tolist(), result.scores.tolist(), strict=True)
    make = fiftyone.Detection
    detections = [make(label=name, bounding_box=box, confidence=score) for name, box, score in rows]
    return fiftyone.Detections(detections=detections)
