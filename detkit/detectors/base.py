"""The base class of detectors: a module with losses and detections."""

from __future__ import annotations

from torch import nn

from detkit.interfaces import Losses
from detkit.structures import Batch, Detections


class DetectorModule(nn.Module):
    """A `Detector` that is also a `torch.nn.Module`, as training and inference need it.

    A plugin's detector need not derive from this class; any module with these methods works.
    """

    def loss(self, batch: Batch) -> Losses:
        """The loss parts of a batch; see `Detector`."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> list[Detections]:
        """The detections of each image of a batch; see `Detector`."""
        raise NotImplementedError
