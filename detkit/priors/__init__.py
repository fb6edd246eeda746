"""Priors: the boxes or points at which dense heads predict."""

from detkit.priors.anchor_sizes import AnchorSizes
from detkit.priors.anchors import Anchors
from detkit.priors.grid import PriorGrid
from detkit.priors.points import Points
from detkit.priors.ssd_boxes import SSDBoxes

__all__ = ["AnchorSizes", "Anchors", "Points", "PriorGrid", "SSDBoxes"]
