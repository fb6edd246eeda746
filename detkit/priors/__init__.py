"""Where dense heads predict."""

from detkit.priors.anchors import Anchors
from detkit.priors.grid import PriorGrid
from detkit.priors.points import Points

__all__ = ["Anchors", "Points", "PriorGrid"]
