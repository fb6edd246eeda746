"""The base class of detectors: a module with losses and detections."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from detkit.errors import UserError
from detkit.interfaces import Losses
from detkit.structures import Batch, Detections, PaddedDetections


class DetectorModule(nn.Module):
    """A `Detector` that is also a `torch.nn.Module`, as training and inference need it.

    A plugin's detector need not derive from this class; any module with these methods works.

    Attributes:
        compiles_loss: Whether trainer.compile turns `loss` into a graph; else only the network.
    """

    compiles_loss: ClassVar[bool] = False

    def loss(self, batch: Batch) -> Losses:
        """The loss parts of a batch; see `Detector`."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> list[Detections]:
        """The detections of each image of a batch; see `Detector`."""
        raise NotImplementedError


def in_original_images(result: PaddedDetections, batch: Batch) -> list[Detections]:
    """The detections of each image on the CPU, in the coordinates of the original images.

    Raises:
        UserError: A head returned something else, or its post-processor did.
    """
    if not isinstance(result, PaddedDetections):
        raise UserError(
            f"the head predicted {type(result).__name__}, expected PaddedDetections: return the "
            "padded detections of the whole batch from its `predict` and from its post-processor."
        )
    return result.to_original(batch.to_image, batch.original_sizes).split()
