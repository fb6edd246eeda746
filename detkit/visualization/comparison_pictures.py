"""Pictures of images in which two detectors differ: objects, and the detections of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from detkit.structures import DetectionArrays, Target
from detkit.text import counted
from detkit.visualization.colours import class_colour
from detkit.visualization.draw import draw_detections, draw_target
from detkit.visualization.panels import montage, resized, target_in_picture, with_footer

_LONGEST_SIDE = 560  # of each of the three pictures


@dataclass(frozen=True)
class DetectorView:
    """What a detector found in an image.

    Attributes:
        name: The detector's name, for the caption.
        detections: The detections to draw, in coordinates of the image.
        class_names: The detector's classes, in label order.
        threshold: The lowest score that is drawn.
    """

    name: str
    detections: DetectionArrays
    class_names: Sequence[str]
    threshold: float

    def caption(self) -> str:
        """Name, number of detections and threshold."""
        count = counted(len(self.detections.scores), "detection")
        return f"{self.name}: {count}, score {self.threshold:.2f} or more"

    def relabelled(self, class_names: Sequence[str]) -> DetectorView:
        """The same view with the labels, and so the colours, of other class names."""
        names = [*class_names, *(n for n in self.class_names if n not in class_names)]
        labels = [names.index(self.class_names[label]) for label in self.detections.labels.tolist()]
        detections = self.detections._replace(labels=np.array(labels, dtype=np.int64))
        return DetectorView(self.name, detections, names, self.threshold)


def draw_views(
    picture: Image.Image,
    target: Target,
    views: Sequence[DetectorView],
    class_names: Sequence[str],
    caption: str,
) -> Image.Image:
    """The objects of an image, and beside them the detections of each detector.

    Args:
        picture: The image.
        target: Its objects.
        views: The detections of each detector.
        class_names: The classes of `target`, in label order; detections take their colours.
        caption: The text below.
    """
    small, factor = resized(picture.convert("RGB"), _LONGEST_SIDE)
    ignored = int(target.ignored.sum())
    objects = counted(len(target) - ignored, "object")
    captions = [f"{objects}, {ignored} ignored" if ignored else objects]
    pictures = [draw_target(small, target_in_picture(target, factor), class_names)]
    colours = {class_names[i]: class_colour(i) for i in sorted(set(target.labels.tolist()))}
    for view in (view.relabelled(class_names) for view in views):
        moved = view.detections._replace(boxes=view.detections.boxes * factor)
        pictures.append(draw_detections(small, moved, view.class_names))
        captions.append(view.caption())
        labels = sorted(set(moved.labels.tolist()))
        colours |= {view.class_names[label]: class_colour(label) for label in labels}
    return with_footer(montage(pictures, captions, columns=len(pictures)), caption, colours)
