"""Image files that belong to no data set, for prediction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from detkit.data.image_decoding import UnreadableImageError, decode, refuse_raw
from detkit.data.randomness import AUGMENTATION, generator_of
from detkit.errors import DataError
from detkit.interfaces import Transform
from detkit.structures import Sample, Target


def read_image(
    path: Path | str, *, transforms: Mapping[str, Transform] | None = None, image_id: int = 0
) -> Sample:
    """The image of a file as a sample without objects, after the evaluation transforms.

    Raises:
        DataError: The file is missing, broken or no image.
    """
    file = Path(path)
    try:
        refuse_raw(file)
        image = decode(file)
    except UnreadableImageError as error:
        raise DataError(f"cannot read the image '{file}': {error.reason}.") from error
    sample = Sample(
        image=image,
        target=Target.empty(),
        original_target=Target.empty(),
        image_id=image_id,
        path=str(file),
        original_size=(int(image.shape[-2]), int(image.shape[-1])),
    )
    generator = generator_of(AUGMENTATION, 0, 0, image_id)
    for transform in (transforms or {}).values():
        sample = transform(sample, generator)
    return sample
