"""Boxes to regression codes and back."""

from detkit.box_coders.delta import DeltaCoder
from detkit.box_coders.distance import DistanceCoder

__all__ = ["DeltaCoder", "DistanceCoder"]
