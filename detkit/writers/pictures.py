"""Pictures with boxes."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

from detkit.registry import register
from detkit.structures.predictions import PredictedImage, Predictions


@register("writer", "pictures")
class Pictures:
    """NAME.png: each image with labelled boxes, and masks if there are any."""

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """The picture of an image."""
        content = BytesIO()
        image.draw().save(content, format="PNG")
        yield f"{image.record.name}.png", content.getvalue()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """None."""
        return ()
