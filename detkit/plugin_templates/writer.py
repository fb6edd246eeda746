"""A writer: predictions to the files of one format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from detkit import register
from detkit.structures import PredictedImage, Predictions


@register("writer", "my_writer")
class MyWriter:
    """A text file for each image with its classes, and one table that counts them."""

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """The files about one image: (name in the output folder, content)."""
        names = [image.class_names[label] for label in image.record.labels]
        yield f"classes/{image.record.name}.txt", "\n".join(names).encode()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """The files about all images: (name in the output folder, pieces of text)."""
        yield "counts.csv", self._counts(predictions)

    def _counts(self, predictions: Predictions) -> Iterator[str]:
        yield "file,class,detections\n"
        for image in predictions:
            for label, count in sorted(Counter(image.labels).items()):
                yield f"{image.file_name},{predictions.class_names[label]},{count}\n"
