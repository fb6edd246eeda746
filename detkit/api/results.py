"""The detections in one image, as NumPy arrays in pixels of the original image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detkit.errors import UserError
from detkit.evaluation.results_file import (
    POLYGON_TOLERANCE,
    MaskFormat,
    result_rows,
    segmentations,
)
from detkit.pixels.image_decoding import Pixels
from detkit.structures import DetectionArrays
from detkit.structures.predictions import ImageRecord
from detkit.text import counted
from detkit.video.tracking import NO_IDENTITY
from detkit.visualization.draw import draw_detections, draw_marks, pixels_to_picture
from detkit.visualization.identities import identity_marks
from detkit.visualization.panels import draw_with_legend

if TYPE_CHECKING:
    import supervision

    from detkit.structures.masks import Masks


@dataclass(frozen=True, eq=False)
class Result:
    """The detections of one image, best first. N detections.

    `len(result)` is N, so an image without detections is false.

    Attributes:
        boxes: (N, 4) float32 corners x1, y1, x2, y2 in pixels of the original image.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64 positions in `class_names`.
        names: The N class names.
        class_names: Names of all classes, in label order.
        size: (height, width) of the original image, EXIF orientation applied.
        path: The image file; None for an image from memory.
        tracks: (N,) int64 identities over the frames of a video, -1 for an object without one; None
            without tracking.

    Example:
        >>> result = detector.predict("photos/a.png")[0]
        >>> result.boxes.shape == (len(result), 4)
        True
        >>> result.draw().save("drawn.png")
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    class_names: tuple[str, ...]
    size: tuple[int, int]
    path: Path | None
    _category_ids: tuple[int, ...] = field(repr=False)
    _decode: Callable[[], Pixels] = field(repr=False)
    _masks: Masks | None = field(repr=False, default=None)
    tracks: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        classes = ", ".join(f"{count} {name}" for name, count in Counter(self.names).most_common())
        height, width = self.size
        image = f"{width}x{height} image" if self.path is None else f"{self.path}, {width}x{height}"
        return f"Result({counted(len(self), 'detection')}{classes and f': {classes}'}; {image})"

    @property
    def masks(self) -> NDArray[np.bool_] | None:
        """(N, H, W) pixels of each detection in the original image; None without a mask head.

        A result holds small maps, which each access pastes into the image: keep the array if you
        need it again. The masks of 100 detections in 1280 x 720 pixels take 92 MB; `rle` and
        `polygons` never hold more than one of them.
        """
        if self._masks is None:
            return None
        masks = np.zeros((len(self), *self.size), np.bool_)
        for position, mask in enumerate(masks):
            mask[:] = self._masks.window(position).whole()
        return masks

    def rle(self) -> list[dict[str, Any]]:
        """The mask of each detection in COCO's compressed encoding, which pycocotools decodes.

        Raises:
            UserError: The detector has no mask head.
        """
        return self._require_masks().encoded().rle()

    def polygons(self, tolerance: float = POLYGON_TOLERANCE) -> list[list[NDArray[np.float32]]]:
        """The outer borders of each mask: an array (K, 2) of x and y for each of its parts.

        Holes are filled. A detection without pixels has no polygon.

        Args:
            tolerance: How far a border may move, in pixels, to need fewer points; with 0 the
                polygons hold the centres of exactly the pixels of the mask, apart from holes.

        Raises:
            UserError: The detector has no mask head.
        """
        masks = self._require_masks()
        return [masks.window(position).polygons(tolerance) for position in range(len(self))]

    def draw(self, *, legend: bool = True) -> Image.Image:
        """Draw boxes with class and score, and masks if there are any, as `detkit predict` does.

        Tracked objects have the colour of their identity, and its number in the label.

        Decodes the image again, so that results do not hold images in memory. An array or tensor is
        not copied: draw before you overwrite it.

        Args:
            legend: Whether a line below explains the colours of classes if there was no room for a
                label. Without it, images of one size give pictures of one size.

        Returns:
            An RGB picture. Tiny images are enlarged.
        """
        picture = pixels_to_picture(self._decode())
        if self.tracks is not None:
            marks = identity_marks(self._detections(), self.class_names, self.tracks)
            return draw_marks(picture, marks)
        if not legend:
            return draw_detections(picture, self._detections(), self.class_names)
        return draw_with_legend(picture, self._detections(), self.class_names)

    def crops(self) -> list[Image.Image]:
        """Cut each detection out of the image: N RGB pictures, in order.

        Boxes are enlarged to whole pixels. Decodes the image again, as `draw` does.
        """
        picture = pixels_to_picture(self._decode())
        return [picture.crop(_whole_pixels(box, self.size)) for box in self.boxes]

    def select(self, keep: NDArray[np.bool_]) -> Result:
        """The result with some of its detections.

        Args:
            keep: (N,) whether to keep each detection.

        Example:
            >>> len(results[0].select(results[0].scores > 1))
            0
        """
        detections = self._detections().select(keep)
        boxes, scores, labels = detections
        return replace(
            self,
            boxes=boxes,
            scores=scores,
            labels=labels,
            names=tuple(self.class_names[label] for label in labels.tolist()),
            tracks=None if self.tracks is None else self.tracks[keep],
            _masks=detections.masks,
        )

    def to_record(
        self, number: int, name: str, file_name: str, *, mask_format: MaskFormat = "rle"
    ) -> ImageRecord:
        """The detections as plain values, for writers.

        Args:
            number: The image's number, from 1.
            name: A file name without suffix, unique among the images.
            file_name: The image file.
            mask_format: As for `to_coco`.
        """
        masks = self._masks
        return ImageRecord(
            number=number,
            name=name,
            file_name=file_name,
            size=self.size,
            boxes=list(map(tuple, self.boxes.tolist())),
            scores=self.scores.tolist(),
            labels=self.labels.tolist(),
            segmentations=None if masks is None else segmentations(masks, len(self), mask_format),
            tracks=None if self.tracks is None else self.tracks.tolist(),
        )

    def to_coco(
        self, image_id: int = 1, *, mask_format: MaskFormat = "rle"
    ) -> list[dict[str, Any]]:
        """Rows of a COCO results file: image_id, category_id, bbox (x, y, width, height), score.

        With masks, each row has a segmentation too; a tracked object has a track_id.

        Args:
            image_id: The image's number. Category ids come from the training data.
            mask_format: `rle` for COCO's runs of pixels, `polygons` for lists of x1, y1, ...

        Example:
            >>> rows = [row for i, r in enumerate(results, start=1) for row in r.to_coco(i)]
            >>> sorted(rows[0])
            ['bbox', 'category_id', 'file_name', 'image_id', 'score']
        """
        file_name = None if self.path is None else str(self.path)
        rows = result_rows(
            image_id, self._detections(), self._category_ids, file_name, mask_format=mask_format
        )
        if self.tracks is None:
            return rows
        tracked = zip(rows, self.tracks.tolist(), strict=True)
        return [row if n == NO_IDENTITY else {**row, "track_id": n} for row, n in tracked]

    def to_supervision(self) -> supervision.Detections:
        """Convert to `supervision.Detections`, with class names in `data["class_name"]`.

        Raises:
            UserError: The package supervision is not installed.
        """
        try:
            from supervision import Detections as SupervisionDetections
        except ImportError as error:
            raise UserError(
                "to_supervision needs the package supervision, which is not installed: "
                "pip install supervision"
            ) from error
        return SupervisionDetections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=self.labels,
            mask=self.masks,
            tracker_id=self.tracks,
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def _detections(self) -> DetectionArrays:
        return DetectionArrays(self.boxes, self.scores, self.labels).with_masks(self._masks)

    def _require_masks(self) -> Masks:
        if self._masks is None:
            raise UserError(
                "this detector has no mask head, so it finds boxes alone: train one with "
                "model=mask_rcnn."
            )
        return self._masks


