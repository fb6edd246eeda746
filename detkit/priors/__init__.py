"""Where dense heads predict."""

from detkit.priors.anchors import Anchors
from detkit.priors.grid import PriorGrid
from detkit.priors.points import Points
from detkit.priors.ssd_boxes import SSDBoxes

__all__ = ["Anchors", "Points", "PriorGrid", "SSDBoxes"]
