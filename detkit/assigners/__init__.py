"""Which prior is responsible for which object."""

from detkit.assigners.atss import ATSSAssigner
from detkit.assigners.best_prior import BestPriorAssigner
from detkit.assigners.fcos import FCOSAssigner
from detkit.assigners.max_iou import MaxIoUAssigner

__all__ = ["ATSSAssigner", "BestPriorAssigner", "FCOSAssigner", "MaxIoUAssigner"]
