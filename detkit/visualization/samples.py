"""Pictures of training samples after augmentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PIL import Image

from detkit.structures import Sample
from detkit.visualization.colours import IGNORED_COLOUR, class_colour
from detkit.visualization.draw import draw_target, to_picture
from detkit.visualization.panels import montage, resized, target_in_picture, with_footer

_CELL = 480  # longest side of a picture on the sheet


def draw_sample(sample: Sample, class_names: Sequence[str]) -> Image.Image:
    """The image with its objects and their masks; ignored ones are grey and dashed."""
    return draw_target(to_picture(sample.image), sample.target, class_names)


def sample_sheet(
    samples: Sequence[Sample],
    captions: Sequence[str],
    class_names: Sequence[str],
    *,
    note: str = "",
) -> Image.Image:
    """Samples on one sheet, with boxes in the colours of their classes and a legend.

    Args:
        samples: One or more.
        captions: The text above each sample.
        class_names: The C names, in label order.
        note: Text at the bottom left.
    """
    pictures = []
    for sample in samples:
        picture, factor = resized(to_picture(sample.image), _CELL)
        target = target_in_picture(sample.target, factor)
        pictures.append(draw_target(picture, target, [""] * len(class_names)))
    labels = Counter(label for s in samples for label in s.target.labels.tolist())
    colours = {class_names[label]: class_colour(label) for label in sorted(labels)}
    if any(bool(sample.target.ignored.any()) for sample in samples):
        colours["ignored"] = IGNORED_COLOUR
    return with_footer(montage(pictures, captions), note, colours)
