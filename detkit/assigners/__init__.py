"""Assigners decide which prior learns which object."""

from detkit.assigners.atss import ATSSAssigner
from detkit.assigners.best_prior import BestPriorAssigner
from detkit.assigners.circle import CircleAssigner
from detkit.assigners.fcos import FCOSAssigner
from detkit.assigners.feature_selection import FeatureSelectionAssigner
from detkit.assigners.grid_cell import GridCellAssigner
from detkit.assigners.max_iou import MaxIoUAssigner
from detkit.assigners.sim_ota import SimOTAAssigner
from detkit.assigners.size_ratio import SizeRatioAssigner
from detkit.assigners.task_aligned import TaskAlignedAssigner

__all__ = [
    "ATSSAssigner",
    "BestPriorAssigner",
    "CircleAssigner",
    "FCOSAssigner",
    "FeatureSelectionAssigner",
    "GridCellAssigner",
    "MaxIoUAssigner",
    "SimOTAAssigner",
    "SizeRatioAssigner",
    "TaskAlignedAssigner",
]
