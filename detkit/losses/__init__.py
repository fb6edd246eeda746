"""One value per prior or box; weighting, masking, normalising and summing happen in the head."""

from detkit.losses.bce import BinaryCrossEntropy
from detkit.losses.cross_entropy import CrossEntropy
from detkit.losses.focal import FocalLoss
from detkit.losses.overlap import CIoULoss, DIoULoss, GIoULoss, IoULoss
from detkit.losses.regression import L1Loss, SmoothL1Loss

__all__ = [
    "BinaryCrossEntropy",
    "CIoULoss",
    "CrossEntropy",
    "DIoULoss",
    "FocalLoss",
    "GIoULoss",
    "IoULoss",
    "L1Loss",
    "SmoothL1Loss",
]
