"""Images to compare an exported model with PyTorch on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.structures import Batch
from detkit.structures.export_graph import Images
from detkit.structures.exported import ExportedModel

_SCALES = ((0, 0), (1, 0), (0, 1), (3, 2))  # steps added to height and width
_BATCHES = (1, 2, 3)


def canvas(batch: Batch, metadata: ExportedModel) -> Images:
    """The images of a batch as a graph takes them: float32, the padding in the mean colour.

    Raises:
        UserError: An image does not fit into the fixed size of the graph.
    """
    height, width = metadata.size or batch.images.shape[-2:]
    images = mean_canvas(len(batch.image_sizes), (height, width), metadata)
    for target, image, (rows, columns) in zip(images, batch.images, batch.image_sizes, strict=True):
        if rows > height or columns > width:
            raise UserError(
                f"an image of {rows} x {columns} does not fit into size=[{height},{width}]: the "
                "augmentation leaves it larger; choose a larger size, or size=dynamic."
            )
        target[:, :rows, :columns] = image[:, :rows, :columns]
    return images.numpy()


def mean_canvas(count: int, size: tuple[int, int], metadata: ExportedModel) -> Tensor:
    """Images (B, 3, H, W) float32 of nothing but padding."""
    colour = torch.tensor(metadata.padding, dtype=torch.float32).view(1, -1, 1, 1)
    return colour.expand(count, -1, *size).contiguous()


def trials(images: Sequence[Images], metadata: ExportedModel, step: int) -> Iterator[Images]:
    """Batches of several sizes and lengths made of some images.

    Args:
        images: One or more, (3, H, W) each.
        metadata: Says which axes are fixed.
        step: Sides are multiples of this.
    """
    for height, width in trial_sizes(images[0].shape[1:], metadata, step):
        for count in (metadata.batch,) if metadata.batch else _BATCHES:
            chosen = [torch.from_numpy(images[n % len(images)]) for n in range(count)]
            resized = [
                F.interpolate(image[None], (height, width), mode="bilinear") for image in chosen
            ]
            yield torch.cat(resized).numpy()


def trial_sizes(
    size: Sequence[int], metadata: ExportedModel, step: int
) -> Iterator[tuple[int, int]]:
    """The sizes to try: the fixed one, or the usual one and some around it."""
    if metadata.size:
        yield metadata.size
        return
    height, width = (-(-length // step) * step for length in size)
    for rows, columns in _SCALES:
        yield height + rows * step, width + columns * step


def noise_images(metadata: ExportedModel, size: tuple[int, int]) -> list[Images]:
    """Images of coloured blocks, for an export without data."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(2, metadata.channels, 8, 8, generator=generator) * 255
    images = F.interpolate(blocks, metadata.size or size, mode="bilinear")
    return [np.ascontiguousarray(image) for image in images.numpy()]
