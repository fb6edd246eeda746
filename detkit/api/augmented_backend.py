"""Any detector with test-time augmentation; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from detkit.api.backend import Backend
from detkit.api.image_inputs import ImageToRead
from detkit.inference.augmented_views import AugmentedViews, View
from detkit.inference.merging import Merging
from detkit.pixels.resizing import Size
from detkit.public_names import import_name
from detkit.structures.arrays import DetectionArrays


class ViewBackend(Backend, Protocol):
    """A backend of one network, which sees images at several scales.

    Attributes:
        has_data: Whether it names a data set to measure it on.
    """

    has_data: bool

    def require_views(self, views: AugmentedViews) -> None:
        """Refuse views that the network cannot take.

        Raises:
            UserError: There is one.
        """
        ...

    def prepare_scaled(self, image: ImageToRead, scale: float) -> Any:
        """Like `prepare`, for an input `scale` times as large."""
        ...

    def evaluation_config(self, words: Sequence[str]) -> dict[str, Any]:
        """The checked configuration of an evaluation with these overrides.

        Raises:
            UserError: An override is wrong, or no data set is named.
        """
        ...


class AugmentedImage(NamedTuple):
    """The prepared views of an image.

    Attributes:
        views: One per view, as the wrapped backend prepares them.
        original_size: (height, width) of the image.
    """

    views: tuple[Any, ...]
    original_size: Size


class AugmentedBackend:
    """Runs another backend on several views of each image; see `Backend` for its attributes.

    Args:
        backend: Runs the network.
        views: Mirror images and scales.
        merging: Merges the detections of all views.

    Attributes:
        notes: A line about masks if the network detects them.

    Raises:
        UserError: The network cannot take one of the views.
    """

    def __init__(self, backend: ViewBackend, views: AugmentedViews, merging: Merging) -> None:
        backend.require_views(views)
        self.backend, self._views, self._merging = backend, views, merging
        self.source, self.device, self.pixels = backend.source, backend.device, backend.pixels
        self.class_names, self.category_ids = backend.class_names, backend.category_ids
        self.threshold, self.threshold_origin = backend.threshold, backend.threshold_origin
        self.class_thresholds = backend.class_thresholds
        self.decode_jpeg, self.stride = backend.decode_jpeg, backend.stride
        self.notes, self.has_masks = mask_notes([backend]), False

    def prepare(self, image: ImageToRead) -> AugmentedImage:
        """Decode an image once and prepare its views.

        Raises:
            DataError: The image cannot be decoded.
        """
        pixels = image.pixels()

        def prepared(view: View) -> Any:
            image_of_view = image._replace(decode=lambda: view.pixels(pixels))
            if view.scale == 1:
                return self.backend.prepare(image_of_view)
            return self.backend.prepare_scaled(image_of_view, view.scale)

        return AugmentedImage(tuple(map(prepared, self._views)), (pixels.shape[0], pixels.shape[1]))

    def predict(self, samples: Sequence[AugmentedImage]) -> list[DetectionArrays]:
        """Detect objects in all views, in coordinates of the original images."""
        detected = iter(self.backend.predict([view for image in samples for view in image.views]))
        return [
            self._merging([view.back(next(detected), image.original_size) for view in self._views])
            for image in samples
        ]

    def evaluate(self, data: str | None, overrides: Sequence[str]) -> dict[str, float]:
        """Measure on a data set, which needs the whole of detkit."""
        numbers: dict[str, float] = import_name("evaluate_backend")(self, data, overrides)
        return numbers

    def evaluation_config(self, words: Sequence[str]) -> dict[str, Any]:
        """The checked configuration of an evaluation with these overrides."""
        return self.backend.evaluation_config(words)


def mask_notes(networks: Sequence[ViewBackend]) -> list[str]:
    """A line if networks detect masks, which merging drops."""
    return [f"{n.source} detects masks; boxes are merged alone" for n in networks if n.has_masks]
