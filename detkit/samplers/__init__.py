"""Samplers choose the priors that count in the loss."""

from detkit.samplers.balanced import RandomBalanced
from detkit.samplers.hard_and_random import HardAndRandom
from detkit.samplers.hard_negatives import HardNegatives
from detkit.samplers.iou_balanced import IoUBalanced
from detkit.samplers.keep_all import KeepAll
from detkit.samplers.ohem import OnlineHardExamples

__all__ = [
    "HardAndRandom",
    "HardNegatives",
    "IoUBalanced",
    "KeepAll",
    "OnlineHardExamples",
    "RandomBalanced",
]
