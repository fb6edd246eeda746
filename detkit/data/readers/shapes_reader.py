"""The built-in data set of shapes, rendered if it does not exist yet."""

from __future__ import annotations

from pathlib import Path

from detkit.data.readers.coco_reader import CocoReader
from detkit.data.shapes import ShapesSettings, shapes_below
from detkit.registry import Fraction, NonNegativeInt, PositiveInt, Wired, register
from detkit.structures import DatasetIndex


@register("reader", "shapes")
class ShapesReader:
    """The embedded data set: six kinds of shapes on cluttered ground, rendered in seconds.

    Rendered into a subfolder of the data folder, one for each choice of the settings, when it is
    not there. A data folder that holds anything else is refused.

    Args:
        train_images: Images of the train split.
        validation_images: Images of the val split.
        image_size: Height and width of the images.
        clutter: How hard it is: 0 is plain, 1 is faint objects on crowded ground.
        render_seed: The same seed renders the same pictures.
    """

    def __init__(
        self,
        *,
        masks: Wired[bool] = False,
        train_images: PositiveInt = 1500,
        validation_images: PositiveInt = 200,
        image_size: PositiveInt = 128,
        clutter: Fraction = 0.5,
        render_seed: NonNegativeInt = 0,
    ) -> None:
        self.masks = masks
        self.train_images = train_images
        self.validation_images = validation_images
        self.image_size = image_size
        self.clutter = clutter
        self.render_seed = render_seed

    def splits(self, path: Path) -> list[str]:
        """Train and val; renders them when absent."""
        return CocoReader().splits(self._folder(path))

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split; renders the data set when absent."""
        return CocoReader(masks=self.masks).read(self._folder(path), split)

    def _folder(self, path: Path) -> Path:
        settings = ShapesSettings(
            train_images=self.train_images,
            validation_images=self.validation_images,
            image_size=self.image_size,
            seed=self.render_seed,
            clutter=self.clutter,
        )
        return shapes_below(path, settings)
