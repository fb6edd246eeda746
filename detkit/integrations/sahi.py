"""SAHI: `get_sliced_prediction("photo.jpg", SahiModel("runs/mine"), slice_height=640, ...)`."""

from __future__ import annotations

from typing import Any

from detkit.api.detector import Detector
from detkit.api.results import Result
from detkit.integrations.packages import missing_package, opened

try:
    from sahi.models.base import DetectionModel
    from sahi.prediction import ObjectPrediction
    from sahi.utils.compatibility import fix_full_shape_list, fix_shift_amount_list
except ImportError as error:
    raise missing_package("sahi", error) from error


class SahiModel(DetectionModel):  # type: ignore[misc]
    """A detector as a SAHI model: `model_path` is what `detkit.load` takes, `model` a detector."""

    def load_model(self) -> None:
        """Load `model_path`."""
        self.set_model(opened(self.model_path, str(self.device)))

    def set_model(self, model: Detector, **kwargs: Any) -> None:
        """Use a detector that is loaded already."""
        self.model, self.category_names = model, list(model.class_names)
        self.num_categories, self.has_mask = len(self.category_names), False

    def perform_inference(self, image: Any) -> None:
        """Detect in an RGB image (H, W, 3)."""
        self.perform_batch_inference([image])

    def perform_batch_inference(self, images: list[Any]) -> None:
        """Detect in several RGB images at once."""
        threshold, count = self.confidence_threshold, len(images)
        results = self.model.predict(images, threshold=threshold, batch_size=count)
        self.has_mask = any(result.masks is not None for result in results)
        self._original_predictions = results

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list: Any = ((0, 0),), full_shape_list: Any = None
    ) -> None:
        results, shifts = self.original_predictions, fix_shift_amount_list(shift_amount_list)
        sizes = fix_full_shape_list(full_shape_list) or [result.size for result in results]
        positions = zip(results, shifts, sizes, strict=True)
        self._object_prediction_list_per_image = [_predictions(*row) for row in positions]


def _predictions(result: Result, shift: list[int], size: list[int]) -> list[Any]:
    outlines: Any = [None] * len(result) if result.masks is None else result.polygons()
    polygons = [rings and [ring.ravel().tolist() for ring in rings] for rings in outlines]
    columns = (result.boxes.tolist(), result.labels.tolist(), result.names, polygons)
    rows = zip(*columns, result.scores.tolist(), strict=True)
    # SAHI cannot hold a mask without pixels
    return [ObjectPrediction(*row, shift, size) for row in rows if row[3] != []]
