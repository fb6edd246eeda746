"""Losses give one value per prior or box; heads weight, mask, normalise and sum them."""

from detkit.losses.bce import BinaryCrossEntropy
from detkit.losses.cross_entropy import CrossEntropy
from detkit.losses.distribution import DistributionFocalLoss
from detkit.losses.equalisation import EqualisationLoss
from detkit.losses.focal import FocalLoss
from detkit.losses.ghm import GHMBoxLoss, GHMClassificationLoss
from detkit.losses.overlap import CIoULoss, DIoULoss, GIoULoss, IoULoss
from detkit.losses.quality_focal import QualityFocalLoss
from detkit.losses.regression import BalancedL1Loss, L1Loss, MSELoss, SmoothL1Loss
from detkit.losses.seesaw import SeesawLoss

__all__ = [
    "BalancedL1Loss",
    "BinaryCrossEntropy",
    "CIoULoss",
    "CrossEntropy",
    "DIoULoss",
    "DistributionFocalLoss",
    "EqualisationLoss",
    "FocalLoss",
    "GHMBoxLoss",
    "GHMClassificationLoss",
    "GIoULoss",
    "IoULoss",
    "L1Loss",
    "MSELoss",
    "QualityFocalLoss",
    "SeesawLoss",
    "SmoothL1Loss",
]
