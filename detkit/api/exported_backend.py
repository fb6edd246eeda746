"""The detector of an exported file; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detkit.api.image_inputs import DecodeJPEG, ImageToRead
from detkit.errors import UserError
from detkit.inference.augmented_views import AugmentedViews, require_scales, scaled_steps
from detkit.inference.engines.opening import open_engine
from detkit.inference.exported_images import PreparedImage, prepare_image, require_numpy_transforms
from detkit.inference.exported_predictor import ExportedPredictor
from detkit.pixels.pixel_format import PixelFormat
from detkit.public_names import import_name
from detkit.structures.arrays import DetectionArrays


class ExportedBackend:
    """Runs an exported file in its engine; see `Backend` for its attributes.

    Args:
        path: An .onnx, .xml or .pt2 file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.

    Attributes:
        engine: What runs it; `engine.description` names engine, device and threads.

    Raises:
        UserError: The file cannot be used; see `open_engine`.
    """

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        self.engine = open_engine(path, device)
        model, self.source = self.engine.model, str(path)
        require_numpy_transforms(model, self.source)
        self.predictor = ExportedPredictor(self.engine, self.source)
        self.class_names, self.category_ids = model.class_names, model.category_ids
        self.decode_jpeg: DecodeJPEG | None = None
        self.pixels = PixelFormat(model.channels, model.value_range)
        self.device, self.stride = self.engine.device, model.stride
        self.has_masks, self.has_data = model.mask_size is not None, False
        self.threshold = model.score_threshold
        self.threshold_origin = f"stored in {path.name}"
        self.class_thresholds = model.class_thresholds

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes open the file again: engines cannot be copied."""
        return _reopened, (Path(self.source).resolve(), self.device)

    def prepare(self, image: ImageToRead) -> PreparedImage:
        """Decode and resize an image."""
        return prepare_image(image.pixels(), self.engine.model)

    def prepare_scaled(self, image: ImageToRead, scale: float) -> PreparedImage:
        """Like `prepare`, for an input `scale` times as large."""
        pixels, model = image.pixels(), self.engine.model
        steps = scaled_steps(model.resize, pixels.shape[:2], scale, model.pad_multiple)
        return prepare_image(pixels, replace(model, resize=steps))

    def require_views(self, views: AugmentedViews) -> None:
        """Refuse views that the file cannot take.

        Raises:
            UserError: It takes one size only, or its images are not resized.
        """
        if not views.changes_size:
            return
        if (size := self.engine.model.size) is not None:
            raise UserError(
                f"tta.scales: {self.source} takes images of {size[0]} x {size[1]} (height x width) "
                "only: export with size=dynamic, or leave out tta.scales."
            )
        require_scales(self.engine.model.resize, self.source)

    def predict(self, samples: Sequence[PreparedImage]) -> list[DetectionArrays]:
        """Detect objects in prepared images, in coordinates of the original images."""
        return self.predictor.predict(samples)

    def evaluation_config(self, words: Sequence[str]) -> dict[str, Any]:
        """The checked configuration of an evaluation with these overrides."""
        config: dict[str, Any] = import_name("exported_config")(self, words)
        return config

    def evaluate(self, data: str | None, overrides: Sequence[str]) -> dict[str, float]:
        """Measure on a data set, which needs the whole of detkit."""
        numbers: dict[str, float] = import_name("evaluate_exported")(self, data, overrides)
        return numbers


def _reopened(path: Path, device: str) -> ExportedBackend:
    return ExportedBackend(path, device=device)
