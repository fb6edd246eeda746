"""Candidates to detections."""

from detkit.postprocess.diou_nms import DIoUNMS
from detkit.postprocess.fusion import WeightedBoxesFusion
from detkit.postprocess.keep_best import KeepBest
from detkit.postprocess.matrix_nms import MatrixNMS
from detkit.postprocess.nms import NMS
from detkit.postprocess.soft_nms import SoftNMS

__all__ = [
    "NMS",
    "DIoUNMS",
    "KeepBest",
    "MatrixNMS",
    "SoftNMS",
    "WeightedBoxesFusion",
]
