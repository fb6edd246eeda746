"""Images that show int8 the range of each layer's output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from detkit.api.image_inputs import ImageToRead, images_to_read
from detkit.data.collate import Collate
from detkit.data.detection_data import DetectionData
from detkit.data.detection_dataset import Key
from detkit.data.image_decoding import as_tensor, torchvision_jpeg
from detkit.data.single_image import read_image
from detkit.data.tiled_dataset import dataset_class
from detkit.errors import DataError, UserError
from detkit.export.trial_images import canvas
from detkit.interfaces import Transform
from detkit.structures import Sample
from detkit.structures.export_graph import Images
from detkit.structures.exported import ExportedModel

FEWEST = 32  # with fewer, the ranges are those of single images


def calibration_images(
    config: Mapping[str, Any],
    data: DetectionData,
    transforms: Mapping[str, Transform],
    metadata: ExportedModel,
) -> tuple[list[Images], str]:
    """Images as the graph takes them, evenly spread over their source.

    Args:
        config: Holds `calibration` and `calibration_images`.
        data: The run's data, whose training images are used if no others are named.
        transforms: Transforms of evaluation images, by label.
        metadata: Says which axes are fixed.

    Returns:
        The images, each a batch of the number that the graph takes, and a note on their source.

    Raises:
        UserError: There are fewer than 32.
    """
    source, most = config["calibration"], config["calibration_images"]
    if source is None:
        index = data.train_index
        dataset = dataset_class(index)(
            index, transforms=transforms, seed=0, is_measured=True, pixels=data.pixels
        )
        origin = f"calibration=null: the run's training images ({data.path})"
        _require_enough(len(index), most, origin)
        samples = [dataset[Key(0, int(position))] for position in _spread(len(index), most)]
        samples = [sample for sample in samples if sample.is_decoded]
    else:
        origin = f"calibration={source}"
        try:
            files = images_to_read(source, torchvision_jpeg, data.pixels)
        except UserError as error:
            raise UserError(f"{origin}: {str(error).removeprefix(f'source={source}: ')}") from error
        _require_enough(len(files), most, origin)
        samples = []
        for position in _spread(len(files), most):
            file = files[int(position)]
            try:
                samples.append(_sample(file, transforms))
            except DataError:
                continue  # counted below
    _require_enough(len(samples), most, f"{origin} (readable ones)")
    note = f"calibration: {len(samples)} images of {source or 'the training split'}"
    return [_as_input(sample, metadata) for sample in samples], note


def _sample(image: ImageToRead, transforms: Mapping[str, Transform]) -> Sample:
    def decode() -> Tensor:
        return as_tensor(image.decode())

    return read_image(decode, image.description, transforms=transforms)


def _spread(count: int, most: int) -> Any:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _require_enough(count: int, most: int, origin: str) -> None:
    if min(count, most) < FEWEST:
        problem = f"calibration_images={most}" if most < FEWEST else f"{origin}: {count} images"
        raise UserError(
            f"{problem}: int8 needs {FEWEST} or more to see the range of each layer's output."
        )


def _as_input(sample: Sample, metadata: ExportedModel) -> Images:
    images = canvas(Collate(pad_multiple=metadata.pad_multiple)([sample]), metadata)
    return np.repeat(images, metadata.batch or 1, axis=0)
