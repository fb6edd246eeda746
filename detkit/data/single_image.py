"""Single images that belong to no data set, as samples for prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from detkit.data.proposal_file import ProposalFile
from detkit.data.proposal_travel import unload_proposals, with_proposals
from detkit.data.randomness import AUGMENTATION, generator_of
from detkit.errors import DataError
from detkit.interfaces import Transform
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.structures import Sample, Target


def read_image(
    decode: Callable[[], Tensor],
    description: str,
    *,
    path: str = "",
    transforms: Mapping[str, Transform] | None = None,
    image_id: int = 0,
    proposals: ProposalFile | None = None,
) -> Sample:
    """Decode an image to a sample without objects, and apply the evaluation transforms.

    Args:
        decode: Decodes the image to (3, H, W) uint8 RGB.
        description: Names the image in the message of an error.
        path: The file it comes from, if any.
        transforms: By label, in order.
        image_id: The number of the image.
        proposals: The file of regions that the sample carries; None for none.

    Raises:
        DataError: The image is missing, broken or no image, or has no proposals.
    """
    try:
        image = decode()
    except UnreadableImageError as error:
        raise DataError(f"cannot read {description}: {error.reason}.") from error
    sample = Sample(
        image=image,
        target=Target.empty(),
        original_target=Target.empty(),
        image_id=image_id,
        path=path,
        original_size=(int(image.shape[-2]), int(image.shape[-1])),
    )
    if proposals is not None:
        sample = with_proposals(sample, _proposals_of(proposals, path, description))
    generator = generator_of(AUGMENTATION, 0, 0, image_id)
    for transform in (transforms or {}).values():
        sample = transform(sample, generator)
    return sample if proposals is None else unload_proposals(sample)


def _proposals_of(proposals: ProposalFile, path: str, description: str) -> Tensor:
    if not path:
        raise DataError(
            f"{description} is not a file, so '{proposals.path}' has no proposals for it: pass the "
            "path of an image file."
        )
    return proposals.boxes(Path(path))
