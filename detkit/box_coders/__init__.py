"""Box coders convert boxes to regression codes and back."""

from detkit.box_coders.delta import DeltaCoder
from detkit.box_coders.distance import DistanceCoder
from detkit.box_coders.distribution import DistributionCoder

__all__ = ["DeltaCoder", "DistanceCoder", "DistributionCoder"]