def result_of(
    detections: DetectionArrays,
    class_names: Sequence[str],
    category_ids: Sequence[int],
    *,
    size: tuple[int, int],
    path: Path | None,
    decode: Callable[[], Pixels],
    tracks: NDArray[np.int64] | None = None,
) -> Result:
    """Make a result.

    Args:
        detections: In pixels of the original image.
        class_names: The C names, in label order.
        category_ids: The data set's id of each class.
        size: (height, width) of the original image.
        path: The image file; None for an image from memory.
        decode: Decodes the original image to (H, W, 3) uint8.
        tracks: (N,) identities; None without tracking.
    """
    boxes, scores, labels = detections
    return Result(
        boxes=boxes,
        scores=scores,
        labels=labels,
        names=tuple(class_names[label] for label in labels.tolist()),
        class_names=tuple(class_names),
        size=size,
        path=path,
        _category_ids=tuple(category_ids),
        _decode=decode,
        _masks=detections.masks,
        tracks=tracks,
    )


def _whole_pixels(box: NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels that a box touches: left, top, right, bottom; at least one."""
    height, width = size
    left, top = min(int(box[0]), width - 1), min(int(box[1]), height - 1)
    right, bottom = max(math.ceil(box[2]), left + 1), max(math.ceil(box[3]), top + 1)
    return left, top, min(right, width), min(bottom, height)
