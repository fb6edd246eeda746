"""The detections of an exported file on batches of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from detkit.inference.exported_predictor import ExportedPredictor
from detkit.structures import Batch, Detections


def detect_exported(
    predictor: ExportedPredictor, loader: Iterable[Batch]
) -> Iterator[tuple[Batch, list[Detections]]]:
    """Run an exported file over batches; its detections are in original coordinates."""
    for batch in loader:
        images = predictor.graph_input(batch.images.numpy(), batch.image_sizes)
        geometry = zip(predictor.run(images), batch.to_image, batch.original_sizes, strict=True)
        detections = [
            Detections.of(arrays).to_original(to_image, size) for arrays, to_image, size in geometry
        ]
        yield batch, batch.without_blank(detections)
